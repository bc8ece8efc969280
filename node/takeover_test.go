package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/kv"
)

// three opens a cluster of three and returns its leader first.
func three(t *testing.T, heartbeat time.Duration) []*Node {
	t.Helper()
	var nodes []*Node
	for i := range 3 {
		c := Config{
			ID: fmt.Sprint("n", i), DataDir: t.TempDir(), PeerAddr: freeport.Addr(t), GossipAddr: freeport.Addr(t), BootstrapExpect: 3,
			Heartbeat: heartbeat, Logger: slog.New(slog.DiscardHandler),
		}
		if i > 0 {
			c.Join = []string{nodes[0].GossipAddr()}
		}
		n, err := Open(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(context.Background()) })
		nodes = append(nodes, n)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		for i, n := range nodes {
			if n.IsLeader() {
				nodes[0], nodes[i] = nodes[i], nodes[0]
				return nodes
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody leads")
		}
	}
}

// What a reader was shown as expired stays expired, though no entry of the log
// tells of the time that was used.
func TestANewLeaderDoesNotFallBehindATimeThatWasUsed(t *testing.T) {
	t.Parallel()
	nodes := three(t, 200*time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ahead := time.Now().Add(time.Hour).UnixMilli()
	nodes[0].clock.raise(ahead)
	if p, err := nodes[0].reads.join(ctx); err != nil || p.now < ahead {
		t.Fatalf("read point %+v, %v", p, err)
	}
	if err := nodes[0].Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		if p, err := n.reads.join(ctx); err != nil || p.now < ahead {
			t.Errorf("under the next leader: read point %d ms behind, %v", ahead-p.now, err)
		}
	}
}

// A leader that is closed hands over first: writes wait for far less than an
// election time-out.
func TestWritesGoOnWhenTheLeaderIsClosed(t *testing.T) {
	t.Parallel()
	const heartbeat = 3 * time.Second
	nodes := three(t, heartbeat)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var written atomic.Int64
	var worst time.Duration
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		db := kv.New(nodes[1])
		for {
			select {
			case <-stop:
				return
			default:
			}
			begin := time.Now()
			_, err := db.Update(ctx, func(tx *kv.Tx) error { tx.Add([]byte("n"), command.Int(1), 0); return nil })
			if err != nil {
				t.Error(err)
				return
			}
			worst = max(worst, time.Since(begin))
			written.Add(1)
		}
	})
	wait := func(n int64) {
		for written.Load() < n && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	wait(50)
	before := written.Load()
	if err := nodes[0].Close(ctx); err != nil {
		t.Error(err)
	}
	wait(before + 50)
	close(stop)
	wg.Wait()
	if worst > heartbeat/2 {
		t.Errorf("a write took %v, with an election time-out of %v", worst, heartbeat)
	}
}
