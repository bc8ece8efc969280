package raftlog

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/coveydb/covey/internal/errs"
)

// vote writes a vote as Raft does.
func vote(t *testing.T, s raft.StableStore, term uint64, candidate string) {
	t.Helper()
	if err := s.SetUint64([]byte(keyVoteTerm), term); err != nil {
		t.Fatal(err)
	}
	if err := s.Set([]byte(keyVoteCandidate), []byte(candidate)); err != nil {
		t.Fatal(err)
	}
}

func wantVote(t *testing.T, s raft.StableStore, term uint64, candidate string) {
	t.Helper()
	gotTerm, err := s.GetUint64([]byte(keyVoteTerm))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Get([]byte(keyVoteCandidate))
	if err != nil {
		t.Fatal(err)
	}
	if gotTerm != term || string(got) != candidate {
		t.Errorf("vote %d for %s, want %d for %s", gotTerm, got, term, candidate)
	}
}

func TestAVoteIsThereInFullOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, WAL)
	vote(t, s.Stable, 1, "a")
	wantVote(t, s.Stable, 1, "a")
	// A crash between the two writes of the next vote.
	if err := s.Stable.SetUint64([]byte(keyVoteTerm), 2); err != nil {
		t.Fatal(err)
	}
	wantVote(t, s.Stable, 1, "a")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, WAL)
	wantVote(t, s.Stable, 1, "a")
	vote(t, s.Stable, 2, "b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantVote(t, open(t, dir, WAL).Stable, 2, "b")
}

// The fault that the wrapper is there for. If this fails the library has
// changed, and the wrapper may go.
func TestTheBareStoreMixesTwoVotes(t *testing.T) {
	bare, err := raftboltdb.NewBoltStore(filepath.Join(t.TempDir(), "bare.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	vote(t, bare, 1, "a")
	if err := bare.SetUint64([]byte(keyVoteTerm), 2); err != nil {
		t.Fatal(err)
	}
	wantVote(t, bare, 2, "a")
}

// Raft itself must write its votes under the keys that the wrapper knows.
func TestRaftVotesThroughTheWrapper(t *testing.T) {
	dir := t.TempDir()
	bare, err := raftboltdb.NewBoltStore(filepath.Join(dir, stableFile))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	g, _ := testGuard(t, nil)
	s := newStable(bare, g)
	addr, trans := raft.NewInmemTransport("")
	c := raft.DefaultConfig()
	c.LocalID = "n1"
	c.Logger = hclog.New(&hclog.LoggerOptions{Output: io.Discard})
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 20*time.Millisecond, time.Second, 10*time.Millisecond
	log, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	servers := raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: addr}}}
	if err := raft.BootstrapCluster(c, log, s, snaps, trans, servers); err != nil {
		t.Fatal(err)
	}
	r, err := raft.NewRaft(c, &raft.MockFSM{}, log, s, snaps, trans)
	if err != nil {
		t.Fatal(err)
	}
	<-r.LeaderCh()
	if err := r.Shutdown().Error(); err != nil {
		t.Fatal(err)
	}
	wantVote(t, s, 2, string(addr))
	if term, err := s.GetUint64([]byte("CurrentTerm")); term != 2 || err != nil {
		t.Errorf("term %d, %v", term, err)
	}
	if _, err := bare.Get([]byte(keyVoteTerm)); err == nil {
		t.Error("the term of the vote is stored apart")
	}
}

func TestStableStoreAnswersAsRaftExpects(t *testing.T) {
	s := open(t, t.TempDir(), WAL).Stable
	for _, key := range []string{"CurrentTerm", keyVoteTerm, keyVoteCandidate, "other"} {
		if _, err := s.Get([]byte(key)); err == nil || err.Error() != "not found" {
			t.Errorf("%s: %v", key, err)
		}
		if _, err := s.GetUint64([]byte(key)); err == nil || err.Error() != "not found" {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := s.SetUint64([]byte("CurrentTerm"), 1<<63); err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetUint64([]byte("CurrentTerm")); got != 1<<63 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	if err := s.Set([]byte("other"), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get([]byte("other")); len(got) != 0 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := s.GetUint64([]byte("other")); !errs.Is(err, errs.Internal) {
		t.Errorf("a number of no bytes: %v", err)
	}
	if err := s.Set([]byte(keyVoteCandidate), []byte("a")); !errs.Is(err, errs.Internal) {
		t.Errorf("a candidate without a term: %v", err)
	}
	if err := s.Set([]byte(keyVoteTerm), []byte("short")); !errs.Is(err, errs.Internal) {
		t.Errorf("a term of five bytes: %v", err)
	}
	if err := s.Set([]byte(keyVoteTerm), []byte{7: 9}); err != nil {
		t.Errorf("a term as bytes: %v", err)
	}
	if err := s.Set([]byte(keyVoteCandidate), []byte("a")); err != nil {
		t.Fatal(err)
	}
	wantVote(t, s, 9, "a")
}

func TestDamageInTheStableStoreIsSeen(t *testing.T) {
	g, _ := testGuard(t, nil)
	inner := raft.NewInmemStore()
	s := newStable(nonNil{inner}, g)
	if err := s.SetUint64([]byte("CurrentTerm"), 5); err != nil {
		t.Fatal(err)
	}
	good, err := inner.Get([]byte("CurrentTerm"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		inner.Set([]byte("CurrentTerm"), bad)
		if got, err := s.GetUint64([]byte("CurrentTerm")); !errs.Is(err, errs.Internal) {
			t.Errorf("bit %d: %d, %v", i, got, err)
		}
	}
	inner.Set([]byte("CurrentTerm"), good[:3])
	if _, err := s.GetUint64([]byte("CurrentTerm")); !errs.Is(err, errs.Internal) {
		t.Errorf("cut short: %v", err)
	}
	inner.Set([]byte("another"), good)
	if _, err := s.Get([]byte("another")); !errs.Is(err, errs.Internal) {
		t.Errorf("under another key: %v", err)
	}
}

// nonNil answers for a missing key as raft-boltdb does.
type nonNil struct{ *raft.InmemStore }

func (n nonNil) Get(key []byte) ([]byte, error) {
	v, err := n.InmemStore.Get(key)
	if err != nil {
		return nil, raftboltdb.ErrKeyNotFound
	}
	return v, nil
}

// Raft panics when its term cannot be kept. A store that is broken takes it in
// memory, until the node has stopped; but it takes no vote.
func TestABrokenStableStoreTakesATermButNoVote(t *testing.T) {
	g, c := testGuard(t, nil)
	f := newFaultyLog()
	s := newStable(f, g)
	if err := s.SetUint64([]byte(keyTerm), 3); err != nil {
		t.Fatal(err)
	}
	f.fails = []error{syscall.EIO}
	for term := range uint64(2) {
		if err := s.SetUint64([]byte(keyTerm), 4+term); err != nil {
			t.Errorf("term %d: %v", 4+term, err)
		}
	}
	c.want(t, 0, 1)
	if err := s.SetUint64([]byte(keyVoteTerm), 5); err != nil {
		t.Fatal(err)
	}
	if err := s.Set([]byte(keyVoteCandidate), []byte("n2")); !errors.Is(err, syscall.EIO) {
		t.Errorf("a vote: %v", err)
	}
	if got, err := s.GetUint64([]byte(keyTerm)); err != nil || got != 3 {
		t.Errorf("the term on disk is %d, %v; want 3", got, err)
	}
}
