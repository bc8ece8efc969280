package sealed

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// world is a store with two kinds of sealed things: one in a record under a, and
// two, between vertical bars, in a record under b.
type world struct {
	t *testing.T
	*kvtest.Store
	path string
	ring *seal.Keyring
	in   *Inventory
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, Store: kvtest.New(t), path: filepath.Join(t.TempDir(), "keyring.json")}
	var err error
	if w.ring, err = seal.Create(w.path); err != nil {
		t.Fatal(err)
	}
	w.in = &Inventory{Keyring: w.ring, Rows: []Rows{
		{Name: "ones", Lo: []byte("a"), Hi: []byte("b"), Each: eachOf("one")},
		{Name: "twos", Lo: []byte("b"), Hi: []byte("c"), Each: eachOf("left", "right")},
	}}
	return w
}

// place is what a thing of the tests is sealed for.
func place(key []byte, kind string) []byte { return fmt.Appendf(nil, "%s/%s", key, kind) }

// eachOf reads records that hold so many things, each behind its length.
func eachOf(kinds ...string) func(kv.Record, Visit) ([]byte, error) {
	return func(rec kv.Record, visit Visit) ([]byte, error) {
		rest, changed := rec.Value, false
		var row []byte
		for _, kind := range kinds {
			if len(rest) == 0 || len(rest) <= int(rest[0]) {
				return nil, errors.New("damaged")
			}
			thing := rest[1 : 1+rest[0]]
			rest = rest[1+rest[0]:]
			changed = visit(Thing{Kind: kind, Which: string(rec.Key), Place: place(rec.Key, kind), Sealed: &thing}) || changed
			row = append(append(row, byte(len(thing))), thing...)
		}
		if !changed {
			return nil, nil
		}
		return row, nil
	}
}

// put stores records with things that the present primary key seals.
func (w *world) put(kinds []string, keys ...string) {
	w.t.Helper()
	w.update(func(tx *kv.Tx) error {
		for _, key := range keys {
			var row []byte
			for _, kind := range kinds {
				thing, err := w.ring.Seal([]byte("secret of "+key), place([]byte(key), kind))
				if err != nil {
					return err
				}
				row = append(append(row, byte(len(thing))), thing...)
			}
			tx.Set([]byte(key), row, 0)
		}
		return nil
	})
}

func (w *world) update(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.DB.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) view(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.DB.View(w.t.Context(), kv.Consistency{}, fn); err != nil {
		w.t.Fatal(err)
	}
}

// rotate gives the keyring a new primary key and returns its id.
func (w *world) rotate() string {
	w.t.Helper()
	id, err := seal.Rotate(w.path)
	if err == nil {
		_, err = w.ring.Reload()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// count returns the tallies, with the names of keys instead of their ids.
func (w *world) count(names map[string]string) string {
	w.t.Helper()
	var tallies []Tally
	w.view(func(tx *kv.Tx) (err error) { tallies, err = w.in.Count(w.t.Context(), tx); return err })
	var all []string
	for _, t := range tallies {
		all = append(all, fmt.Sprintf("%s %s %d", t.Kind, names[t.Key], t.Count))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (w *world) start() (p Progress) {
	w.t.Helper()
	w.update(func(tx *kv.Tx) (err error) { p, err = w.in.Start(tx, 7); return err })
	return p
}

// step does one batch as a node that has just become the leader.
func (w *world) step() bool {
	w.t.Helper()
	more, err := w.rewrapper().Step(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return more
}

func (w *world) rewrapper() *Rewrapper {
	return &Rewrapper{DB: w.DB, Inventory: w.in, Leads: func() bool { return true }, Log: slog.New(slog.DiscardHandler)}
}

func (w *world) latest() (p *Progress) {
	w.t.Helper()
	w.view(func(tx *kv.Tx) (err error) { p, err = Latest(tx); return err })
	return p
}

func many(prefix string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("%s%04d", prefix, i))
	}
	return keys
}

// openAll opens everything with a keyring that lacks one key.
func (w *world) openAll(without string) {
	w.t.Helper()
	if err := seal.Drop(w.path, without); err != nil {
		w.t.Fatal(err)
	}
	alone, err := seal.Load(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.view(func(tx *kv.Tx) error {
		for _, rows := range w.in.Rows {
			for rec, err := range tx.Scan(rows.Lo, rows.Hi) {
				if err != nil {
					return err
				}
				if _, err := rows.Each(rec, func(t Thing) bool {
					if p, err := alone.Open(*t.Sealed, t.Place); err != nil || string(p) != "secret of "+t.Which {
						w.t.Errorf("%s of %s: %q, %v", t.Kind, t.Which, p, err)
					}
					return false
				}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
