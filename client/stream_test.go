package client

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func entries(r io.Reader) (got []string, err error) {
	for item, e := range Entries(r) {
		if e != nil {
			return got, e
		}
		got = append(got, item.Key+"="+string(item.Value))
	}
	return got, nil
}

func TestEntriesOfAnObject(t *testing.T) {
	for _, tt := range []struct{ text, want, says string }{
		{`{}`, "", ""},
		{" {\n} \n", "", ""},
		{`{"a":"1","":null,"a":{"x":[1, 2]}}`, `a="1" =null a={"x":[1, 2]}`, ""},
		{"", "", "after byte 0: unexpected EOF"},
		{`[]`, "", "no object"},
		{`"a"`, "", "no object"},
		{`{"a":"1","b":x}`, `a="1"`, "malformed JSON after byte 13"},
		{`{"a":"1",b:"2"}`, `a="1"`, "malformed JSON after byte"},
		{`{"a":"1","b"`, `a="1"`, "unexpected EOF"},
		{`{"a":"1"`, `a="1"`, "unexpected EOF"},
		{`{"a":"1"]`, `a="1"`, "malformed JSON after byte 8"},
		{`{"a":"1"}{`, `a="1"`, "more text"},
		{`{"a":"1"}x`, `a="1"`, "malformed JSON after byte 9"},
		{"{\"a\":\"1\",\"\xff\":\"2\"}", `a="1"`, "not UTF-8 after byte 9"},
	} {
		got, err := entries(iotest.OneByteReader(strings.NewReader(tt.text)))
		if strings.Join(got, " ") != tt.want || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %q, %v; want %q, %q", tt.text, got, err, tt.want, tt.says)
		}
	}
}

func TestEntriesKeepTheReadersError(t *testing.T) {
	broken := errors.New("broken")
	got, err := entries(io.MultiReader(strings.NewReader(`{"a":"1",`), iotest.ErrReader(broken)))
	if len(got) != 1 || !errors.Is(err, broken) {
		t.Errorf("got %q, %v", got, err)
	}
}

// endless is a string that never closes.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestAnEntryIsBounded(t *testing.T) {
	small := strings.Repeat(`"a":"b",`, 100_000) + `"a":"`
	count := 0
	var last error
	for _, err := range entriesUpTo(1<<16, io.MultiReader(strings.NewReader("{"+small), endless{})) {
		count++
		last = err
	}
	if count != 100_001 || last == nil || !strings.Contains(last.Error(), "longer than") {
		t.Errorf("%d entries, then %v", count-1, last)
	}
}

func FuzzEntries(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":"1","b":[[[],{}],null]}`, `{"a":`, `{"a":1}{`, `{"\ud800":""}`, "{\"a\" :\n1.5e3}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := entries(strings.NewReader(text))
		var whole map[string]json.RawMessage
		wholeErr := json.Unmarshal([]byte(text), &whole)
		if (err == nil) != (wholeErr == nil && whole != nil) {
			t.Fatalf("%q: %d entries, %v; all at once: %v", text, len(got), err, wholeErr)
		}
		if err == nil && len(got) < len(whole) {
			t.Errorf("%q: %d entries, all at once %d", text, len(got), len(whole))
		}
	})
}
