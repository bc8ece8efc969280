package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node"
)

// One that waits too long is refused before it can have reached a log; small
// ones pass by.
func TestLargeCommandsTakeTurns(t *testing.T) {
	t.Parallel()
	m := newCluster(t, 1)[0]
	db := kv.New(m.Node)
	set := func(size int, wait time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		_, err := db.Update(ctx, func(tx *kv.Tx) error {
			tx.Set([]byte("k"), make([]byte, size), 0)
			return nil
		})
		return err
	}
	if err := m.Large().Acquire(context.Background(), node.LargeBytes); err != nil {
		t.Fatal(err)
	}
	if err := set(node.LargeCommand, 50*time.Millisecond); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a large command beside as many as there may be: got %v, want unavailable", err)
	}
	if err := set(1000, 10*time.Second); err != nil {
		t.Errorf("a small command: %v", err)
	}
	m.Large().Release(node.LargeBytes)
	if err := m.Large().Acquire(context.Background(), node.LargeBytes-node.LargeCommand*3/2); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each takes the bytes that are left, and gives them back
		if err := set(node.LargeCommand, 20*time.Second); err != nil {
			t.Errorf("a large command: %v", err)
		}
	}
}
