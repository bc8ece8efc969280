package memo

import (
	"bytes"
	"errors"
	"strconv"
	"testing"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// rig counts how often its rows are decoded.
type rig struct {
	t testing.TB
	*kvtest.Store
	rows    Rows[string]
	decoded int
}

func newRig(t testing.TB) *rig { return &rig{t: t, Store: kvtest.New(t)} }

func (r *rig) decode(p []byte) (*string, error) {
	r.decoded++
	if len(p) == 0 {
		return nil, errors.New("damaged")
	}
	s := string(p[:min(len(p), 8)])
	return &s, nil
}

func (r *rig) update(fn func(tx *kv.Tx) error) {
	r.t.Helper()
	if _, err := r.DB.Update(r.t.Context(), fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) set(key string, value []byte) {
	r.t.Helper()
	r.update(func(tx *kv.Tx) error { tx.Set([]byte(key), value, 0); return nil })
}

// want reads a row and compares it, "" for none, and how often it was decoded.
func (r *rig) want(key, value string, decoded int) {
	r.t.Helper()
	r.decoded = 0
	_, err := r.DB.View(r.t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		got, version, err := r.rows.Get(tx, []byte(key), r.decode)
		if (got == nil) != (value == "") || got != nil && (*got != value || version == 0) {
			r.t.Errorf("got %v of version %d, want %q", got, version, value)
		}
		return err
	})
	if err != nil || r.decoded != decoded {
		r.t.Errorf("decoded %d times, %v; want %d", r.decoded, err, decoded)
	}
}

func TestRowsAreDecodedOnceForEachVersion(t *testing.T) {
	r := newRig(t)
	r.want("k", "", 0)
	r.set("k", []byte("one"))
	r.want("k", "one", 1)
	r.want("k", "one", 0)
	r.set("k", []byte("two"))
	r.want("k", "two", 1)
	r.update(func(tx *kv.Tx) error { tx.Delete([]byte("k")); return nil })
	r.want("k", "", 0)
}

func TestOwnWritesAreNotRemembered(t *testing.T) {
	r := newRig(t)
	r.set("k", []byte("one"))
	r.want("k", "one", 1)
	undone := errors.New("undone")
	_, err := r.DB.Update(t.Context(), func(tx *kv.Tx) error {
		tx.Set([]byte("k"), []byte("mine"), 0)
		got, version, err := r.rows.Get(tx, []byte("k"), r.decode)
		if err != nil || *got != "mine" || version != 0 {
			t.Errorf("got %v of version %d, %v", got, version, err)
		}
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	r.want("k", "one", 0)
}

// What is remembered still guards: a row that changes undoes the write.
func TestARememberedRowIsGuarded(t *testing.T) {
	r := newRig(t)
	r.set("k", []byte("one"))
	r.want("k", "one", 1)
	runs := 0
	r.update(func(tx *kv.Tx) error {
		got, _, err := r.rows.Get(tx, []byte("k"), r.decode)
		if runs++; runs == 1 {
			r.set("k", []byte("two"))
		}
		tx.Set([]byte("copy"), []byte(*got), 0)
		return err
	})
	if r.want("copy", "two", 1); runs != 2 {
		t.Errorf("%d runs, want 2", runs)
	}
}

func TestDamagedRowsAreNotRemembered(t *testing.T) {
	r := newRig(t)
	r.set("k", nil)
	for range 2 {
		_, err := r.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
			_, _, err := r.rows.Get(tx, []byte("k"), r.decode)
			return err
		})
		if err == nil {
			t.Error("a damaged row was returned")
		}
	}
	if r.decoded != 2 {
		t.Errorf("decoded %d times, want 2", r.decoded)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	r := newRig(t)
	for _, size := range []int{1, 4 << 20, 12 << 20} {
		for i := range 12 {
			key := strconv.Itoa(size) + "/" + strconv.Itoa(i)
			r.rows.put([]byte(key), row[string]{uint64(i + 1), &key}, size)
			if r.rows.bytes > maxBytes || len(r.rows.known) > 25 {
				t.Fatalf("%d rows of %d bytes", len(r.rows.known), r.rows.bytes)
			}
		}
	}
	before := r.rows.bytes
	r.rows.put([]byte("huge"), row[string]{}, maxBytes)
	if r.rows.bytes != before {
		t.Error("a row beyond the bound was remembered")
	}
	r.rows = Rows[string]{}
	for i := range maxRows + 5 {
		r.rows.put([]byte(strconv.Itoa(i)), row[string]{}, 0)
	}
	if len(r.rows.known) != 5 {
		t.Errorf("%d rows, want the last 5", len(r.rows.known))
	}
}

func BenchmarkGet(b *testing.B) {
	r := newRig(b)
	r.set("k", bytes.Repeat([]byte("x"), 500))
	_, err := r.DB.View(b.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		for b.Loop() {
			if _, _, err := r.rows.Get(tx, []byte("k"), r.decode); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
