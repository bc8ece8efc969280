package database

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// world is a store with verbs that fail the test.
type world struct {
	t *testing.T
	*kvtest.Store
}

func newWorld(t *testing.T) *world { return &world{t: t, Store: kvtest.New(t)} }

func (w *world) update(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.DB.Update(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(name, key, packed string) {
	w.t.Helper()
	draft := NewPlace()
	w.update(func(tx *kv.Tx) error {
		d, err := Open(tx, name, draft)
		if err != nil {
			return err
		}
		return d.Put(key, []byte(packed))
	})
}

// dump returns all databases with what they hold.
func (w *world) dump() map[string]map[string]string {
	w.t.Helper()
	all := map[string]map[string]string{}
	_, err := w.DB.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) error {
		for name, err := range Names(tx) {
			if err != nil {
				return err
			}
			d, ok, err := Find(tx, name)
			if err != nil || !ok {
				return errors.Join(err, errs.E(errs.Internal, "%q is listed and not found", name))
			}
			all[name] = map[string]string{}
			for e, err := range d.Entries() {
				if err != nil {
					return err
				}
				all[name][e.Key] = string(e.Packed)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) want(want map[string]map[string]string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.dump()); diff != "" {
		w.t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNamesAndKeysAreAnyText(t *testing.T) {
	w := newWorld(t)
	texts := []string{"", "../../etc/passwd", "a/b", "a\x00b", "\x00", "\u00e9\U0001f600", " ", "k", strings.Repeat("\x00", MaxName)}
	want := map[string]map[string]string{}
	for _, name := range texts {
		want[name] = map[string]string{}
		for _, key := range texts {
			w.put(name, key, name+"="+key)
			want[name][key] = name + "=" + key
		}
	}
	w.want(want)
}

func TestNamesAndKeysComeInOrder(t *testing.T) {
	w := newWorld(t)
	texts := []string{"", "\x00", "a", "a\x00", "a\x00b", "ab", "b", "\u00e9", "\uffff", "\U0001f600"}
	for _, i := range []int{3, 9, 0, 6, 1, 8, 2, 7, 4, 5} {
		w.put(texts[i], "k", "v")
		w.put("keys", texts[i], "v")
	}
	var names, keys []string
	_, err := w.DB.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) error {
		for name, err := range Names(tx) {
			if err != nil {
				return err
			}
			names = append(names, name)
		}
		d, _, err := Find(tx, "keys")
		if err != nil {
			return err
		}
		for e, err := range d.Entries() {
			if err != nil {
				return err
			}
			keys = append(keys, e.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(keys, texts) {
		t.Errorf("keys: got %q, want %q", keys, texts)
	}
	if want := slices.Insert(slices.Clone(texts), 7, "keys"); !slices.Equal(names, want) {
		t.Errorf("names: got %q, want %q", names, want)
	}
}

func TestTooLongTexts(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", MaxName+1)
	draft := NewPlace()
	for what, fn := range map[string]func(*kv.Tx) error{
		"open":   func(tx *kv.Tx) error { _, err := Open(tx, long, draft); return err },
		"rename": func(tx *kv.Tx) error { return Rename(tx, "a", long, draft) },
		"put": func(tx *kv.Tx) error {
			d, err := Open(tx, "a", draft)
			if err != nil {
				return err
			}
			return d.Put(long, nil)
		},
	} {
		if _, err := w.DB.Update(context.Background(), fn); !errs.Is(err, errs.TooLarge) {
			t.Errorf("%s: got %v, want too large", what, err)
		}
	}
	w.want(map[string]map[string]string{})
	w.update(func(tx *kv.Tx) error {
		if err := Pop(tx, long); err != nil {
			return err
		}
		if err := Delete(tx, long); !errs.Is(err, errs.NotFound) {
			t.Errorf("delete: got %v, want not found", err)
		}
		d, err := Open(tx, "a", draft)
		if err != nil {
			return err
		}
		if _, ok, err := d.Get(long); ok || err != nil {
			t.Errorf("get: found %v, %v", ok, err)
		}
		d.Delete(long)
		return nil
	})
}

func TestEmptyingAndRemoving(t *testing.T) {
	type state = map[string]map[string]string
	draft := NewPlace()
	for _, tt := range []struct {
		what string
		do   func(*kv.Tx) error
		want state
	}{
		{"pop", func(tx *kv.Tx) error { return Pop(tx, "a") }, state{"a": {}, "b": {"k": "b"}}},
		{"pop of an unknown name", func(tx *kv.Tx) error { return Pop(tx, "c") }, state{"a": {"k": "a"}, "b": {"k": "b"}}},
		{"pop all", func(tx *kv.Tx) error { PopAll(tx); return nil }, state{"a": {}, "b": {}}},
		{"delete", func(tx *kv.Tx) error { return Delete(tx, "a") }, state{"b": {"k": "b"}}},
		{"delete all", func(tx *kv.Tx) error { DeleteAll(tx); return nil }, state{}},
		{"rename", func(tx *kv.Tx) error { return Rename(tx, "a", "c", draft) }, state{"c": {"k": "a"}, "b": {"k": "b"}}},
		{"rename to the empty name", func(tx *kv.Tx) error { return Rename(tx, "a", "", draft) }, state{"": {"k": "a"}, "b": {"k": "b"}}},
		{"rename to a name that is taken", func(tx *kv.Tx) error { return Rename(tx, "a", "b", draft) }, state{"a": {"k": "a"}, "b": {"k": "b"}}},
		{"rename to itself", func(tx *kv.Tx) error { return Rename(tx, "a", "a", draft) }, state{"a": {"k": "a"}, "b": {"k": "b"}}},
		{"rename of an unknown name", func(tx *kv.Tx) error { return Rename(tx, "x", "c", draft) }, state{"a": {"k": "a"}, "b": {"k": "b"}, "c": {}}},
		{"delete of a key", func(tx *kv.Tx) error {
			d, err := Open(tx, "a", draft)
			if err == nil {
				d.Delete("k")
			}
			return err
		}, state{"a": {}, "b": {"k": "b"}}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			w := newWorld(t)
			w.put("a", "k", "a")
			w.put("b", "k", "b")
			w.ConflictNext(1)
			before := w.Commits()
			w.update(tt.do)
			if n := w.Commits() - before; n > 2 { // the conflict and the one that counts
				t.Errorf("%d commits", n)
			}
			w.want(tt.want)
		})
	}
}

func TestADatabaseCreatedAgainIsEmpty(t *testing.T) {
	w := newWorld(t)
	w.put("a", "old", "v")
	w.update(func(tx *kv.Tx) error { return Delete(tx, "a") })
	w.put("a", "new", "v")
	w.want(map[string]map[string]string{"a": {"new": "v"}})
}

// A set that meets a rename lands in the database of its name at its turn, and
// never in the one that has moved away.
func TestSetsDuringARename(t *testing.T) {
	w := newWorld(t)
	w.put("a", "old", "v")
	draft := NewPlace()
	first := true
	w.update(func(tx *kv.Tx) error {
		d, err := Open(tx, "a", draft)
		if err != nil {
			return err
		}
		if first {
			first = false
			w.update(func(tx *kv.Tx) error { return Rename(tx, "a", "b", NewPlace()) })
		}
		return d.Put("new", []byte("v"))
	})
	w.want(map[string]map[string]string{"a": {"new": "v"}, "b": {"old": "v"}})
}

func TestTwoCreateTheSameDatabase(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	want := map[string]string{}
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		want[key] = key
		wg.Go(func() {
			draft := NewPlace()
			_, err := w.DB.Update(context.Background(), func(tx *kv.Tx) error {
				d, err := Open(tx, "db", draft)
				if err != nil {
					return err
				}
				return d.Put(key, []byte(key))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.want(map[string]map[string]string{"db": want})
}

func TestLogRecords(t *testing.T) {
	w := newWorld(t)
	at := time.Unix(1795375574, 681892900)
	log := func(at time.Time, digits int, text string) {
		draft := NewPlace()
		w.ConflictNext(1)
		w.update(func(tx *kv.Tx) error {
			return Append(tx, Stamp{Level: "debug", At: at, Digits: digits}, []byte(text), draft)
		})
	}
	log(at, 76614, "first")
	log(at, 76614, "same stamp")
	log(at, 42, "fewer digits")
	log(time.Unix(1795375575, 0), 0, "later")
	w.want(map[string]map[string]string{"debug": {
		"debug_writer-1795375574.6818929-76614": "first",
		"debug_writer-1795375574.6818930-76614": "same stamp",
		"debug_writer-1795375574.6818929-00042": "fewer digits",
		"debug_writer-1795375575.0000000-00000": "later",
	}})
}

func TestDamagedRows(t *testing.T) {
	for _, row := range []string{"", "\x01", "\x02" + strings.Repeat("x", 32), "\x01" + strings.Repeat("x", 33)} {
		w := newWorld(t)
		w.update(func(tx *kv.Tx) error { tx.Set(nameKey("a"), []byte(row), 0); return nil })
		_, err := w.DB.Update(context.Background(), func(tx *kv.Tx) error { _, err := Open(tx, "a", NewPlace()); return err })
		if !errs.Is(err, errs.Internal) {
			t.Errorf("row %q: got %v, want internal", row, err)
		}
	}
}
