package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/kv"
)

// alone opens a node that is a cluster by itself.
func alone(t *testing.T) *Node {
	t.Helper()
	n, err := Open(context.Background(), Config{
		ID: "n1", DataDir: t.TempDir(), PeerAddr: freeport.Addr(t), GossipAddr: freeport.Addr(t), BootstrapExpect: 1,
		Heartbeat: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(context.Background()) })
	return n
}

func waitLeads(t *testing.T, n *Node) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !n.IsLeader(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not lead")
		}
	}
}

// Raft gives no answer to entries that were committed, but not applied, when it
// was stopped: who waits for them must not wait for ever.
func TestEveryEntryHasAnAnswerWhenRaftStops(t *testing.T) {
	t.Parallel()
	n := alone(t)
	waitLeads(t, n)
	for round := range 8 {
		if round > 0 {
			if err := n.startConsensus(); err != nil {
				t.Fatal(err)
			}
			waitLeads(t, n)
		}
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for range 32 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					c := command.Command{ID: kv.NewID()}
					for i := range 2000 { // much to apply, little to write
						c.Ops = append(c.Ops, command.Op{Kind: command.Set, Key: fmt.Append(nil, i), TTL: 1000})
					}
					entry := command.AppendEntry(nil, 1, c.Append(nil))
					if _, err := resultsOf(n.applyLog(entry)); err != nil {
						return
					}
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		if err := n.stopConsensus(n.consensus.Load()); err != nil {
			t.Fatal(err)
		}
		close(stop)
		answered := make(chan struct{})
		go func() { wg.Wait(); close(answered) }()
		select {
		case <-answered:
		case <-time.After(5 * time.Second):
			t.Fatalf("round %d: an entry has no answer", round)
		}
	}
}

func TestWaitingEndsWithRaft(t *testing.T) {
	c := &consensus{over: make(chan struct{})}
	held := &heldEntry{settled: make(chan struct{})}
	defer close(held.settled)
	close(c.over)
	if err := (applying{held, &Node{}, c}).Error(); !errors.Is(err, raft.ErrRaftShutdown) {
		t.Errorf("got %v", err)
	}
	if err := (&consensus{over: make(chan struct{})}).wait(refused{raft.ErrNotLeader}); !errors.Is(err, raft.ErrNotLeader) {
		t.Errorf("got %v", err)
	}
}

// A node may be closed at any moment after it was opened.
func TestCloseAtAnyMoment(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			n := alone(t)
			time.Sleep(time.Duration(i*i) * 8 * time.Millisecond)
			closed := make(chan error, 1)
			go func() { closed <- n.Close(context.Background()) }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it does not close")
			}
		})
	}
}

// A disk that never answers holds every part of a node up; its process must be
// able to end all the same, or nobody starts it again.
func TestANodeThatFailedCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Node{log: slog.New(slog.DiscardHandler), failed: make(chan struct{})}
		n.ctx, n.cancel = context.WithCancel(context.Background())
		stuck := make(chan struct{})
		n.forming.Go(func() { <-stuck })
		n.fail(errors.New("the disk never answers"))
		if err := n.Close(context.Background()); errs.KindOf(err) != errs.Unavailable {
			t.Errorf("it closed with %v", err)
		}
		close(stuck)
	})
}
