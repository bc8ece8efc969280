package node

import (
	"context"
	"reflect"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/kv"
)

// A transfer of the lead that never ends leaves Raft's mark that one is under
// way, and a leader that refuses all writes (hashicorp/raft issue 696). The mark
// is the library's own; nothing but a broken transfer, which takes luck, sets it
// for good, so the test does.
func TestALeaderThatIsStuckInATransferTakesWritesAgain(t *testing.T) {
	t.Parallel()
	nodes := three(t, 200*time.Millisecond)
	c := nodes[0].consensus.Load()
	mark := reflect.ValueOf(c.raft).Elem().FieldByName("leaderState").FieldByName("leadershipTransferInProgress")
	atomic.StoreInt32((*int32)(unsafe.Pointer(mark.UnsafeAddr())), 1)
	if err := c.raft.Barrier(time.Second).Error(); err != raft.ErrLeadershipTransferInProgress {
		t.Fatalf("the leader is not stuck: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, n := range nodes {
		if _, err := kv.New(n).Update(ctx, func(tx *kv.Tx) error { tx.Set([]byte("k"), []byte("v"), 0); return nil }); err != nil {
			t.Fatalf("through %s: %v", n.cfg.ID, err)
		}
	}
	if nodes[0].consensus.Load() == c {
		t.Error("it was cured by something else than a restart of Raft")
	}
}

// The mark of a transfer that the node itself has begun is no reason to restart.
func TestARefusalNowAndThenIsNoStall(t *testing.T) {
	var r refusals
	const limit = time.Millisecond
	for range 3 {
		if r.tooLong(raft.ErrLeadershipTransferInProgress, time.Hour) {
			t.Fatal("one refusal is too long")
		}
	}
	r.since = time.Now().Add(-time.Minute)
	if r.tooLong(nil, limit) {
		t.Fatal("a success is too long")
	}
	if r.tooLong(raft.ErrLeadershipTransferInProgress, time.Hour) {
		t.Fatal("it counts from before the success")
	}
	r.since = time.Now().Add(-time.Minute)
	if !r.tooLong(raft.ErrLeadershipTransferInProgress, limit) {
		t.Error("a minute is not too long")
	}
	r.since = time.Now().Add(-time.Minute)
	if r.tooLong(raft.ErrNotLeader, limit) || r.tooLong(raft.ErrLeadershipTransferInProgress, time.Hour) {
		t.Error("a follower is stuck as a leader")
	}
}

func TestTheSameSnapshotAgainAndAgainIsNoticed(t *testing.T) {
	var i installs
	now := time.Now()
	steps := []struct {
		index uint64
		after time.Duration
		want  bool
	}{
		{7, 0, false}, {7, time.Second, false}, {7, time.Second, true}, // then it counts anew
		{7, time.Second, false}, {8, time.Second, false}, {8, time.Second, false}, {9, time.Second, false},
		{9, time.Second, false}, {9, installsLast + 1, false}, {9, time.Second, false}, {9, installsLast, true},
	}
	for k, s := range steps {
		now = now.Add(s.after)
		if got := i.again(s.index, now); got != s.want {
			t.Errorf("step %d, snapshot %d: %v", k, s.index, got)
		}
	}
}
