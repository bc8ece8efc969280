package rafttransport

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"
)

func TestACrammedMemberFollowsButTakesNothing(t *testing.T) {
	var crammed atomic.Bool
	a, b := start(t, Options{}), start(t, Options{Crammed: crammed.Load, Installing: func(uint64) {
		if crammed.Load() {
			t.Error("told of a snapshot that was refused")
		}
	}})
	serve(t, b, func(rpc raft.RPC) any {
		switch rpc.Command.(type) {
		case *raft.AppendEntriesRequest:
			return &raft.AppendEntriesResponse{Success: true}
		case *raft.RequestVoteRequest:
			return &raft.RequestVoteResponse{Granted: true}
		}
		return &raft.InstallSnapshotResponse{Success: true}
	})
	to := b.LocalAddr()
	entries := heartbeat(2)
	entries.Entries = []*raft.Log{{Index: 1, Term: 2}}
	send := map[string]func() error{
		"entries":   func() error { return a.AppendEntries("b", to, entries, &raft.AppendEntriesResponse{}) },
		"heartbeat": func() error { return a.AppendEntries("b", to, heartbeat(2), &raft.AppendEntriesResponse{}) },
		"vote": func() error {
			return a.RequestVote("b", to, &raft.RequestVoteRequest{RPCHeader: heartbeat(2).RPCHeader}, &raft.RequestVoteResponse{})
		},
		"snapshot": func() error {
			q := &raft.InstallSnapshotRequest{RPCHeader: heartbeat(2).RPCHeader, Size: 3}
			return a.InstallSnapshot("b", to, q, &raft.InstallSnapshotResponse{}, strings.NewReader("abc"))
		},
	}
	refused := map[string]bool{"entries": true, "snapshot": true}
	for _, full := range []bool{true, false} {
		crammed.Store(full)
		for name, do := range send {
			err := do()
			if want := full && refused[name]; (err != nil) != want {
				t.Errorf("crammed %v, %s: %v", full, name, err)
			}
			if err != nil && !strings.Contains(err.Error(), "no room for more") {
				t.Errorf("%s: %v does not say why", name, err)
			}
		}
	}
}
