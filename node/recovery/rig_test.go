package recovery

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node"
	"github.com/coveydb/covey/node/raftlog"
)

var quiet = slog.New(slog.DiscardHandler)

// member is a real node whose data folder outlives it.
type member struct {
	t      testing.TB
	config node.Config
	node   *node.Node
	db     *kv.DB
}

func newMember(t testing.TB, id string, expect int, join ...string) *member {
	return &member{t: t, config: node.Config{
		ID: id, DataDir: t.TempDir(), Release: "test",
		PeerAddr: freeport.Addr(t), GossipAddr: freeport.Addr(t), HTTPAddr: "127.0.0.1:1",
		BootstrapExpect: expect, Join: join,
		Heartbeat: 200 * time.Millisecond, StableFor: 200 * time.Millisecond, Logger: quiet,
	}}
}

// newCluster starts a cluster of size nodes, with some data.
func newCluster(t testing.TB, size int, kind raftlog.Kind) []*member {
	t.Helper()
	members := make([]*member, size)
	for i := range members {
		var join []string
		if i > 0 {
			join = []string{members[0].config.GossipAddr}
		}
		members[i] = newMember(t, fmt.Sprintf("n%d", i+1), size, join...)
		members[i].config.RaftLog = kind
	}
	for _, m := range members {
		m.start()
	}
	for _, m := range members {
		m.waitReady()
	}
	for i := range 20 {
		members[i%size].set(fmt.Sprint("k", i), fmt.Sprint("v", i))
	}
	for _, m := range members {
		if got := m.get("k19"); got != "v19" {
			t.Fatalf("%s reads %q", m.config.ID, got)
		}
	}
	return members
}

func (m *member) start() {
	m.t.Helper()
	if err := m.tryStart(); err != nil {
		m.t.Fatalf("start %s: %v", m.config.ID, err)
	}
}

func (m *member) tryStart() error {
	n, err := node.Open(context.Background(), m.config)
	if err != nil {
		return err
	}
	m.node, m.db = n, kv.New(n)
	m.t.Cleanup(func() { n.Close(ended()) })
	return nil
}

// ended is a context under which a node hands nothing over.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func (m *member) stop() {
	m.t.Helper()
	if err := m.node.Close(ended()); err != nil {
		m.t.Fatalf("stop %s: %v", m.config.ID, err)
	}
}

func (m *member) waitReady() {
	m.t.Helper()
	m.waitFor("ready", func() error {
		for _, c := range m.node.Checks(context.Background()) {
			if !c.OK {
				return fmt.Errorf("%s: %s", c.Name, c.Detail)
			}
		}
		return nil
	})
}

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

func (m *member) set(key, value string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := m.db.Update(ctx, func(tx *kv.Tx) error { tx.Set([]byte(key), []byte(value), 0); return nil }); err != nil {
		m.t.Fatalf("set %s on %s: %v", key, m.config.ID, err)
	}
}

func (m *member) get(key string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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

// open opens the folder of a stopped node.
func open(t testing.TB, dir string) *Data {
	t.Helper()
	d, err := Open(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func shut(t testing.TB, d *Data) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func look(t testing.TB, dir string) Survivor {
	t.Helper()
	d := open(t, dir)
	defer shut(t, d)
	s, err := d.Survivor(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// image copies a folder as it lies on the disk at this moment: what a crash
// would leave.
func image(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
