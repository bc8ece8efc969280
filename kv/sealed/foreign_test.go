package sealed

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
)

// TestForeignCountsWhatCountDoes shows the records of a state one by one.
func TestForeignCountsWhatCountDoes(t *testing.T) {
	w := newWorld(t)
	w.put([]string{"one"}, "a1", "a2")
	w.put([]string{"left", "right"}, "b1")
	w.update(func(tx *kv.Tx) error {
		tx.Set([]byte("a3"), []byte{200, 1}, 0)
		tx.Set([]byte("c"), []byte("no secret"), 0)
		return nil
	})
	other := &Inventory{Rows: w.in.Rows} // a node without these keys
	f := NewForeign(other)
	var want []Tally
	if _, err := w.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			f.See(rec)
		}
		want, err = w.in.Count(t.Context(), tx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, f.Tallies()); diff != "" || len(want) != 4 {
		t.Errorf("%d tallies; %s", len(want), diff)
	}
	var none *seal.Keyring
	other.Keyring = none
	if ids, n := other.Lacking(f.Tallies()); n != 4 || len(ids) != 1 || ids[0] != w.ring.Primary() {
		t.Errorf("lacking %v, %d things", ids, n)
	}
}

func TestNodeSpanHoldsWhatNodesAnnounce(t *testing.T) {
	lo, hi := NodeSpan()
	for key, want := range map[string]bool{string(nodeKey("n1")): true, string(nodeKey("")): true, string(progressKey()): false} {
		if got := string(lo) <= key && key < string(hi); got != want {
			t.Errorf("%q is in the span: %v", key, got)
		}
	}
}
