package collection

import (
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

func TestTheOperatorReadsAndWritesWithoutAKey(t *testing.T) {
	store, s := kvtest.New(t), New(Config{NoAutoCreate: true})
	at := time.UnixMilli(kvtest.Start)
	drafts, _, err := ParseDrafts([]byte(`[{"_id":"000000000000000000000002","n":2},{"_id":"000000000000000000000001","n":1},{"_id":"000000000000000000000003","n":3}]`), at)
	if err != nil {
		t.Fatal(err)
	}
	insert := func(tx *kv.Tx) error {
		c, err := s.Operator(tx, DefaultDatabase, "items", Create)
		if err != nil {
			return err
		}
		_, err = c.Insert(drafts, WriteOptions{At: at})
		return err
	}
	if _, err := store.DB.Update(t.Context(), insert); !errs.Is(err, errs.NotFound) {
		t.Errorf("into no collection: %v", err)
	}
	if _, err := store.DB.Update(t.Context(), func(tx *kv.Tx) error { return s.CreateCollection(tx, DefaultDatabase, "items") }); err != nil {
		t.Fatal(err)
	}
	store.ConflictNext(1)
	if _, err := store.DB.Update(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	_, err = store.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		c, err := s.Operator(tx, DefaultDatabase, "items", Read)
		if err != nil {
			return err
		}
		first := OID{11: 1}
		for after, want := range map[*OID]string{nil: `{"_id":"000000000000000000000001","n":1}`, &first: `{"_id":"000000000000000000000002","n":2}`} {
			n := 0
			for d, err := range c.After(after) {
				if err != nil {
					return err
				}
				if got := string(d.Plain(nil)); n == 0 && got != want {
					t.Errorf("after %v comes %s, want %s", after, got, want)
				}
				n++
			}
			if want := map[bool]int{true: 3, false: 2}[after == nil]; n != want {
				t.Errorf("after %v come %d documents, want %d", after, n, want)
			}
		}
		if c, err = s.Operator(tx, DefaultDatabase, "items", Create); err != nil {
			return err
		}
		for _, err := range c.After(nil) {
			if !errs.Is(err, errs.Internal) {
				t.Errorf("opened for another need: %v", err)
			}
		}
		if _, err := s.Operator(tx, "none", "items", Read); !errs.Is(err, errs.NotFound) {
			t.Errorf("in no database: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
