package node_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node"
)

// member is one node of a test cluster, which can be stopped and started again.
type member struct {
	t      testing.TB
	config node.Config
	*node.Node
	db *kv.DB
}

func quiet() *slog.Logger {
	if os.Getenv("COVEY_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// testConfig is the configuration of a node in a cluster of size n.
func testConfig(t testing.TB, id string, n int, join ...string) node.Config {
	return node.Config{
		ID: id, DataDir: t.TempDir(), Release: "test",
		PeerAddr: freeport.Addr(t), GossipAddr: freeport.Addr(t), HTTPAddr: "127.0.0.1:1",
		BootstrapExpect: n, Join: join,
		Heartbeat: 300 * time.Millisecond, StableFor: 500 * time.Millisecond,
		Logger: quiet(),
	}
}

// manySnapshots has snapshots taken and the log cut off soon.
func manySnapshots(c *node.Config) {
	c.SnapshotEvery, c.TrailingLogs, c.SnapshotCheck = 50, 10, 100*time.Millisecond
}

// newCluster starts size nodes and waits until all are ready.
func newCluster(t testing.TB, size int, change ...func(*node.Config)) []*member {
	t.Helper()
	members := make([]*member, size)
	var seed string
	for i := range members {
		c := testConfig(t, fmt.Sprintf("n%d", i+1), size)
		if i == 0 {
			seed = c.GossipAddr
		} else {
			c.Join = []string{seed}
		}
		for _, f := range change {
			f(&c)
		}
		members[i] = &member{t: t, config: c}
	}
	for _, m := range members {
		m.start()
	}
	for _, m := range members {
		m.waitReady()
	}
	return members
}

func (m *member) start() {
	m.t.Helper()
	n, err := node.Open(context.Background(), m.config)
	if err != nil {
		m.t.Fatalf("start %s: %v", m.config.ID, err)
	}
	m.Node, m.db = n, kv.New(n)
	m.t.Cleanup(func() { n.Close(closeNow()) })
}

// closeNow is a context under which a node hands nothing over.
func closeNow() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func (m *member) stop() {
	m.t.Helper()
	if err := m.Close(closeNow()); err != nil {
		m.t.Fatalf("stop %s: %v", m.config.ID, err)
	}
}

func (m *member) waitReady() {
	m.t.Helper()
	m.waitFor("ready", func() error {
		for _, c := range m.Checks(context.Background()) {
			if !c.OK {
				return fmt.Errorf("%s: %s", c.Name, c.Detail)
			}
		}
		return nil
	})
}

// waitFor polls until ok returns nil.
func (m *member) waitFor(what string, ok func() error) {
	m.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s never became %s: %v", m.config.ID, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func leaderOf(t testing.TB, members []*member) *member {
	t.Helper()
	var found *member
	members[0].waitFor("led", func() error {
		for _, m := range members {
			if m.Node != nil && m.IsLeader() {
				found = m
				return nil
			}
		}
		return fmt.Errorf("no leader")
	})
	return found
}

func (m *member) set(key, value string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if _, err := m.db.Update(ctx, func(tx *kv.Tx) error { tx.Set([]byte(key), []byte(value), 0); return nil }); err != nil {
		m.t.Fatalf("set %s on %s: %v", key, m.config.ID, err)
	}
}

func (m *member) get(key string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var out string
	_, err := m.db.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
		rec, _, err := tx.Get([]byte(key))
		out = string(rec.Value)
		return err
	})
	if err != nil {
		m.t.Fatalf("get %s on %s: %v", key, m.config.ID, err)
	}
	return out
}

func TestAWriteThroughAnyNodeIsReadThroughAnyOther(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 3)
	for i := range 60 {
		w, r := members[i%3], members[(i+1+i/3%2)%3]
		want := fmt.Sprint(i)
		w.set("k", want)
		if got := r.get("k"); got != want {
			t.Fatalf("write %d through %s, read %q through %s", i, w.config.ID, got, r.config.ID)
		}
	}
}
