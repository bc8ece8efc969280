package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node"
)

// scrape returns the values of a registry's covey_* series of one sample, by
// name, or by name and label value; of a histogram its count.
func scrape(t testing.TB, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			switch {
			case m.Histogram != nil:
				found[name] = float64(m.Histogram.GetSampleCount())
			case m.Counter != nil:
				found[name] = m.Counter.GetValue()
			case m.Gauge != nil:
				found[name] = m.Gauge.GetValue()
			}
		}
	}
	return found
}

// measured starts three nodes with a registry each.
func measured(t *testing.T) (members []*member, regs map[*member]*prometheus.Registry) {
	made := make(map[string]*prometheus.Registry)
	members = newCluster(t, 3, func(c *node.Config) {
		r := prometheus.NewRegistry()
		c.Metrics, made[c.ID] = r, r
	})
	regs = make(map[*member]*prometheus.Registry)
	for _, m := range members {
		regs[m] = made[m.config.ID]
	}
	return members, regs
}

func TestMetricsTellHowAMemberStands(t *testing.T) {
	t.Parallel()
	members, regs := measured(t)
	leader := leaderOf(t, members)
	for i := range 20 {
		members[i%3].set(fmt.Sprint("k", i), "v")
	}
	for _, m := range members {
		if _, err := m.db.View(context.Background(), kv.Consistency{}, func(*kv.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		m.waitFor("measured", func() error {
			got := scrape(t, regs[m])
			return checkStanding(got, m == leader)
		})
	}
	l := scrape(t, regs[leader])
	for _, name := range []string{"covey_entry_commands", "covey_entry_commit_seconds", "covey_proposal_queue_seconds"} {
		if l[name] == 0 {
			t.Errorf("the leader has no %s", name)
		}
	}
	if l["covey_entry_commands"] != l["covey_proposed_entries_total"] {
		t.Errorf("%v group sizes of %v entries", l["covey_entry_commands"], l["covey_proposed_entries_total"])
	}
}

// checkStanding says what is wrong with the series of a member of a cluster of
// three that is well and has served some requests.
func checkStanding(got map[string]float64, leads bool) error {
	want := map[string]float64{
		"covey_has_leader": 1, "covey_voters": 3, "covey_voters_alive": 3, "covey_members": 3, "covey_members_alive": 3,
		"covey_lag_entries": 0, "covey_lag_versions": 0, "covey_leader": 0, "covey_raft_log_stalled": 0,
		"covey_proposal_queue_commands": 0, "covey_proposal_queue_bytes": 0,
		"covey_commit_failures_total unknown": 0, "covey_commit_failures_total unavailable": 0,
	}
	if leads {
		want["covey_leader"] = 1
	}
	for name, v := range want {
		if x, ok := got[name]; !ok || x != v {
			return fmt.Errorf("%s is %v (%v), want %v", name, x, ok, v)
		}
	}
	for _, name := range []string{
		"covey_raft_term", "covey_state_version", "covey_state_index", "covey_commit_seconds", "covey_read_point_seconds",
		"covey_apply_seconds", "covey_raft_log_append_seconds", "covey_raft_log_appended_bytes_total", "covey_raft_log_entries",
		"covey_raft_log_bytes", "covey_data_bytes state", "covey_data_bytes raft", "covey_data_bytes other",
		"covey_raft_log_oldest_seconds",
	} {
		if got[name] <= 0 {
			return fmt.Errorf("%s is %v", name, got[name])
		}
	}
	if free, total := got["covey_disk_free_bytes"], got["covey_disk_total_bytes"]; free > total || total == 0 {
		return fmt.Errorf("%v of %v bytes are free", free, total)
	}
	// All are on one machine and one clock.
	if d, ok := got["covey_clock_difference_seconds"]; !ok || d < -1 || d > 5 {
		return fmt.Errorf("the clock differs by %v s (%v)", d, ok)
	}
	if c, ok := got["covey_leader_contact_seconds"]; !ok || c < 0 || leads && c > 1 {
		return fmt.Errorf("the leader was heard %v s ago (%v)", c, ok)
	}
	return nil
}

func TestMetricsOfAMemberThatIsCutOff(t *testing.T) {
	members, regs := measured(t)
	leader := leaderOf(t, members)
	var follower *member
	for _, m := range members {
		if m != leader {
			follower = m
		}
	}
	follower.waitFor("in touch", func() error {
		if _, ok := scrape(t, regs[follower])["covey_leader_contact_seconds"]; !ok {
			return fmt.Errorf("it has not heard of the leader")
		}
		return nil
	})
	for _, m := range members {
		if m != follower {
			m.stop()
		}
	}
	follower.waitFor("alone", func() error {
		got := scrape(t, regs[follower])
		switch {
		case got["covey_has_leader"] != 0:
			return fmt.Errorf("it has a leader")
		case got["covey_voters"] != 3 || got["covey_voters_alive"] != 1:
			return fmt.Errorf("%v of %v voters alive", got["covey_voters_alive"], got["covey_voters"])
		case got["covey_leader_contact_seconds"] < 1:
			return fmt.Errorf("it heard of a leader %v s ago", got["covey_leader_contact_seconds"])
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := follower.db.Update(ctx, func(tx *kv.Tx) error { tx.Set([]byte("k"), nil, 0); return nil }); err == nil {
		t.Fatal("one of three committed")
	}
	if got := scrape(t, regs[follower]); got["covey_commit_failures_total unavailable"] != 1 || got["covey_commit_retries_total"] == 0 {
		t.Errorf("failures %v, retries %v", got["covey_commit_failures_total unavailable"], got["covey_commit_retries_total"])
	}
}

func TestMetricsOfSnapshotsAndRestores(t *testing.T) {
	t.Parallel()
	regs := make(map[string]*prometheus.Registry)
	few := func(c *node.Config) {
		r := prometheus.NewRegistry()
		c.SnapshotEvery, c.TrailingLogs, c.SnapshotCheck, c.Metrics = 8, 4, 100*time.Millisecond, r
		regs[c.ID] = r
	}
	members := newCluster(t, 1, few)
	m := members[0]
	for i := range 20 {
		m.set(fmt.Sprint("k", i), "v")
	}
	m.waitFor("snapshotted", func() error {
		if got := scrape(t, regs["n1"]); got["covey_snapshots_total"] == 0 || got["covey_snapshot_timestamp_seconds"] < 1e9 || got["covey_snapshot_seconds"] <= 0 {
			return fmt.Errorf("%v snapshots", got["covey_snapshots_total"])
		}
		return nil
	})
	c := testConfig(t, "n2", 0, m.config.GossipAddr)
	few(&c)
	joined := &member{t: t, config: c}
	joined.start()
	joined.waitReady()
	joined.waitFor("restored", func() error {
		if got := scrape(t, regs["n2"]); got["covey_restores_total"] == 0 || got["covey_restore_seconds"] <= 0 || got["covey_restore_timestamp_seconds"] < 1e9 {
			return fmt.Errorf("%v restores", got["covey_restores_total"])
		}
		return nil
	})
}
