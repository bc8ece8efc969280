package fsm

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/store"
)

// Machine is one replica's state machine over its local store. Apply and
// Restore belong to one goroutine at a time; all else is safe for concurrent
// use.
type Machine struct {
	db   *store.DB
	opts Options

	// Owned by the applying goroutine.
	st      State
	ring    ring
	heads   *heads
	scratch []byte
	key     []byte // scratch too
	hash    hash.Hash
	cmd     command.Command
	hist    history

	version atomic.Uint64 // published

	mu      sync.Mutex
	cur     *View // the published state; its own reference is the machine's
	waiting waiters
	closed  bool
}

// Options of Open. The zero value is right for a node.
type Options struct {
	// Ring is how many command ids a NEW state remembers, RingSize when 0. All
	// replicas must agree; only tests set it.
	Ring uint64

	// History is how many bytes of history a NEW state keeps, HistoryBytes when
	// 0. All replicas must agree; only tests set it.
	History uint64

	// Full is called when the store has no room for a committed batch. It may
	// wait, and returns whether to try again; if not, or when it is nil, Apply
	// fails. Nothing is lost either way: the log still has the entries.
	Full func(error) bool
}

// Open returns the machine on what db holds. It reads the remembered command
// ids: some tens of milliseconds when the ring is full. The machine does not
// own db.
func Open(db *store.DB, o Options) (*Machine, error) {
	switch {
	case o.Ring == 0:
		o.Ring = RingSize
	case o.Ring > maxRing:
		return nil, errs.E(errs.Invalid, "a ring of %d command ids, the limit is %d", o.Ring, maxRing)
	}
	switch {
	case o.History == 0:
		o.History = HistoryBytes
	case o.History > maxHistory:
		return nil, errs.E(errs.Invalid, "a history of %d bytes, the limit is %d", o.History, uint64(maxHistory))
	}
	m := &Machine{db: db, opts: o, heads: newHeads(headSlots), hash: sha256.New()}
	if err := m.load(State{Ring: o.Ring, HistoryLimit: o.History}); err != nil {
		return nil, err
	}
	m.publish()
	return m, nil
}

// load reads the state from the store; a store without one begins with fresh.
func (m *Machine) load(fresh State) error {
	snap := m.db.Snapshot()
	defer snap.Close()
	n := inspector{st: fresh, found: true}
	v, ok, err := snap.Get(metaKey)
	if err != nil {
		return err
	}
	if ok {
		if err := n.pair(metaKey, v); err != nil {
			return err
		}
	}
	it := snap.Scan([]byte{prefixID}, []byte{prefixID + 1})
	defer it.Close()
	for it.Next() {
		if err := n.pair(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	m.st = n.st
	m.ring, err = n.ring()
	return err
}

// publish makes the applied state the one that views show and waiters see. On
// a closed machine it does nothing: a snapshot left behind would keep the store
// from closing.
func (m *Machine) publish() {
	next := &View{m: m, snap: m.db.Snapshot(), State: m.st, refs: 1}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		next.snap.Close()
		return
	}
	last := m.cur
	m.cur = next
	m.version.Store(m.st.Version)
	m.waiting.wake(m.st.Version)
	m.mu.Unlock()
	if last != nil {
		last.Release()
	}
}

// Close releases the machine's view and ends all waits with
// errs.Unavailable. Views that are out stay valid until they are released.
func (m *Machine) Close() {
	m.mu.Lock()
	last := m.cur
	m.cur, m.closed = nil, true
	m.waiting.wake(^uint64(0))
	m.mu.Unlock()
	if last != nil {
		last.Release()
	}
}

// View returns the published state. It costs a mutex; the caller owns one
// reference and must Release it. After Close it returns errs.Unavailable.
func (m *Machine) View() (*View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errStopped()
	}
	m.cur.refs++
	return m.cur, nil
}

// State returns where the published state stands; the zero State after Close.
func (m *Machine) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return State{}
	}
	return m.cur.State
}

// Wait returns once the published version is at least version, or with ctx's
// cause, or with errs.Unavailable when the machine closes.
func (m *Machine) Wait(ctx context.Context, version uint64) error {
	if m.version.Load() >= version {
		return nil
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return errStopped()
	}
	if m.cur.Version >= version {
		m.mu.Unlock()
		return nil
	}
	w := m.waiting.add(version)
	m.mu.Unlock()
	select {
	case <-w.done:
		if m.version.Load() < version {
			return errStopped()
		}
		return nil
	case <-ctx.Done():
		m.mu.Lock()
		m.waiting.remove(w)
		m.mu.Unlock()
		return context.Cause(ctx)
	}
}

func errStopped() error { return errs.E(errs.Unavailable, "this node is stopping") }

// Checkpoint makes a complete, durable copy of the store in dir, which must
// not exist, by hard links. The copy stands at the published state or later;
// everything up to it is durable in the store itself too. It may run beside
// Apply.
func (m *Machine) Checkpoint(dir string) error { return m.db.Checkpoint(dir) }

// Restore replaces the whole state by that of a stream made by WriteStream,
// which it checks throughout. On any error the state that was stays.
func (m *Machine) Restore(r io.Reader) error {
	var in inspector
	var g ring
	err := m.db.Replace(func(set func(key, value []byte) error) (err error) {
		if err = in.readStream(r, set); err == nil {
			g, err = in.ring()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("fsm: install a snapshot: %w", err)
	}
	m.st, m.ring = in.st, g
	m.heads.void()
	m.publish()
	return nil
}
