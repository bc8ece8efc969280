package rafttransport

import (
	"sync"

	"github.com/hashicorp/raft"
)

// Notice is what a leader would say in its next AppendEntries: that it leads in
// Term and has committed its log up to an entry.
type Notice struct {
	LeaderID   raft.ServerID
	LeaderAddr raft.ServerAddress
	Term       uint64 // in which it leads
	Index      uint64 // of the last committed entry that it tells of
	EntryTerm  uint64 // of that entry
}

// relay hands the requests of other members to Raft, and between them the
// notices that this member got by another way.
//
// Raft tells a follower that an entry is committed with the next message to it,
// which on an idle cluster comes a commit time-out later; until then neither
// the write that was sent through the follower nor a read there can be
// answered. The leader's answer to that very write, or read, can carry the news
// just as well. It becomes an AppendEntries without entries, and Raft treats it
// as any other: it counts only in the leader's term, and only if the log has
// that entry of that term, so by the log matching property the whole log up to
// it is the leader's.
type relay struct {
	from <-chan raft.RPC
	to   chan raft.RPC
	last func() uint64 // index of the last entry in the log

	installing func(index uint64) // is told of snapshots that come
	crammed    func() bool        // there is no room for entries
	blank      func(uint64) bool  // there is no vote for a log that ends there

	mu      sync.Mutex
	pending *Notice
	rung    chan struct{} // capacity 1
	stop    chan struct{}
	once    sync.Once
	done    chan struct{}
}

func startRelay(from <-chan raft.RPC, o Options) *relay {
	r := &relay{from: from, to: make(chan raft.RPC), last: o.Last, installing: o.Installing, crammed: o.Crammed, blank: o.Blank,
		rung: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go r.run()
	return r
}

// notice passes on n, unless a later one waits.
func (r *relay) notice(n Notice) {
	r.mu.Lock()
	if p := r.pending; p == nil || p.Term < n.Term || p.Term == n.Term && p.Index < n.Index {
		r.pending = &n
	}
	r.mu.Unlock()
	select {
	case r.rung <- struct{}{}:
	default:
	}
}

func (r *relay) close() {
	r.once.Do(func() { close(r.stop) })
	<-r.done
}

func (r *relay) run() {
	defer close(r.done)
	var reaches uint64 // index of the last entry handed to Raft
	for {
		select {
		case rpc := <-r.from:
			if brings(rpc) && r.crammed() {
				rpc.Respond(nil, ErrCrammed)
				continue
			}
			if last, ok := asksForVote(rpc); ok && r.blank(last) {
				rpc.Respond(nil, ErrBlank)
				continue
			}
			if q, ok := rpc.Command.(*raft.InstallSnapshotRequest); ok {
				r.installing(q.LastLogIndex)
			}
			if !r.send(rpc) {
				return
			}
			q, ok := rpc.Command.(*raft.AppendEntriesRequest)
			if !ok || len(q.Entries) == 0 {
				continue
			}
			reaches = q.Entries[len(q.Entries)-1].Index
		case <-r.rung:
		case <-r.stop:
			return
		}
		if n, ok := r.take(max(reaches, r.last())); ok && !r.send(n.request()) {
			return
		}
	}
}

// brings reports whether a request needs room in the log or beside it.
// Heartbeats do not: who is crammed goes on following.
func brings(rpc raft.RPC) bool {
	switch q := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		return len(q.Entries) > 0
	case *raft.InstallSnapshotRequest:
		return true
	}
	return false
}

// asksForVote returns where the log of a candidate ends.
func asksForVote(rpc raft.RPC) (last uint64, ok bool) {
	switch q := rpc.Command.(type) {
	case *raft.RequestVoteRequest:
		return q.LastLogIndex, true
	case *raft.RequestPreVoteRequest:
		return q.LastLogIndex, true
	}
	return 0, false
}

// take removes the pending notice if its entry is, or will be, in the log when
// Raft comes to it.
func (r *relay) take(reaches uint64) (Notice, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil || r.pending.Index > reaches {
		return Notice{}, false
	}
	n := *r.pending
	r.pending = nil
	return n, true
}

func (r *relay) send(rpc raft.RPC) bool {
	select {
	case r.to <- rpc:
		return true
	case <-r.stop:
		return false
	}
}

// request is the message that says what n says. Nobody waits for the answer.
func (n Notice) request() raft.RPC {
	return raft.RPC{
		Command: &raft.AppendEntriesRequest{
			RPCHeader: raft.RPCHeader{
				ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.LeaderID), Addr: []byte(n.LeaderAddr),
			},
			Term:         n.Term,
			PrevLogEntry: n.Index, PrevLogTerm: n.EntryTerm,
			LeaderCommitIndex: n.Index,
		},
		RespChan: make(chan raft.RPCResponse, 1),
	}
}
