package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
)

func size(short, whole int) int {
	if *full {
		return whole
	}
	return short
}

// Clients increment one counter through all nodes, each increment under its own
// Idempotency-Key and tried until it is acknowledged, while the leader is killed
// again and again: the counter ends at the number of increments, exactly.
func TestNoIncrementIsLostOrCountedTwice(t *testing.T) {
	beside(t)
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	clients, kills := size(16, 64), size(2, 5)
	var acked atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("e2e-%08d-%08d", c, i)
				for try := c + i; ; try++ {
					code, body, err := servers[try%3].do("PATCH", "/"+bucket+"/n", "+1", map[string]string{"Idempotency-Key": key})
					if err == nil && code == 200 {
						acked.Add(1)
						break
					}
					if err == nil && code < 500 {
						t.Errorf("increment: %d %s", code, body)
						return
					}
				}
			}
		})
	}
	for range kills {
		more(t, &acked, 500)
		leader := leaderOf(t, servers)
		leader.kill()
		more(t, &acked, 500) // with two nodes
		leader.start()
		leader.waitReady(patience)
	}
	close(stop)
	wg.Wait()
	for _, s := range servers {
		if got, want := s.must("GET", "/"+bucket+"/n", ""), fmt.Sprint(acked.Load()); got != want {
			t.Errorf("%s: counter at %s, %s increments were acknowledged", s.id, got, want)
		}
	}
	t.Logf("%d increments by %d clients, %d kills", acked.Load(), clients, kills)
}

// more waits until n more have been counted.
func more(t *testing.T, count *atomic.Int64, n int64) {
	t.Helper()
	goal := count.Load() + n
	for deadline := time.Now().Add(3 * time.Minute); count.Load() < goal; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("stuck at %d, waiting for %d", count.Load(), goal)
		}
	}
}

func TestAWriteThroughOneFollowerIsReadThroughTheOtherAtOnce(t *testing.T) {
	t.Parallel()
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	leader := leaderOf(t, servers)
	var followers []*server
	for _, s := range servers {
		if s != leader {
			followers = append(followers, s)
		}
	}
	var wg sync.WaitGroup
	const lanes = 8
	for lane := range lanes {
		wg.Go(func() {
			path := fmt.Sprintf("/%s/k%d", bucket, lane)
			for i := range size(800, 10_000) / lanes {
				want := fmt.Sprint(i)
				if code, body, err := followers[i%2].do("PUT", path, want, nil); err != nil || code != 200 {
					t.Errorf("write: %d %s %v", code, body, err)
					return
				}
				if _, got, err := followers[1-i%2].do("GET", path, "", nil); err != nil || got != want {
					t.Errorf("try %d: wrote %s, the other follower read %q (%v)", i, want, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestWhatWasAcknowledgedSurvivesTheKillOfAllNodes(t *testing.T) {
	t.Parallel()
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	const writers = 16
	var acked [writers]atomic.Int64 // the highest number that each writer had confirmed
	var total atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for i := int64(1); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				path := fmt.Sprintf("/%s/w%02d-%06d", bucket, w, i)
				if code, _, err := servers[int(i)%3].do("PUT", path, fmt.Sprint(i), nil); err != nil || code != 200 {
					return // the nodes are gone
				}
				acked[w].Store(i)
				total.Add(1)
			}
		})
	}
	more(t, &total, int64(size(2_000, 20_000)))
	for _, s := range servers {
		s.cmd.Process.Kill()
	}
	close(stop)
	wg.Wait()
	for _, s := range servers {
		<-s.exited
		s.start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	for w := range writers {
		list := servers[w%3].must("GET", fmt.Sprintf("/%s/?values=true&prefix=w%02d-", bucket, w), "")
		lines := strings.Split(strings.TrimSpace(list), "\n")
		if int64(len(lines)) < acked[w].Load() && acked[w].Load() <= 10_000 {
			t.Errorf("writer %d: %d keys are there, %d were acknowledged", w, len(lines), acked[w].Load())
		}
		for i := range acked[w].Load() {
			if i < int64(len(lines)) && lines[i] != fmt.Sprintf("w%02d-%06d=%d", w, i+1, i+1) {
				t.Errorf("writer %d: line %d is %q", w, i, lines[i])
				break
			}
		}
	}
	t.Logf("%d acknowledged writes", total.Load())
}

func TestAFourthNodeJoinsAndVotes(t *testing.T) {
	t.Parallel()
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	servers[1].must("PUT", "/"+bucket+"/k", "v")
	fourth := newServer(t, "n4", 0)
	fourth.join = servers[2].gossip
	fourth.start()
	fourth.waitReady(patience)
	if got := fourth.must("GET", "/"+bucket+"/k", ""); got != "v" {
		t.Errorf("the fourth node reads %q", got)
	}
	fourth.waitFor("a voter", patience, func() error {
		st, err := servers[0].status()
		if err != nil {
			return err
		}
		for _, m := range st.Members {
			if m.ID == "n4" && m.Role == "voter" {
				return nil
			}
		}
		return fmt.Errorf("members are %v", st.Members)
	})
}

// A leader that is stopped for longer than an election and then goes on must
// not answer a linearizable read from before the change.
func TestAPausedLeaderServesNoStaleRead(t *testing.T) {
	beside(t)
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	path := "/" + bucket + "/k"
	for round := range size(2, 25) {
		old := leaderOf(t, servers)
		old.must("PUT", path, fmt.Sprint("old", round))
		old.cmd.Process.Signal(syscall.SIGSTOP)
		var other *server
		for _, s := range servers {
			if s != old {
				other = s
			}
		}
		want := fmt.Sprint("new", round)
		other.waitFor("led anew", patience, func() error {
			code, body, err := other.do("PUT", path, want, nil)
			if err == nil && code != 200 {
				err = fmt.Errorf("%d %s", code, body)
			}
			return err
		})
		var wg sync.WaitGroup
		for range 20 { // these wait in the old leader's sockets until it goes on
			wg.Go(func() {
				code, got, err := old.do("GET", path, "", nil)
				if err == nil && code == 200 && got != want {
					t.Errorf("round %d: the old leader answered %q, %q was acknowledged", round, got, want)
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		old.cmd.Process.Signal(syscall.SIGCONT)
		wg.Wait()
	}
}

func TestAWipedNodeRejoinsUnderLoad(t *testing.T) {
	beside(t)
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var written atomic.Int64
	lost := servers[0]
	if leaderOf(t, servers) == lost {
		lost = servers[1]
	}
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				for _, s := range servers {
					if s != lost {
						if code, _, err := s.do("PUT", fmt.Sprintf("/%s/k%d-%d", bucket, w, i%500), strings.Repeat("x", 500), nil); err == nil && code == 200 {
							written.Add(1)
						}
					}
				}
			}
		})
	}
	more(t, &written, int64(size(1_000, 2_000)))
	lost.kill()
	if err := os.RemoveAll(lost.dir); err != nil {
		t.Fatal(err)
	}
	more(t, &written, int64(size(1_000, 20_000)))
	lost.start()
	lost.waitReady(60 * time.Second)
	close(stop)
	wg.Wait()
	servers[1].must("PUT", "/"+bucket+"/last", "here")
	if got := lost.must("GET", "/"+bucket+"/last", ""); got != "here" {
		t.Errorf("the wiped node reads %q", got)
	}
	st, err := lost.status()
	if err != nil || st.Version < uint64(written.Load()) {
		t.Errorf("the wiped node is at version %d of %d writes (%v)", st.Version, written.Load(), err)
	}
}

func TestAllNodesComeBackWithAllAddressesChanged(t *testing.T) {
	t.Parallel()
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	servers[0].must("PUT", "/"+bucket+"/k", "v")
	for _, s := range servers {
		s.terminate()
	}
	for _, s := range servers {
		s.http, s.peer, s.gossip = freeport.Addr(t), freeport.Addr(t), freeport.Addr(t)
	}
	for _, s := range servers {
		s.join = servers[0].gossip
		s.start()
	}
	for _, s := range servers {
		s.waitReady(patience)
		if got := s.must("GET", "/"+bucket+"/k", ""); got != "v" {
			t.Errorf("%s reads %q", s.id, got)
		}
	}
}

func TestANodeWithManyKeysIsReadySoon(t *testing.T) {
	beside(t)
	servers := newCluster(t, 3)
	s := servers[0]
	if leaderOf(t, servers) == s {
		s = servers[1]
	}
	bucket := s.must("POST", "/", "")
	keys := size(20_000, 1_000_000)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w * 1000; i < keys; i += 16 * 1000 {
				var b strings.Builder
				b.WriteString(`{"txn":[`)
				for k := range 1000 {
					if k > 0 {
						b.WriteByte(',')
					}
					fmt.Fprintf(&b, `{"set":"key-%08d","value":"%s"}`, i+k, strings.Repeat("v", 100))
				}
				b.WriteString(`]}`)
				if code, body, err := s.do("POST", "/"+bucket, b.String(), nil); err != nil || code != 200 {
					t.Errorf("fill: %d %s %v", code, body, err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.kill()
	begin := time.Now()
	s.start()
	s.waitReady(patience)
	took := time.Since(begin)
	last := keys/1000*1000 - 1
	if got := s.must("GET", "/"+bucket+"/key-"+fmt.Sprintf("%08d", last), ""); len(got) != 100 {
		t.Errorf("the last key has %s bytes", strconv.Itoa(len(got)))
	}
	t.Logf("%d keys: ready %v after the kill", keys, took)
}

func TestMetricsCoverAllParts(t *testing.T) {
	t.Parallel()
	servers := newCluster(t, 1)
	s := servers[0]
	bucket := s.must("POST", "/", "")
	s.must("PUT", "/"+bucket+"/k?ttl=1", "v")
	s.waitFor("reaping", patience, func() error {
		if !strings.Contains(s.must("GET", "/metrics", ""), "\ncovey_ttl_reaped_total 1\n") {
			return fmt.Errorf("nothing was reaped")
		}
		return nil
	})
	var metrics string
	s.waitFor("measured in all parts", patience, func() error { // some libraries report every few seconds
		metrics = s.must("GET", "/metrics", "")
		for _, series := range []string{
			"raft_apply", "raft_wal_", "raft_boltdb_", "memberlist_", "covey_store_flushes_total", "covey_proposed_commands_total",
			"covey_read_points_total", "covey_peer_calls_total", "go_goroutines", "process_cpu_seconds_total",
			`api="kvdb"`, `code="200"`,
		} {
			if !strings.Contains(metrics, series) {
				return fmt.Errorf("/metrics has no %s", series)
			}
		}
		return nil
	})
	for _, secret := range []string{rootKey, bucket} {
		if strings.Contains(metrics, secret) {
			t.Errorf("/metrics tells %s", secret)
		}
	}
}
