package node

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/telemetry"
)

// meters is what a node counts of its own work. No series has labels that are
// looked up while a write or a read waits: counting costs some 100 ns and
// allocates nothing.
type meters struct {
	// What this node asked the cluster for.
	commit      prometheus.Histogram
	unavailable prometheus.Counter
	unknown     prometheus.Counter
	retries     prometheus.Counter
	readPoint   prometheus.Histogram
	readPoints  prometheus.Counter
	readRetries prometheus.Counter

	// What it did as leader.
	queue         prometheus.Histogram
	entryCommit   prometheus.Histogram
	entryCommands prometheus.Histogram
	entries       prometheus.Counter
	commands      prometheus.Counter
	reapedTotal   prometheus.Counter

	// What every member does.
	logAppend   prometheus.Histogram
	logAppended prometheus.Counter
	apply       prometheus.Histogram
	snapshots   timed
	restores    timed
}

// timed is something rare of which the last time counts.
type timed struct {
	total, failed  prometheus.Counter
	seconds, ended prometheus.Gauge
}

func newMeters() *meters {
	failures := func(outcome, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "covey", Name: "commit_failures_total", Help: help, ConstLabels: prometheus.Labels{"outcome": outcome},
		})
	}
	const failed = "Commands of this node's requests that were given up: unavailable, surely not applied, or unknown."
	return &meters{
		commit:      seconds("commit_seconds", "Time from handing a command to the cluster, as leader or follower, until this node had applied it."),
		unavailable: failures("unavailable", failed),
		unknown:     failures("unknown", failed),
		retries:     counter("commit_retries_total", "Tries of a command that were repeated, because there was no leader or it did not answer."),
		readPoint:   seconds("read_point_seconds", "Time of a round that gets a read point, repeated tries included."),
		readPoints:  counter("read_points_total", "Read points that this node got; readers that wait share one."),
		readRetries: counter("read_point_retries_total", "Tries to get a read point that were repeated."),

		queue:         seconds("proposal_queue_seconds", "Time that the first command of an entry waited in the leader's queue for a place in it."),
		entryCommit:   seconds("entry_commit_seconds", "Time from handing an entry to Raft until the leader had applied it: log, network and state machine."),
		entryCommands: histogram("entry_commands", "Commands of one entry: the size of a group commit.", prometheus.ExponentialBuckets(1, 2, 13)),
		entries:       counter("proposed_entries_total", "Log entries that this node proposed as leader."),
		commands:      counter("proposed_commands_total", "Commands in those entries; divided by the entries it is the size of a group commit."),
		reapedTotal:   counter("ttl_reaped_total", "Entries of the expiry index that this node's reap commands gave back."),

		logAppend:   seconds("raft_log_append_seconds", "Time of one append to this node's log: the write and its fsync."),
		logAppended: counter("raft_log_appended_bytes_total", "Bytes of commands appended to this node's log."),
		apply:       seconds("apply_seconds", "Time in which the state machine applied one batch of entries."),
		snapshots:   newTimed("snapshot", "taking a snapshot of this node's own state"),
		restores:    newTimed("restore", "replacing this node's state by a snapshot or backup, its check included"),
	}
}

func newTimed(name, what string) timed {
	g := func(suffix, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "covey", Name: name + suffix, Help: help})
	}
	return timed{
		total:   counter(name+"s_total", "Times that "+what+" ended well."),
		failed:  counter(name+"_failures_total", "Times that "+what+" failed."),
		seconds: g("_seconds", "How long "+what+" took the last time; 0 if never since the start."),
		ended:   g("_timestamp_seconds", "When "+what+" last ended well, in unix time; 0 if never since the start."),
	}
}

// record counts what began then and ended now with err, and returns err.
func (t timed) record(began time.Time, err error) error {
	if err != nil {
		t.failed.Inc()
		return err
	}
	t.total.Inc()
	t.seconds.Set(time.Since(began).Seconds())
	t.ended.SetToCurrentTime()
	return nil
}

func (t timed) collectors() []prometheus.Collector {
	return []prometheus.Collector{t.total, t.failed, t.seconds, t.ended}
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "covey", Name: name, Help: help})
}

// seconds is a histogram of times, from a quarter of a millisecond to ten
// seconds.
func seconds(name, help string) prometheus.Histogram {
	return histogram(name, help, []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10})
}

// histogram has the buckets that every Prometheus understands, and finer native
// ones for those that ask for them.
func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "covey", Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	})
}

func since(h prometheus.Histogram, began time.Time) { h.Observe(time.Since(began).Seconds()) }

func (m *meters) entry(commands int) {
	m.entries.Inc()
	m.commands.Add(float64(commands))
	m.entryCommands.Observe(float64(commands))
}

// gaveUp counts a command whose fate is err.
func (m *meters) gaveUp(err error) error {
	if errs.Is(err, errs.Unknown) {
		m.unknown.Inc()
	} else {
		m.unavailable.Inc()
	}
	return err
}

func (m *meters) reaped(res command.Result) {
	if len(res.Added) == 1 {
		if n, err := strconv.ParseFloat(string(res.Added[0]), 64); err == nil {
			m.reapedTotal.Add(n)
		}
	}
}

func (m *meters) collectors() []prometheus.Collector {
	all := []prometheus.Collector{
		m.commit, m.unavailable, m.unknown, m.retries, m.readPoint, m.readPoints, m.readRetries,
		m.queue, m.entryCommit, m.entryCommands, m.entries, m.commands, m.reapedTotal,
		m.logAppend, m.logAppended, m.apply,
	}
	return append(append(all, m.snapshots.collectors()...), m.restores.collectors()...)
}

// measure registers what this node and the libraries below it can tell.
func (n *Node) measure(reg prometheus.Registerer) error {
	collectors := append(n.meters.collectors(),
		newMemberFigures(n), newDiskFigures(n), newPeerTraffic(n.transport), newStoreFigures(n.db))
	for _, c := range collectors {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return telemetry.Connect(reg)
}
