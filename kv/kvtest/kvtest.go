// Package kvtest gives tests a kv.DB in memory that commits through the true
// state machine, with a clock that the test turns and conflicts, errors and
// lost answers that it injects. It has no Raft and no network.
package kvtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/store"
)

// Start is what a new Store's clock shows: unix milliseconds.
const Start = 1_700_000_000_000

// Store is one replica that is always its own leader. Safe for concurrent use.
type Store struct {
	DB *kv.DB

	machine *fsm.Machine

	mu        sync.Mutex
	now       int64
	index     uint64
	conflicts int
	failure   error
	lost      int
	repeats   int
	commits   int
}

// New returns an empty Store that ends with the test.
func New(t testing.TB) *Store { return NewForgetful(t, 0) }

// NewForgetful is New with a state machine that remembers the ids of only so
// many commands; 0 is as many as a cluster does.
func NewForgetful(t testing.TB, ids uint64) *Store { return open(t, fsm.Options{Ring: ids}) }

// NewShort is New with a state that keeps only so many bytes of history.
func NewShort(t testing.TB, history uint64) *Store { return open(t, fsm.Options{History: history}) }

func open(t testing.TB, o fsm.Options) *Store {
	t.Helper()
	db, err := store.Open(store.Options{Dir: "kvtest", FS: store.MemFS(), MemTableBytes: 1 << 20, CacheBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	m, err := fsm.Open(db, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{machine: m, now: Start}
	s.DB = kv.New(s)
	t.Cleanup(func() {
		m.Close()
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

// Now returns the clock, unix milliseconds.
func (s *Store) Now() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Advance turns the clock by d.
func (s *Store) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += d.Milliseconds()
}

// ConflictNext makes the next n commits answer that something they read has
// changed.
func (s *Store) ConflictNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conflicts = n
}

// FailNext makes the next commit fail with err, without being applied.
func (s *Store) FailNext(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// LoseNext makes the next n commits take effect and then fail with
// errs.Unknown, as if the answer had been lost.
func (s *Store) LoseNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = n
}

// RepeatNext makes the next n commits go through the log twice, as when a leader
// falls before it has answered the node that forwarded a command.
func (s *Store) RepeatNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repeats = n
}

// Commits returns how many commits were tried, those made to fail included.
func (s *Store) Commits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commits
}

// Reap gives back the storage of all expired records, as a leader does.
func (s *Store) Reap() error {
	var id command.ID
	s.mu.Lock()
	copy(id[:], "reap")
	id[15], id[14], id[13] = byte(s.index), byte(s.index>>8), byte(s.index>>16)
	s.mu.Unlock()
	_, err := s.Commit(context.Background(), &command.Command{ID: id, Ops: []command.Op{{Kind: command.Reap, Limit: 1 << 20}}})
	return err
}

// Wait returns once the state is at version: with View it makes the Store a
// source of a feed.
func (s *Store) Wait(ctx context.Context, version uint64) error { return s.machine.Wait(ctx, version) }

// View implements kv.Backend.
func (s *Store) View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, kv.ReadInfo{}, errs.E(errs.Unavailable, "read: %w", err)
	}
	v, err := s.machine.View()
	if err != nil {
		return nil, kv.ReadInfo{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return v, kv.ReadInfo{Version: v.Version, Now: max(v.Clock, s.now), Consistency: c}, nil
}

// Commit implements kv.Backend.
func (s *Store) Commit(ctx context.Context, cmd *command.Command) (command.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	if err := ctx.Err(); err != nil {
		return command.Result{}, errs.E(errs.Unavailable, "commit: %w", err)
	}
	if err := s.failure; err != nil {
		s.failure = nil
		return command.Result{}, err
	}
	if s.conflicts > 0 {
		s.conflicts--
		return command.Result{Outcome: command.Conflict, Msg: "injected"}, nil
	}
	res, err := s.apply(cmd)
	if err == nil && s.repeats > 0 {
		s.repeats--
		res, err = s.apply(cmd)
	}
	if err != nil {
		return command.Result{}, err
	}
	if s.lost > 0 {
		s.lost--
		return command.Result{}, errs.E(errs.Unknown, "the answer was lost (injected)")
	}
	return res, nil
}

func (s *Store) apply(cmd *command.Command) (command.Result, error) {
	s.index++
	entry := fsm.Entry{Index: s.index, Data: command.AppendEntry(nil, s.now, cmd.Append(nil))}
	res, err := s.machine.Apply([]fsm.Entry{entry})
	if err != nil {
		return command.Result{}, err
	}
	return res[0][0], nil
}
