package outbox

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
)

// target is a Sender that remembers what it was given. send decides what
// becomes of it; nil takes everything.
type target struct {
	send   func(ctx context.Context, d Delivery) error
	settle func(d Delivery, failed error) error

	mu  sync.Mutex
	got []Delivery
}

// downTarget returns a target that fails until it is up.
func downTarget() (s *target, up *atomic.Bool) {
	up = new(atomic.Bool)
	return &target{send: func(context.Context, Delivery) error {
		if up.Load() {
			return nil
		}
		return errDown
	}}, up
}

func (s *target) Send(ctx context.Context, d Delivery) error {
	s.mu.Lock()
	s.got = append(s.got, d)
	s.mu.Unlock()
	if s.send == nil {
		return nil
	}
	return s.send(ctx, d)
}

// Settle counts in the store how often an item was settled, and how.
func (s *target) Settle(tx *kv.Tx, d Delivery, failed error) error {
	if s.settle != nil {
		if err := s.settle(d, failed); err != nil {
			return err
		}
	}
	how := "delivered"
	if failed != nil {
		how = "failed"
	}
	tx.Add(fmt.Appendf(nil, "settled/%s/%s/%s", how, d.Queue, d.ID), command.Int(1), 0)
	return nil
}

func (s *target) deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Delivery(nil), s.got...)
}

// rig is a store with Runners on it, which stand for nodes.
type rig struct {
	*kvtest.Store
	t    *testing.T
	feed bool // else they find what is new by short sweeps
}

// node is one Runner.
type node struct {
	*Runner
	leads atomic.Bool
	stop  func()
}

func (r rig) node(kinds map[string]Kind, edit func(*Runner)) *node {
	r.t.Helper()
	n := &node{}
	n.Runner = &Runner{
		DB: r.DB, Leads: n.leads.Load, Log: slog.New(slog.DiscardHandler), Kinds: kinds,
		look: time.Millisecond, sweep: 2 * time.Millisecond, nap: 2 * time.Millisecond,
	}
	if r.feed {
		n.Feed, n.Runner.sweep = feed.New(r.Store), time.Minute
	}
	if edit != nil {
		edit(n.Runner)
	}
	n.leads.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Run(ctx)
	}()
	n.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	r.t.Cleanup(n.stop)
	return n
}

func (r rig) update(fn func(tx *kv.Tx) error) {
	r.t.Helper()
	if _, err := r.DB.Update(context.Background(), fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r rig) put(queue, id string) {
	r.t.Helper()
	r.update(func(tx *kv.Tx) error { return Put(tx, Item{Queue: queue, ID: id, Payload: []byte("payload of " + id)}) })
}

func (r rig) view(fn func(tx *kv.Tx) error) {
	r.t.Helper()
	if _, err := r.DB.View(context.Background(), kv.Consistency{}, fn); err != nil {
		r.t.Fatal(err)
	}
}

// left returns how many keys of the outbox there are.
func (r rig) left() (n int) {
	r.t.Helper()
	r.view(func(tx *kv.Tx) error {
		n = 0
		for _, err := range tx.Scan([]byte{prefixOutbox}, []byte{prefixOutbox + 1}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n
}

// settled returns how often each item was settled, by "how/queue/id".
func (r rig) settled() map[string]string {
	r.t.Helper()
	m := make(map[string]string)
	r.view(func(tx *kv.Tx) error {
		for rec, err := range tx.Scan([]byte("settled/"), []byte("settled0")) {
			if err != nil {
				return err
			}
			m[strings.TrimPrefix(string(rec.Key), "settled/")] = string(rec.Value)
		}
		return nil
	})
	return m
}

func (r rig) info(queue string) (info QueueInfo) {
	r.t.Helper()
	r.view(func(tx *kv.Tx) (err error) {
		info, err = Queue(tx, queue)
		return err
	})
	return info
}

// until waits until ok, and fails the test if that is never so.
func (r rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("it never came to be that %s", what)
		}
	}
}

// each runs a test with Runners that follow the feed, and with such that only
// sweep.
func each(t *testing.T, test func(t *testing.T, r rig)) {
	t.Run("with the feed", func(t *testing.T) { test(t, rig{kvtest.New(t), t, true}) })
	t.Run("by sweeps", func(t *testing.T) { test(t, rig{kvtest.New(t), t, false}) })
}

func ordered(s Sender) map[string]Kind {
	return map[string]Kind{"hook": {Sender: s, Policy: Policy{Ordered: true, Timeout: 5 * time.Second}}}
}

func unordered(s Sender) map[string]Kind {
	return map[string]Kind{"mail": {Sender: s, Policy: Policy{Parallel: 4, Timeout: 5 * time.Second}}}
}

// reversed is an id whose order is against that of n.
func reversed(n int) string {
	var p [4]byte
	binary.BigEndian.PutUint32(p[:], ^uint32(n))
	return fmt.Sprintf("%x", p)
}
