package rafttransport

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func next(t *testing.T, r *relay) *raft.AppendEntriesRequest {
	t.Helper()
	select {
	case rpc := <-r.to:
		return rpc.Command.(*raft.AppendEntriesRequest)
	case <-time.After(10 * time.Second):
		t.Fatal("no request came")
		return nil
	}
}

func TestANoticeWaitsForItsEntry(t *testing.T) {
	from := make(chan raft.RPC)
	r := startRelay(from, Options{Last: func() uint64 { return 4 }}.complete())
	defer r.close()
	r.notice(Notice{LeaderID: "a", LeaderAddr: "h:1", Term: 2, Index: 7, EntryTerm: 2})
	r.notice(Notice{LeaderID: "a", LeaderAddr: "h:1", Term: 2, Index: 6, EntryTerm: 2}) // older news
	entries := func(last uint64) raft.RPC {
		return raft.RPC{Command: &raft.AppendEntriesRequest{Entries: []*raft.Log{{Index: last}}}}
	}
	for _, last := range []uint64{5, 6} {
		from <- entries(last)
		if q := next(t, r); len(q.Entries) == 0 {
			t.Fatalf("the notice came before its entry: %+v", q)
		}
	}
	from <- entries(7)
	if q := next(t, r); len(q.Entries) != 1 {
		t.Fatalf("the notice overtook its entry: %+v", q)
	}
	q := next(t, r)
	if q.Term != 2 || q.PrevLogEntry != 7 || q.PrevLogTerm != 2 || q.LeaderCommitIndex != 7 ||
		len(q.Entries) != 0 || string(q.ID) != "a" || string(q.Addr) != "h:1" {
		t.Errorf("the notice became %+v", q)
	}
	r.notice(Notice{Term: 2, Index: 4, EntryTerm: 1})
	if q := next(t, r); q.LeaderCommitIndex != 4 || q.PrevLogTerm != 1 {
		t.Errorf("a notice of an entry that is in the log became %+v", q)
	}
}

func TestARelayEndsWithNobodyListening(t *testing.T) {
	from := make(chan raft.RPC, 1)
	r := startRelay(from, Options{Last: func() uint64 { return 9 }}.complete())
	from <- raft.RPC{Command: &raft.RequestVoteRequest{}}
	r.notice(Notice{Index: 1})
	r.close()
	r.notice(Notice{Index: 2})
	r.close()
}

// The notice of a leader takes effect in Raft, and that of a wrong term or a
// wrong entry does not.
func TestRaftBelievesOnlyATrueNotice(t *testing.T) {
	store := raft.NewInmemStore()
	_, trans := raft.NewInmemTransport("b")
	wrapped := Wrap(trans, nil, func() uint64 { i, _ := store.LastIndex(); return i })
	conf := raft.DefaultConfig()
	conf.LocalID, conf.LogLevel = "b", "ERROR"
	conf.HeartbeatTimeout, conf.ElectionTimeout = time.Minute, time.Minute
	for i := uint64(1); i <= 3; i++ {
		if err := store.StoreLog(&raft.Log{Index: i, Term: 1, Type: raft.LogCommand}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.SetUint64([]byte("CurrentTerm"), 2); err != nil {
		t.Fatal(err)
	}
	r, err := raft.NewRaft(conf, &raft.MockFSM{}, store, store, raft.NewInmemSnapshotStore(), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { r.Shutdown().Error() }()
	for _, c := range []struct {
		n    Notice
		want uint64
	}{
		{Notice{"a", "a", 1, 3, 1}, 0}, // of an earlier term
		{Notice{"a", "a", 2, 3, 2}, 0}, // of another entry
		{Notice{"a", "a", 2, 2, 1}, 2},
	} {
		rpc, answered := c.n.request(), make(chan raft.RPCResponse, 1)
		rpc.RespChan = answered
		wrapped.relay.send(rpc)
		<-answered
		if got := r.CommitIndex(); got != c.want {
			t.Errorf("after %+v the commit index is %d, want %d", c.n, got, c.want)
		}
	}
}
