package outbox

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

func TestWaitingItems(t *testing.T) {
	s := kvtest.New(t)
	put := func(queue string, ids ...string) {
		t.Helper()
		_, err := s.DB.Update(t.Context(), func(tx *kv.Tx) error {
			var all error
			for _, id := range ids {
				all = errors.Join(all, Put(tx, Item{Queue: queue, ID: id, Payload: []byte("of " + id)}))
			}
			return all
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("mail/a", "3", "1", "2")
	put("mail/ab", "0") // a neighbour
	began := s.Now()
	_, err := s.DB.Update(t.Context(), func(tx *kv.Tx) error {
		tries{Attempts: 2, Next: began + 5000, Error: "not now"}.put(tx, "mail/a", "1")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	view := func(look func(*kv.Tx) ([]Waiting, error)) (list []Waiting) {
		t.Helper()
		_, err := s.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
			list, err = look(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	ids := func(list []Waiting) (ids []string) {
		for _, w := range list {
			if string(w.Payload) != "of "+w.ID || w.Queue != "mail/a" {
				t.Errorf("item %s of %s has %q", w.ID, w.Queue, w.Payload)
			}
			ids = append(ids, w.ID)
		}
		return ids
	}
	first := view(func(tx *kv.Tx) ([]Waiting, error) { return First(tx, "mail/a", 2) })
	if got := ids(first); !slices.Equal(got, []string{"1", "2"}) {
		t.Fatalf("first %v", got)
	}
	if w := first[0]; w.Attempts != 2 || w.LastError != "not now" || !w.Next.Equal(time.UnixMilli(began+5000)) || w.Since.IsZero() {
		t.Errorf("an item that was tried: %+v", w)
	}
	if w := first[1]; w.Attempts != 0 || w.LastError != "" || !w.Next.IsZero() {
		t.Errorf("an item that was not tried: %+v", w)
	}
	last := view(func(tx *kv.Tx) ([]Waiting, error) { return Last(tx, "mail/a", 2) })
	if got := ids(last); !slices.Equal(got, []string{"3", "2"}) {
		t.Errorf("last %v", got)
	}
	if got := view(func(tx *kv.Tx) ([]Waiting, error) { return First(tx, "mail/a", 0) }); got != nil {
		t.Errorf("of none asked for there are %d", len(got))
	}
	found := view(func(tx *kv.Tx) ([]Waiting, error) {
		w, ok, err := Find(tx, "mail/a", "1")
		_, other, _ := Find(tx, "mail/a", "4")
		if !ok || other {
			t.Errorf("found 1 %t and 4 %t", ok, other)
		}
		return []Waiting{w}, err
	})
	if got := ids(found); !slices.Equal(got, []string{"1"}) || found[0].Attempts != 2 {
		t.Errorf("found %+v", found)
	}
}
