package vault

import (
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/kv"
)

// A node that is far from the leader reads, and commits too late, each time:
// another one with much to do has changed what it has read.
func TestABusyRecorderGivesWayToOthers(t *testing.T) {
	w := newAuditWorld(t)
	near := NewRecorder(kv.New(&slow{Store: w.Store, latency: time.Millisecond}))
	defer near.Close()
	far := NewRecorder(kv.New(&slow{Store: w.Store, latency: 20 * time.Millisecond}))
	defer far.Close()
	readings := []Reading{{jane, viewEvent(1, 1)}}
	done := make(chan struct{})
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := near.Record(t.Context(), readings); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		if err := far.Record(t.Context(), readings); err != nil {
			t.Errorf("the far node: %v", err)
		}
	}
	close(done)
	busy.Wait()
	far.Close() // and what it has asked for is taken back
	w.view(func(tx *kv.Tx) error {
		_, asks, err := tx.Get(wayKey(far.name))
		if asks {
			t.Error("the far node asks others to give way for ever")
		}
		return err
	})
}

// A node that asks for ever holds nobody up for ever.
func TestARecorderDoesNotGiveWayForLong(t *testing.T) {
	w := newAuditWorld(t)
	if _, err := w.DB.Update(t.Context(), func(tx *kv.Tx) error {
		tx.Set(wayKey([]byte("gone")), nil, 0)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(w.DB)
	defer r.Close()
	if err := r.Record(t.Context(), []Reading{{jane, viewEvent(1, 1)}}); err != nil {
		t.Error(err)
	}
}
