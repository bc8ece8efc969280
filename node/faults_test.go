package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node"
	"github.com/coveydb/covey/node/raftlog"
)

// Increments are tried again under one ID until a node acknowledges them, while
// leaders come and go: the counter ends at the number of them, exactly.
func TestEveryAcknowledgedIncrementCountsOnce(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 3)
	const workers = 12
	var acked atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var swap sync.RWMutex // held while a member is replaced
	for w := range workers {
		wg.Go(func() {
			for i := w; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				once := kv.Once{ID: kv.NewID()}
				for try := i; ; try++ {
					swap.RLock()
					db := members[try%3].db
					swap.RUnlock()
					ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
					_, err := db.UpdateOnce(ctx, once, func(tx *kv.Tx) error { tx.Add([]byte("n"), command.Int(1), 0); return nil })
					cancel()
					if err == nil {
						acked.Add(1)
						break
					}
					if k := errs.KindOf(err); k != errs.Unknown && k != errs.Unavailable {
						t.Errorf("increment: %v", err)
						return
					}
				}
			}
		})
	}
	for range 4 {
		before := acked.Load()
		members[0].waitFor("going on", func() error {
			if acked.Load() < before+200 {
				return fmt.Errorf("%d increments so far", acked.Load())
			}
			return nil
		})
		leader := leaderOf(t, members)
		leader.stop()
		time.Sleep(100 * time.Millisecond) // let the others run into it
		swap.Lock()
		leader.start()
		swap.Unlock()
	}
	close(stop)
	wg.Wait()
	for _, m := range members {
		if got, want := m.get("n"), fmt.Sprint(acked.Load()); got != want {
			t.Errorf("%s: counter at %s, %s increments were acknowledged", m.config.ID, got, want)
		}
	}
}

func TestAllNodesComeBackWithAllAddressesChanged(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 3)
	for i := range 50 {
		members[i%3].set(fmt.Sprint("k", i), fmt.Sprint(i))
	}
	for _, m := range members {
		m.stop()
	}
	seed := freeport.Addr(t)
	for i, m := range members {
		m.config.PeerAddr, m.config.GossipAddr, m.config.Join = freeport.Addr(t), freeport.Addr(t), []string{seed}
		if i == 0 {
			m.config.GossipAddr = seed
		}
		m.start()
	}
	for i, m := range members {
		m.waitReady()
		if got := m.get(fmt.Sprint("k", 40+i)); got != fmt.Sprint(40+i) {
			t.Errorf("%s reads %q", m.config.ID, got)
		}
	}
}

func TestANewNodeBecomesAVoterByItself(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 3)
	members[0].set("k", "v")
	fourth := &member{t: t, config: testConfig(t, "n4", 0, members[1].config.GossipAddr)}
	fourth.start()
	fourth.waitReady()
	if got := fourth.get("k"); got != "v" {
		t.Errorf("the fourth node reads %q", got)
	}
	reader := &member{t: t, config: testConfig(t, "n5", 0, members[2].config.GossipAddr)}
	reader.config.NonVoter = true
	reader.start()
	reader.waitReady()
	if got := reader.get("k"); got != "v" {
		t.Errorf("the non-voter reads %q", got)
	}
	fourth.waitFor("a voter", func() error {
		roles := roles(t, members[0])
		if roles["n4"] != cluster.RoleVoter || roles["n5"] != cluster.RoleNonVoter {
			return fmt.Errorf("roles are %v", roles)
		}
		return nil
	})
}

func roles(t testing.TB, m *member) map[string]string {
	t.Helper()
	s, err := m.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, x := range s.Members {
		out[x.ID] = x.Role
	}
	return out
}

// A node that lost its data folder comes back under its id and gets the state
// by a snapshot, since the log no longer reaches back to the beginning.
func TestAWipedNodeCatchesUpBySnapshot(t *testing.T) {
	for _, kind := range []raftlog.Kind{raftlog.WAL, raftlog.Bolt} {
		t.Run(string(kind), func(t *testing.T) { t.Parallel(); wipedNodeCatchesUp(t, kind) })
	}
}

func wipedNodeCatchesUp(t *testing.T, kind raftlog.Kind) {
	members := newCluster(t, 3, manySnapshots, func(c *node.Config) { c.RaftLog = kind })
	keep := leaderOf(t, members)
	lost := follower(t, members)
	lost.stop()
	for i := range 300 {
		keep.set(fmt.Sprint("k", i%40), fmt.Sprint(i))
	}
	for _, m := range others(members, lost) { // whoever leads next has cut its log off
		m.waitFor("without the beginning of the log", func() error {
			m.set("more", "x")
			if first, err := m.FirstIndex(); err != nil || first <= 100 {
				return fmt.Errorf("the log begins at %d, %v", first, err)
			}
			return nil
		})
	}
	if err := os.RemoveAll(lost.config.DataDir); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	lost.config.Metrics = reg
	lost.start()
	lost.waitReady()
	if got := scrape(t, reg)["covey_restores_total"]; got == 0 {
		t.Error("no snapshot was installed")
	}
	if got := lost.get("k39"); got != "279" {
		t.Errorf("the wiped node reads %q, want 279", got)
	}
	if hash(t, lost) == [32]byte{} {
		t.Error("no state")
	}
	lost.set("after", "y")
	members[0].waitFor("equal", func() error { return sameState(t, members) })
	lost.stop()
	lost.config.Metrics = nil
	lost.start()
	lost.waitReady()
	if got := lost.get("after"); got != "y" {
		t.Errorf("after a restart it reads %q", got)
	}
}

func hash(t testing.TB, m *member) [32]byte {
	t.Helper()
	v, _, err := m.View(context.Background(), kv.Consistency{Stale: true})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	h, err := v.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func sameState(t testing.TB, members []*member) error {
	want := hash(t, members[0])
	for _, m := range members[1:] {
		if got := hash(t, m); got != want {
			return fmt.Errorf("state of %s is %x, of %s %x", m.config.ID, got[:4], members[0].config.ID, want[:4])
		}
	}
	return nil
}

// A large command goes through the log in pieces, so what others write meanwhile
// finds its way between them. As one entry it would hold up all of them, and the
// heartbeats that keep the leader.
func TestALargeCommandTravelsInPiecesAndDisturbsNobody(t *testing.T) {
	t.Parallel()
	const pieces = 12
	members := newCluster(t, 3, func(c *node.Config) { c.Heartbeat = 3 * time.Second })
	leader := leaderOf(t, members)
	status, err := leader.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	big := make([]byte, pieces*command.ChunkBytes)
	rand.Read(big)
	beside := 0 // small writes that began and ended while a large one was under way
	for _, m := range members {
		var under atomic.Bool
		under.Store(true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer under.Store(false)
			m.set("big-"+m.config.ID, string(big))
		}()
		for i := 0; under.Load(); i++ {
			m.set("small", fmt.Sprint(i))
			beside++
		}
		<-done
	}
	for _, m := range members {
		if got := m.get("big-" + members[0].config.ID); !bytes.Equal([]byte(got), big) {
			t.Errorf("%s reads %d bytes, not what was written", m.config.ID, len(got))
		}
	}
	if beside < pieces {
		t.Errorf("%d small writes beside %d pieces of large ones", beside, 3*pieces)
	}
	after, err := leader.Status(context.Background())
	if err != nil || after.Term != status.Term {
		t.Errorf("term %d became %d (%v): large writes cost an election", status.Term, after.Term, err)
	}
	largest, err := members[0].LargestEntry()
	if err != nil || largest < command.ChunkBytes || largest > command.ChunkBytes+1024 {
		t.Errorf("the largest entry has %d bytes, %v; a piece has %d", largest, err, command.ChunkBytes)
	}
}

func TestWithoutQuorumNothingIsAcknowledgedAndStaleReadsGoOn(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 3)
	members[0].set("k", "v")
	left := leaderOf(t, members)
	left.get("k")
	for _, m := range members {
		if m != left {
			m.stop()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	_, err := left.db.Update(ctx, func(tx *kv.Tx) error { tx.Set([]byte("k"), []byte("w"), 0); return nil })
	if k := errs.KindOf(err); k != errs.Unknown && k != errs.Unavailable {
		t.Errorf("write without quorum: %v", err)
	}
	ctx2, cancel2 := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel2()
	if _, err := left.db.View(ctx2, kv.Consistency{}, func(*kv.Tx) error { return nil }); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("linearizable read without quorum: %v", err)
	}
	info, err := left.db.View(context.Background(), kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		rec, _, err := tx.Get([]byte("k"))
		if string(rec.Value) != "v" {
			t.Errorf("stale read: %q", rec.Value)
		}
		return err
	})
	if err != nil || info.Staleness < 2*time.Second {
		t.Errorf("stale read: %v, said to be %v old", err, info.Staleness)
	}
	ctx3, cancel3 := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel3()
	if _, err := left.db.View(ctx3, kv.Consistency{Stale: true, MaxStale: time.Second}, func(*kv.Tx) error { return nil }); err == nil {
		t.Error("a read of at most a second of age was served without proof")
	}
}

func TestAFolderOfAnotherNodeIsRefused(t *testing.T) {
	members := newCluster(t, 1)
	dir := members[0].config.DataDir
	c := testConfig(t, "other", 1)
	c.DataDir = dir
	refused(t, c, `belongs to node "n1"`)
	c = testConfig(t, "n1", 1)
	c.DataDir = dir
	refused(t, c, "in use by another process")
	c = testConfig(t, "n2", 1)
	c.PeerAddr = members[0].config.PeerAddr
	refused(t, c, "--peer-addr")
	members[0].stop()
	if err := os.WriteFile(dir+"/node.json", []byte(`{"format":2,"node_id":"n1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, members[0].config, "newer release")
}

func refused(t testing.TB, c node.Config, want string) {
	t.Helper()
	n, err := node.Open(context.Background(), c)
	if err == nil {
		n.Close(closeNow())
		t.Fatalf("started; want it refused with %q", want)
	}
	if !bytes.Contains([]byte(err.Error()), []byte(want)) {
		t.Errorf("refused with %q, want %q in it", err, want)
	}
}
