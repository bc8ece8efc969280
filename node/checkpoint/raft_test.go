package checkpoint

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/node/logbridge"
)

// lines is a state machine: the entries applied, a line each.
type lines struct {
	mu       sync.Mutex
	text     string
	restores int
}

func (l *lines) Apply(e *raft.Log) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += string(e.Data) + "\n"
	return nil
}

func (l *lines) Snapshot() (raft.FSMSnapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return frozen(l.text), nil
}

func (l *lines) Restore(r io.ReadCloser) error {
	p, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text, l.restores = strings.TrimPrefix(string(p), "stream:"), l.restores+1
	return r.Close()
}

type frozen string

func (f frozen) Persist(sink raft.SnapshotSink) error {
	return sink.(*Sink).Checkpoint(take(string(f)))
}
func (frozen) Release() {}

// A follower that is cut off while the leader truncates its log gets the
// leader's checkpoint as a stream, by Raft's own means.
func TestRaftInstallsACheckpointOnAFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3
		var servers raft.Configuration
		var trans []*raft.InmemTransport
		for i := range n {
			addr, tr := raft.NewInmemTransport("")
			trans = append(trans, tr)
			servers.Servers = append(servers.Servers, raft.Server{ID: raft.ServerID(fmt.Sprint("n", i)), Address: addr})
		}
		var rafts []*raft.Raft
		var fsms []*lines
		var stores []*Store
		for i := range n {
			for j := range n {
				trans[i].Connect(trans[j].LocalAddr(), trans[j])
			}
			c := raft.DefaultConfig()
			c.LocalID, c.TrailingLogs = servers.Servers[i].ID, 1
			c.Logger = logbridge.New(slog.New(slog.DiscardHandler))
			log, fsm, snaps := raft.NewInmemStore(), &lines{}, open(t, testOptions(filepath.Join(t.TempDir(), fmt.Sprint(i))))
			if err := raft.BootstrapCluster(c, log, log, snaps, trans[i], servers); err != nil {
				t.Fatal(err)
			}
			r, err := raft.NewRaft(c, fsm, log, log, snaps, trans[i])
			if err != nil {
				t.Fatal(err)
			}
			rafts, fsms, stores = append(rafts, r), append(fsms, fsm), append(stores, snaps)
		}
		time.Sleep(10 * time.Second)
		leader := -1
		for i, r := range rafts {
			if r.State() == raft.Leader {
				leader = i
			}
		}
		if leader < 0 {
			t.Fatal("no leader")
		}
		cut := (leader + 1) % n
		for i := range n {
			trans[i].Disconnect(trans[cut].LocalAddr())
		}
		trans[cut].DisconnectAll()
		for i := range 50 {
			if err := rafts[leader].Apply([]byte(fmt.Sprint(i)), time.Second).Error(); err != nil {
				t.Fatal(err)
			}
		}
		if err := rafts[leader].Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			trans[i].Connect(trans[cut].LocalAddr(), trans[cut])
			trans[cut].Connect(trans[i].LocalAddr(), trans[i])
		}
		time.Sleep(30 * time.Second)
		fsms[leader].mu.Lock()
		fsms[cut].mu.Lock()
		if fsms[cut].text != fsms[leader].text || fsms[cut].restores != 1 {
			t.Errorf("follower has %q by %d restores, leader %q", fsms[cut].text, fsms[cut].restores, fsms[leader].text)
		}
		fsms[cut].mu.Unlock()
		fsms[leader].mu.Unlock()
		for i, file := range map[int]string{leader: dataDir, cut: streamFile} {
			got := ids(t, stores[i])
			if len(got) != 1 {
				t.Fatalf("snapshots %v", got)
			}
			if _, err := os.Stat(filepath.Join(stores[i].o.Dir, got[0], file)); err != nil {
				t.Error(err)
			}
		}
		for _, r := range rafts {
			r.Shutdown().Error()
		}
	})
}
