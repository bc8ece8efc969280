package collection

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/coveydb/covey/kv"
)

// seen returns the catalog of the default database as tx sees it.
func (w *world) seen(tx *kv.Tx) *catalog {
	w.t.Helper()
	c, err := w.s.catalog(tx, DefaultDatabase)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestCatalogsAreWhatATransactionSees(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("a", `{"x":1}`)
	w.look(func(old *kv.Tx) error {
		before := w.seen(old)
		w.insert("b", `{"x":1}`)
		w.look(func(tx *kv.Tx) error {
			now := w.seen(tx)
			if now.find("a") == nil || now.find("b") == nil || len(now.byNumber) != 2 {
				t.Errorf("after another collection: %d", len(now.seats))
			}
			// Who is late does not make the others begin again.
			if late := w.seen(old); late.find("b") != nil || len(late.seats) != len(before.seats) {
				t.Errorf("an old state has %d collections, had %d", len(late.seats), len(before.seats))
			}
			if w.seen(tx) != now {
				t.Error("an old state has taken the place of a new one")
			}
			return nil
		})
		return nil
	})
	w.must(func(tx *kv.Tx) error { return w.s.DropCollection(tx, DefaultDatabase, "b") })
	w.look(func(tx *kv.Tx) error {
		if c := w.seen(tx); c.find("b") != nil || c.find("a") == nil {
			t.Errorf("after a drop: %d collections", len(c.seats))
		}
		return nil
	})
	// Other changes make no other catalog.
	var first *catalog
	for range 3 {
		w.insert("a", `{"x":1}`)
		w.look(func(tx *kv.Tx) error {
			c := w.seen(tx)
			if first != nil && c != first {
				t.Error("a document has changed the catalog")
			}
			first = c
			return nil
		})
	}
}

// All who ask at once, when a row has changed, get one catalog.
func TestListenersShareACatalog(t *testing.T) {
	w := newWorld(t, Config{})
	for i := range 300 {
		w.must(func(tx *kv.Tx) error { return w.s.CreateCollection(tx, DefaultDatabase, fmt.Sprintf("c%d", i)) })
	}
	var wg sync.WaitGroup
	got := make([]*catalog, 50)
	for i := range got {
		wg.Go(func() {
			_, err := w.DB.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
				got[i], err = w.s.catalog(tx, DefaultDatabase)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, c := range got {
		if c != got[0] {
			t.Fatal("there are several")
		}
	}
}
