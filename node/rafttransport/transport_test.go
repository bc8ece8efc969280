package rafttransport

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/logbridge"
)

// tcp is Streams over plain TCP on loopback.
type tcp struct{ net.Listener }

func (tcp) Dial(address string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", address, timeout)
}

func listen(t *testing.T) tcp {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return tcp{l}
}

func start(t *testing.T, o Options) *Transport {
	t.Helper()
	if o.Streams == nil {
		o.Streams = listen(t)
	}
	o.Logger = logbridge.New(slog.New(slog.DiscardHandler))
	o.Timeout = 5 * time.Second
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// serve answers each request with what answer returns, until the test ends.
func serve(t *testing.T, tr *Transport, answer func(raft.RPC) any) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case rpc := <-tr.Consumer():
				rpc.Respond(answer(rpc), nil)
			case <-stop:
				return
			}
		}
	}()
}

// heartbeat has the shape by which a network transport knows one.
func heartbeat(term uint64) *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{
		//lint:ignore SA1019 network transports still look at Leader
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, Addr: []byte("leader:1")}, Term: term, Leader: []byte("leader:1"),
	}
}

func TestHeartbeatsQueueWithAllOtherRequests(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	var shortCuts, queued atomic.Int32
	b.SetHeartbeatHandler(func(rpc raft.RPC) {
		shortCuts.Add(1)
		rpc.Respond(&raft.AppendEntriesResponse{Term: 1}, nil)
	})
	serve(t, b, func(rpc raft.RPC) any {
		queued.Add(1)
		return &raft.AppendEntriesResponse{Term: rpc.Command.(*raft.AppendEntriesRequest).Term, Success: true}
	})
	var resp raft.AppendEntriesResponse
	if err := a.AppendEntries("b", b.LocalAddr(), heartbeat(7), &resp); err != nil {
		t.Fatal(err)
	}
	if shortCuts.Load() != 0 || queued.Load() != 1 || resp.Term != 7 {
		t.Errorf("%d short cuts, %d queued, answer %+v", shortCuts.Load(), queued.Load(), resp)
	}
}

// The fault that the wrapper is there for: the bare transport does take the
// short cut.
func TestTheBareTransportTakesTheShortCut(t *testing.T) {
	l := listen(t)
	bare := raft.NewNetworkTransportWithLogger(layer{l, address(l.Addr().String())}, 1, time.Second, logbridge.New(slog.New(slog.DiscardHandler)))
	t.Cleanup(func() { bare.Close() })
	bare.SetHeartbeatHandler(func(rpc raft.RPC) { rpc.Respond(&raft.AppendEntriesResponse{Term: 1}, nil) })
	var resp raft.AppendEntriesResponse
	if err := start(t, Options{}).AppendEntries("b", bare.LocalAddr(), heartbeat(7), &resp); err != nil || resp.Term != 1 {
		t.Errorf("answer %+v, %v", resp, err)
	}
}

func TestAppendsAreNotPipelined(t *testing.T) {
	_, inmem := raft.NewInmemTransport("")
	for name, tr := range map[string]*Transport{"network": start(t, Options{}), "in memory": Wrap(inmem, nil, nil)} {
		p, err := tr.AppendEntriesPipeline("b", "127.0.0.1:1")
		if p != nil || !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

// Raft looks for these with type assertions, so only a test notices the loss.
func TestOptionalInterfacesAreKept(t *testing.T) {
	var tr raft.Transport = start(t, Options{})
	if _, ok := tr.(raft.WithPreVote); !ok {
		t.Error("pre-votes are lost")
	}
	if _, ok := tr.(raft.WithClose); !ok {
		t.Error("the transport is never closed")
	}
}

func TestAllRequestsPass(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	serve(t, b, func(rpc raft.RPC) any {
		switch q := rpc.Command.(type) {
		case *raft.AppendEntriesRequest:
			return &raft.AppendEntriesResponse{Term: q.Term}
		case *raft.RequestVoteRequest:
			return &raft.RequestVoteResponse{Term: q.Term}
		case *raft.RequestPreVoteRequest:
			return &raft.RequestPreVoteResponse{Term: q.Term}
		case *raft.TimeoutNowRequest:
			return &raft.TimeoutNowResponse{}
		case *raft.InstallSnapshotRequest:
			p, err := io.ReadAll(rpc.Reader)
			return &raft.InstallSnapshotResponse{Term: q.Term, Success: err == nil && string(p) == "data"}
		}
		return nil
	})
	to := b.LocalAddr()
	var ae raft.AppendEntriesResponse
	var rv raft.RequestVoteResponse
	var pv raft.RequestPreVoteResponse
	var is raft.InstallSnapshotResponse
	err := errors.Join(
		a.AppendEntries("b", to, &raft.AppendEntriesRequest{Term: 1, Entries: []*raft.Log{{Index: 1}}}, &ae),
		a.RequestVote("b", to, &raft.RequestVoteRequest{Term: 2}, &rv),
		a.RequestPreVote("b", to, &raft.RequestPreVoteRequest{Term: 3}, &pv),
		a.InstallSnapshot("b", to, &raft.InstallSnapshotRequest{Term: 4, Size: 4}, &is, bytes.NewReader([]byte("data"))),
		a.TimeoutNow("b", to, &raft.TimeoutNowRequest{}, &raft.TimeoutNowResponse{}))
	if err != nil {
		t.Fatal(err)
	}
	if ae.Term != 1 || rv.Term != 2 || pv.Term != 3 || is.Term != 4 || !is.Success {
		t.Errorf("answers %+v %+v %+v %+v", ae, rv, pv, is)
	}
}

func TestAMuteMemberNeitherLeadsNorCampaigns(t *testing.T) {
	var mute atomic.Bool
	a, b := start(t, Options{Mute: mute.Load}), start(t, Options{})
	serve(t, b, func(rpc raft.RPC) any {
		switch rpc.Command.(type) {
		case *raft.TimeoutNowRequest:
			return &raft.TimeoutNowResponse{}
		}
		return &raft.AppendEntriesResponse{}
	})
	mute.Store(true)
	to := b.LocalAddr()
	for name, err := range map[string]error{
		"append":   a.AppendEntries("b", to, heartbeat(1), &raft.AppendEntriesResponse{}),
		"vote":     a.RequestVote("b", to, &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}),
		"pre-vote": a.RequestPreVote("b", to, &raft.RequestPreVoteRequest{}, &raft.RequestPreVoteResponse{}),
		"snapshot": a.InstallSnapshot("b", to, &raft.InstallSnapshotRequest{}, &raft.InstallSnapshotResponse{}, nil),
	} {
		if !errors.Is(err, ErrMute) {
			t.Errorf("%s went out: %v", name, err)
		}
	}
	if err := a.TimeoutNow("b", to, &raft.TimeoutNowRequest{}, &raft.TimeoutNowResponse{}); err != nil {
		t.Errorf("the leadership cannot be handed on: %v", err)
	}
	mute.Store(false)
	if err := a.AppendEntries("b", to, heartbeat(1), &raft.AppendEntriesResponse{}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestMembersAreDialledWhereTheyAreNow(t *testing.T) {
	b := start(t, Options{})
	serve(t, b, func(raft.RPC) any { return &raft.AppendEntriesResponse{Success: true} })
	var known atomic.Bool
	a := start(t, Options{Address: func(id raft.ServerID) (raft.ServerAddress, bool) {
		return b.LocalAddr(), id == "b" && known.Load()
	}})
	old := listen(t)
	gone := raft.ServerAddress(old.Addr().String())
	old.Close()
	if err := a.AppendEntries("b", gone, heartbeat(1), &raft.AppendEntriesResponse{}); err == nil {
		t.Fatal("an answer from nowhere")
	}
	known.Store(true)
	if err := a.AppendEntries("b", gone, heartbeat(1), &raft.AppendEntriesResponse{}); err != nil {
		t.Errorf("its new address is not dialled: %v", err)
	}
	if err := a.AppendEntries("c", b.LocalAddr(), heartbeat(1), &raft.AppendEntriesResponse{}); err != nil {
		t.Errorf("an unknown member is not dialled at its configured address: %v", err)
	}
}

func TestAdvertisedAddress(t *testing.T) {
	for addr, ok := range map[string]bool{
		"n1.example:8701": true, "127.0.0.1:1": true, "[::1]:1": true,
		"0.0.0.0:1": false, "[::]:1": false, ":1": false, "n1": false, "n1:0": false, "n1:": false,
	} {
		l := listen(t)
		tr, err := New(Options{Streams: l, Advertise: addr, Logger: logbridge.New(slog.New(slog.DiscardHandler))})
		if (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: kind %v", addr, errs.KindOf(err))
		}
		if err == nil {
			if got := tr.LocalAddr(); string(got) != addr {
				t.Errorf("LocalAddr %s, want %s", got, addr)
			}
			tr.Close()
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a transport without streams")
	}
}

// member is one of a cluster in memory, for the test below.
type member struct {
	raft *raft.Raft
	mute atomic.Bool
}

func cluster(t *testing.T, ids ...raft.ServerID) map[raft.ServerID]*member {
	t.Helper()
	members := map[raft.ServerID]*member{}
	inner := map[raft.ServerID]*raft.InmemTransport{}
	var servers raft.Configuration
	for _, id := range ids {
		addr, tr := raft.NewInmemTransport("")
		inner[id] = tr
		servers.Servers = append(servers.Servers, raft.Server{ID: id, Address: addr})
	}
	for _, a := range inner {
		for _, b := range inner {
			a.Connect(b.LocalAddr(), b)
		}
	}
	for _, id := range ids {
		m := &member{}
		c := raft.DefaultConfig()
		c.LocalID, c.Logger = id, logbridge.New(slog.New(slog.DiscardHandler))
		store, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
		tr := Wrap(inner[id], m.mute.Load, nil)
		if err := raft.BootstrapCluster(c, store, store, snaps, tr, servers); err != nil {
			t.Fatal(err)
		}
		r, err := raft.NewRaft(c, &raft.MockFSM{}, store, store, snaps, tr)
		if err != nil {
			t.Fatal(err)
		}
		m.raft = r
		members[id] = m
		t.Cleanup(func() { r.Shutdown().Error() })
	}
	return members
}

func leaders(members map[raft.ServerID]*member) (ids []raft.ServerID) {
	for id, m := range members {
		if m.raft.State() == raft.Leader {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestAMuteLeaderIsReplacedAndComesBackAsAFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		members := cluster(t, "a", "b", "c")
		time.Sleep(10 * time.Second)
		first := leaders(members)
		if len(first) != 1 {
			t.Fatalf("leaders %v", first)
		}
		old := members[first[0]]
		term := old.raft.CurrentTerm()
		old.mute.Store(true)
		time.Sleep(30 * time.Second)
		now := leaders(members)
		if len(now) != 1 || now[0] == first[0] {
			t.Fatalf("leaders %v after %v went mute", now, first)
		}
		after := members[now[0]].raft.CurrentTerm()
		if after <= term {
			t.Errorf("term %d after %d", after, term)
		}
		old.mute.Store(false)
		time.Sleep(30 * time.Second)
		if got := leaders(members); len(got) != 1 || got[0] != now[0] || old.raft.CurrentTerm() != after {
			t.Errorf("the return of the mute member disturbed the cluster: leaders %v, term %d", got, old.raft.CurrentTerm())
		}
		for _, m := range members {
			m.raft.Shutdown().Error()
		}
	})
}
