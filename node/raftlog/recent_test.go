package raftlog

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"
)

// counted is a log store that says how often it is asked for an entry, and
// refuses to store when it is told to.
type counted struct {
	*raft.InmemStore
	gets   int
	refuse error
}

func (c *counted) GetLog(index uint64, log *raft.Log) error {
	c.gets++
	return c.InmemStore.GetLog(index, log)
}

func (c *counted) StoreLogs(logs []*raft.Log) error {
	if c.refuse != nil {
		return c.refuse
	}
	return c.InmemStore.StoreLogs(logs)
}

func TestRecentEntriesAreBoundedByBytes(t *testing.T) {
	below := &counted{InmemStore: raft.NewInmemStore()}
	l := newRecentLog(below)
	for i := range uint64(100) {
		if err := l.StoreLog(&raft.Log{Index: i + 1, Data: make([]byte, 1<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	if l.bytes > recentBytes || l.next-l.first != recentBytes>>20 {
		t.Errorf("%d bytes in %d entries", l.bytes, l.next-l.first)
	}
	if err := l.StoreLog(&raft.Log{Index: 101, Data: make([]byte, 2*recentBytes)}); err != nil {
		t.Fatal(err)
	}
	var got raft.Log
	if err := l.GetLog(101, &got); err != nil || below.gets != 0 || l.next-l.first != 1 {
		t.Errorf("the newest entry, %v: asked %d times for it, %d are kept", err, below.gets, l.next-l.first)
	}
}

// TestRecentEntriesAreThoseOfTheLog compares with the store below through random
// appends, truncations at both ends and refusals.
func TestRecentEntriesAreThoseOfTheLog(t *testing.T) {
	data := make([]byte, 200_000)
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		below := &counted{InmemStore: raft.NewInmemStore()}
		l := newRecentLog(below)
		first, next, term := uint64(1), uint64(1), uint64(1)
		for range 300 {
			switch rnd.IntN(10) {
			case 0: // what a new leader overwrites
				if from := first + rnd.Uint64N(next-first+1); from < next {
					if err := l.DeleteRange(from, next-1); err != nil {
						t.Fatal(err)
					}
					next = from
				}
				term++
			case 1: // what a snapshot holds
				if to := first + rnd.Uint64N(next-first+1); to > first {
					if err := l.DeleteRange(first, to-1); err != nil {
						t.Fatal(err)
					}
					first = to
				}
			case 2:
				below.refuse = errors.New("full")
				if err := l.StoreLog(&raft.Log{Index: next, Term: 1 << 40}); err == nil {
					t.Fatal("stored")
				}
				below.refuse = nil
			default:
				var logs []*raft.Log
				for range 1 + rnd.IntN(60) {
					logs = append(logs, &raft.Log{Index: next, Term: term, Data: data[:rnd.IntN(len(data))]})
					next++
				}
				if err := l.StoreLogs(logs); err != nil {
					t.Fatal(err)
				}
			}
			for range 20 {
				var got, want raft.Log
				index := first + rnd.Uint64N(next-first+2)
				err, wantErr := l.GetLog(index, &got), below.InmemStore.GetLog(index, &want)
				if !errors.Is(err, wantErr) || got.Index != want.Index || got.Term != want.Term || len(got.Data) != len(want.Data) {
					t.Fatalf("seed %d: entry %d is of term %d, %v; want term %d, %v", seed, index, got.Term, err, want.Term, wantErr)
				}
			}
		}
	}
}
