package collection

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/kv"
)

// told returns the records that a collection's deletions have left.
func (w *world) told() (list []deletion) {
	w.t.Helper()
	w.look(func(tx *kv.Tx) error {
		list = nil
		for rec, err := range tx.Scan(below(deletionByte, DefaultDatabase)) {
			if err != nil {
				return err
			}
			if len(rec.Value) > toldBytes {
				w.t.Errorf("a record of %d bytes", len(rec.Value))
			}
			d, err := decodeDeletion(rec.Value)
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	return list
}

func numbered(n int) (ids []OID) {
	for i := range n {
		ids = append(ids, OID{9: byte(i >> 16), 10: byte(i >> 8), 11: byte(i)})
	}
	return ids
}

func TestDeletionsAreToldInPieces(t *testing.T) {
	long := func(i int) string { return fmt.Sprintf("%04d", i) + strings.Repeat("x", 250) }
	for _, tt := range []struct {
		what    string
		n       int
		creator func(i int) string // nil: the collection is not private
		many    bool
	}{
		{"none", 0, nil, false},
		{"one", 1, nil, false},
		{"one with its creator", 1, long, false},
		{"a full record and one", toldIDs + 1, nil, false},
		{"few creators", 2500, func(i int) string { return fmt.Sprint(i % 3) }, false},
		{"each with another long creator", 1000, long, false},
		{"too many to be named", tellBytes/len(OID{}) + 10_000, nil, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.insert("items", `{}`)
			ids := numbered(tt.n)
			var creators []string
			for i := range ids {
				if tt.creator != nil {
					creators = append(creators, tt.creator(i))
				}
			}
			w.must(func(tx *kv.Tx) error {
				c, err := w.open(tx, "items", Delete)
				if err == nil {
					c.tellGone(ids, creators)
				}
				return err
			})
			var got deletion
			for _, d := range w.told() {
				if len(d.ids) > toldIDs {
					t.Errorf("a record with %d ids", len(d.ids))
				}
				got.ids, got.creators, got.many = append(got.ids, d.ids...), append(got.creators, d.creators...), got.many || d.many
			}
			if got.many != tt.many || !tt.many && (!cmp.Equal(got.ids, ids) || !cmp.Equal(got.creators, creators)) {
				t.Errorf("got %d ids and %d creators, many %v", len(got.ids), len(got.creators), got.many)
			}
		})
	}
}

// What was told is gone after an hour, and with its database at once.
func TestWhatIsToldGoes(t *testing.T) {
	w := newWorld(t, Config{})
	id := w.insert("items", `{}`)
	w.delete("items", id)
	if n := len(w.told()); n != 1 {
		t.Fatalf("%d records", n)
	}
	w.Advance(tellTime)
	if n := len(w.told()); n != 0 {
		t.Errorf("%d records after an hour", n)
	}
}

func TestRecordsOfListenersKeepTheirFormat(t *testing.T) {
	ids := numbered(3)
	for want, d := range map[string]deletion{
		"\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01": {ids: ids[:2]},
		"\x02\x02\x01a\x02bc" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01" +
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00": {ids: ids, creators: []string{"a", "bc", "a"}},
		"\x03": {many: true},
	} {
		if got := string(d.append(nil)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if back, err := decodeDeletion([]byte(want)); err != nil || !cmp.Equal(back, d, cmp.AllowUnexported(deletion{})) {
			t.Errorf("%q reads as %+v, %v", want, back, err)
		}
	}
	if m, err := decodeMessage([]byte("\x01\x04news{}")); err != nil || m.Event != "news" || string(m.Data) != "{}" {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzDecodeDeletion(f *testing.F) {
	for _, d := range []deletion{{ids: numbered(2)}, {ids: numbered(2), creators: []string{"a", "a"}}, {many: true}} {
		f.Add(d.append(nil))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _ = decodeMessage(p)
		d, err := decodeDeletion(p)
		if err != nil {
			return
		}
		if d.creators != nil && len(d.creators) != len(d.ids) {
			t.Fatalf("%d creators of %d documents", len(d.creators), len(d.ids))
		}
		again, err := decodeDeletion(d.append(nil))
		if err != nil || !cmp.Equal(d, again, cmp.AllowUnexported(deletion{})) {
			t.Errorf("%+v reads as %+v, %v", d, again, err)
		}
	})
}
func TestMessagesThatAreRefused(t *testing.T) {
	for _, body := range []string{
		``, `[]`, `"x"`, `{}`, `{"event":1}`, `{"event":""}`, `{"event":"a\nb"}`, `{"event":"` + strings.Repeat("x", maxEvent+1) + `"}`,
		`{"event":"x","event":"y"}`, `{"event":"x","data":"` + strings.Repeat("x", maxMessage) + `"}`, `{"event":"x"`,
	} {
		if m, err := ParseMessage([]byte(body)); err == nil {
			t.Errorf("%.40s is a message: %+v", body, m)
		}
	}
}
