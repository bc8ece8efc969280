package raftlog

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/coveydb/covey/internal/errs"
)

// keyTerm is the key under which Raft keeps its current term.
const keyTerm = "CurrentTerm"

// The keys under which Raft keeps a vote. It sets the term first, then the
// candidate, in two calls.
const (
	keyVoteTerm      = "LastVoteTerm"
	keyVoteCandidate = "LastVoteCand"
)

// keyVote holds both as one value: term as 8 bytes big endian, then candidate.
const keyVote = "Vote"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stable is a stable store in which a vote is one value, and so one Bolt
// transaction. BoltStore has no write of two keys, and one value needs none:
// the term is held back in memory until the candidate comes. Raft counts its
// vote as cast only after the second call, so between the two nothing is
// promised, and readers see the vote before. Were the new term stored with the
// old candidate, a request from that candidate in the new term would be granted
// as a repetition, without a look at its log.
type stable struct {
	inner raft.StableStore
	guard *guard

	broken atomic.Pointer[error] // set by the first write that failed

	mu   sync.Mutex
	term *uint64 // of a vote whose candidate has not come
}

func newStable(inner raft.StableStore, g *guard) *stable {
	return &stable{inner: inner, guard: g}
}

func (s *stable) Set(key, val []byte) error {
	switch string(key) {
	case keyVoteTerm:
		if len(val) != 8 {
			return errs.E(errs.Internal, "stable store: %s of %d bytes, want 8", key, len(val))
		}
		return s.SetUint64(key, binary.BigEndian.Uint64(val))
	case keyVoteCandidate:
		return s.castVote(val)
	}
	return s.put(string(key), val)
}

func (s *stable) SetUint64(key []byte, val uint64) error {
	if string(key) == keyVoteTerm {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.term = &val
		return nil
	}
	err := s.put(string(key), binary.BigEndian.AppendUint64(nil, val))
	if string(key) == keyTerm && s.broken.Load() != nil {
		// Raft panics when it cannot keep its term, and the node is told to stop
		// already. Until it has, nothing can be promised in a term that is kept in
		// memory only: no vote and no entry gets to the disk any more.
		return nil
	}
	return err
}

// castVote writes the term held back and the candidate.
func (s *stable) castVote(candidate []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term == nil {
		return errs.E(errs.Internal, "stable store: a candidate without a term")
	}
	term := *s.term
	s.term = nil
	return s.put(keyVote, append(binary.BigEndian.AppendUint64(nil, term), candidate...))
}

// Get returns a copy of the value, and an error that reads "not found" if there
// is none: Raft knows it by that text.
func (s *stable) Get(key []byte) ([]byte, error) {
	switch string(key) {
	case keyVoteTerm, keyVoteCandidate:
		vote, err := s.get(keyVote)
		if err != nil {
			return nil, err
		}
		if len(vote) < 8 {
			return nil, errs.E(errs.Internal, "stable store: vote of %d bytes", len(vote))
		}
		if string(key) == keyVoteTerm {
			return vote[:8], nil
		}
		return vote[8:], nil
	}
	return s.get(string(key))
}

func (s *stable) GetUint64(key []byte) (uint64, error) {
	val, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(val) != 8 {
		return 0, errs.E(errs.Internal, "stable store: %s of %d bytes, want 8", key, len(val))
	}
	return binary.BigEndian.Uint64(val), nil
}

// put writes a value behind its checksum.
func (s *stable) put(key string, val []byte) error {
	sealed := append(binary.BigEndian.AppendUint32(nil, checksum(key, val)), val...)
	if err := s.broken.Load(); err != nil {
		return *err
	}
	what := "write " + key
	write := func() error { return s.inner.Set([]byte(key), sealed) }
	err := s.guard.run(what, write)
	if notWritten(err) && s.guard.disk.giveUpBallast() {
		err = s.guard.run(what, write)
	}
	if err == nil {
		return nil
	}
	err = storeError(what, err)
	s.broken.Store(&err)
	s.guard.fatal(err)
	return err
}

func (s *stable) get(key string) ([]byte, error) {
	sealed, err := s.inner.Get([]byte(key))
	if err == raftboltdb.ErrKeyNotFound {
		return nil, err
	}
	if err != nil {
		return nil, errs.E(errs.Internal, "stable store: read %s: %w", key, err)
	}
	if len(sealed) < 4 || binary.BigEndian.Uint32(sealed) != checksum(key, sealed[4:]) {
		return nil, errs.E(errs.Internal, "stable store: %s is damaged: its checksum does not fit; start with an empty data folder to fetch everything from the other members", key)
	}
	return sealed[4:], nil
}

// checksum covers the key too, so that a value cannot stand under another.
func checksum(key string, val []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, val)
}
