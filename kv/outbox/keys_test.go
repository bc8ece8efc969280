package outbox

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestKeysAreReadBack(t *testing.T) {
	for _, queue := range []string{"hook/a", "hook/a\x01b", "mail/ä"} {
		for what, key := range map[byte][]byte{prefixItem: itemKey(queue, "id"), prefixRetry: retryKey(queue, "id"), prefixSuspended: suspendedKey(queue)} {
			gotWhat, gotQueue, id, err := parseKey(key)
			wantID := "id"
			if what == prefixSuspended {
				wantID = ""
			}
			if err != nil || gotWhat != what || gotQueue != queue || id != wantID {
				t.Errorf("%q: %q %q %q, %v", key, gotWhat, gotQueue, id, err)
			}
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(itemKey("hook/a", "id"))
	f.Add(suspendedKey("hook/a"))
	f.Add([]byte("oi"))
	f.Fuzz(func(t *testing.T, key []byte) {
		what, queue, id, err := parseKey(key)
		if err != nil {
			return
		}
		back := appendQueue(what, queue)
		if again := itemKey(queue, id); !bytes.Equal(key, back) && !bytes.Equal(key[2:], again[2:]) {
			t.Errorf("%q is read as %q %q, which is %q", key, queue, id, again)
		}
	})
}

func FuzzDecodeRows(f *testing.F) {
	f.Add(appendItem(nil, 42, []byte("payload")))
	f.Add([]byte(`{"attempts":1,"next":5,"error":"x"}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		if since, payload, err := decodeItem(p); err == nil && !bytes.Equal(appendItem(nil, since, payload), p) {
			t.Errorf("%q is read as %d %q", p, since, payload)
		}
		if row, err := decodeTries(p); err == nil && row.Attempts < 0 {
			t.Errorf("%q is read as %+v", p, row)
		}
	})
}

func TestErrorTextIsOneShortLine(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                         "plain",
		"two\nlines\x00":                "two lines ",
		"no \xff UTF-8":                 "no ? UTF-8",
		strings.Repeat("é", 1000):       strings.Repeat("é", maxErrorText/2) + "…",
		"a" + strings.Repeat("é", 1000): "a" + strings.Repeat("é", maxErrorText/2-1) + "…",
	} {
		if got := errorText(errors.New(text)); got != want || !utf8.ValidString(got) {
			t.Errorf("%.20q became %q", text, got)
		}
	}
}

func TestRetryWaitDoublesToABound(t *testing.T) {
	for attempt, mean := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 10: 512 * time.Second,
		11: mostRetry, 21: mostRetry, 1 << 30: mostRetry,
	} {
		low, high := time.Hour, time.Duration(0)
		for range 1000 {
			wait := retryWait(attempt)
			low, high = min(low, wait), max(high, wait)
		}
		if low < mean/2 || high >= mean*3/2 || high-low < mean/2 {
			t.Errorf("after try %d it waits %v to %v, want half to one and a half of %v", attempt, low, high, mean)
		}
	}
}
