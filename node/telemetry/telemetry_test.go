package telemetry

import (
	"io"
	"log"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	armon "github.com/armon/go-metrics"
	hashi "github.com/hashicorp/go-metrics"
	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	walmetrics "github.com/hashicorp/raft-wal/metrics"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/node/logbridge"
)

// series returns the names and labels that a registry shows.
func series(t *testing.T, reg *prometheus.Registry) (names []string, labels map[string]map[string]string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels = map[string]map[string]string{}
	for _, f := range families {
		names = append(names, f.GetName())
		labels[f.GetName()] = map[string]string{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[f.GetName()][l.GetName()] = l.GetValue()
			}
		}
	}
	return names, labels
}

// useAll makes each library do something that it measures.
func useAll(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	bolt, err := raftboltdb.NewBoltStore(filepath.Join(dir, "bolt.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer bolt.Close()
	w, err := wal.Open(dir, wal.WithSegmentSize(64<<10), wal.WithLogger(logbridge.New(slog.New(slog.DiscardHandler))),
		wal.WithMetricsCollector(walmetrics.NewGoMetricsCollector([]string{"raft", "wal"}, nil, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, store := range []raft.LogStore{bolt, w} {
		if err := store.StoreLog(&raft.Log{Index: 1}); err != nil {
			t.Fatal(err)
		}
	}
	m := memberlist.DefaultLocalConfig()
	m.Name, m.BindAddr, m.BindPort, m.AdvertisePort = "n1", "127.0.0.1", 0, 0
	m.Logger = log.New(io.Discard, "", 0)
	list, err := memberlist.Create(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Shutdown(); err != nil {
		t.Fatal(err)
	}
	runRaft(t)
}

func runRaft(t *testing.T) {
	t.Helper()
	addr, trans := raft.NewInmemTransport("")
	c := raft.DefaultConfig()
	c.LocalID, c.NoLegacyTelemetry = "n1", true
	c.Logger = logbridge.New(slog.New(slog.DiscardHandler))
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 20*time.Millisecond, 20*time.Millisecond, 10*time.Millisecond
	store, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	servers := raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: addr}}}
	if err := raft.BootstrapCluster(c, store, store, snaps, trans, servers); err != nil {
		t.Fatal(err)
	}
	r, err := raft.NewRaft(c, &raft.MockFSM{}, store, store, snaps, trans)
	if err != nil {
		t.Fatal(err)
	}
	<-r.LeaderCh()
	if err := r.Apply([]byte("x"), time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	if err := r.Shutdown().Error(); err != nil {
		t.Fatal(err)
	}
}

func TestEachLibraryShowsASeries(t *testing.T) {
	reg := prometheus.NewRegistry()
	if err := Connect(reg); err != nil {
		t.Fatal(err)
	}
	useAll(t)
	names, _ := series(t, reg)
	all := strings.Join(names, "\n")
	for _, want := range []string{"raft_apply", "raft_state_leader", "memberlist_", "raft_boltdb_storeLogs", "raft_wal_log_appends"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in:\n%s", want, all)
		}
	}
}

func TestSeveralNodesInOneProcess(t *testing.T) {
	var all sync.WaitGroup
	regs := []*prometheus.Registry{prometheus.NewRegistry(), prometheus.NewRegistry(), prometheus.NewRegistry()}
	for _, reg := range regs {
		all.Go(func() {
			for range 2 {
				if err := Connect(reg); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	hashi.IncrCounter([]string{"raft", "several"}, 1)
	armon.IncrCounter([]string{"raft", "wal", "several"}, 1)
	for _, reg := range regs {
		names, _ := series(t, reg)
		if got := strings.Join(names, " "); !strings.Contains(got, "raft_several") || !strings.Contains(got, "raft_wal_several") {
			t.Errorf("one registry shows %s", got)
		}
	}
}

func TestNamesAndLabelsAreAClosedSet(t *testing.T) {
	reg := prometheus.NewRegistry()
	if err := Connect(reg); err != nil {
		t.Fatal(err)
	}
	// Were both sinks to show one name, as different types, the registry could
	// not be read at all.
	hashi.SetGauge([]string{"raft", "wal", "clash"}, 1)
	armon.IncrCounter([]string{"raft", "wal", "clash"}, 1)
	hashi.IncrCounter([]string{"raft", "clash"}, 1)
	armon.SetGauge([]string{"raft", "clash"}, 1)
	hashi.IncrCounter([]string{"stranger"}, 1)
	armon.IncrCounter([]string{"stranger"}, 1)
	hashi.IncrCounterWithLabels([]string{"raft", "labels"}, 1, []hashi.Label{{Name: "peer_id", Value: "n2"}, {Name: "key", Value: "k"}})
	hashi.SetGauge([]string{"raft", "gauge"}, 1)
	names, labels := series(t, reg)
	got := " " + strings.Join(names, " ") + " "
	for name, want := range map[string]bool{"raft_wal_clash": true, "raft_clash": true, "stranger": false, "raft_gauge": true} {
		if strings.Contains(got, " "+name+" ") != want {
			t.Errorf("%s shown: %v in %s", name, !want, got)
		}
	}
	if l := labels["raft_labels"]; len(l) != 1 || l["peer_id"] != "n2" {
		t.Errorf("labels %v", l)
	}
}
