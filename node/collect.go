package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/store"
	"github.com/coveydb/covey/transport"
)

// sample is one series that is read when it is asked for.
type sample struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func series(kind prometheus.ValueType, name, help string, labels ...string) sample {
	return sample{prometheus.NewDesc("covey_"+name, help, labels, nil), kind}
}

func (s sample) send(ch chan<- prometheus.Metric, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(s.desc, s.kind, v, labels...)
}

const (
	gaugeValue   = prometheus.GaugeValue
	counterValue = prometheus.CounterValue
)

// peerTraffic collects what the peer port counts.
type peerTraffic struct {
	t                                     *transport.Transport
	calls, failures, served, conns, bytes sample
}

func newPeerTraffic(t *transport.Transport) peerTraffic {
	return peerTraffic{
		t:        t,
		calls:    series(counterValue, "peer_calls_total", "Calls that this node made to its peers.", "call"),
		failures: series(counterValue, "peer_call_errors_total", "Calls to peers that ended with an error.", "call"),
		served:   series(counterValue, "peer_calls_served_total", "Calls of peers that this node answered.", "call"),
		conns:    series(gaugeValue, "peer_connections", "Open connections between this node and its peers.", "direction"),
		bytes:    series(counterValue, "peer_bytes_total", "Bytes on the peer port, Raft included.", "direction"),
	}
}

// Describe implements prometheus.Collector.
func (p peerTraffic) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(p, ch) }

// Collect implements prometheus.Collector.
func (p peerTraffic) Collect(ch chan<- prometheus.Metric) {
	s := p.t.Stats()
	for _, c := range []struct {
		call transport.Call
		n    transport.CallStats
	}{{transport.Propose, s.Propose}, {transport.ReadPoint, s.ReadPoint}, {transport.Term, s.Term}, {transport.Admin, s.Admin}} {
		p.calls.send(ch, float64(c.n.Sent), c.call.String())
		p.failures.send(ch, float64(c.n.Errors), c.call.String())
		p.served.send(ch, float64(c.n.Served), c.call.String())
	}
	p.conns.send(ch, float64(s.Incoming), "in")
	p.conns.send(ch, float64(s.Outgoing), "out")
	p.bytes.send(ch, float64(s.BytesIn), "in")
	p.bytes.send(ch, float64(s.BytesOut), "out")
}

// storeFigures collects what the local store, Pebble, can tell.
type storeFigures struct {
	db      *store.DB
	figures []storeFigure
}

type storeFigure struct {
	sample
	of func(store.Metrics) float64
}

func newStoreFigures(db *store.DB) storeFigures {
	g := func(name, help string, of func(store.Metrics) float64) storeFigure {
		return storeFigure{series(gaugeValue, "store_"+name, help), of}
	}
	c := func(name, help string, of func(store.Metrics) float64) storeFigure {
		return storeFigure{series(counterValue, "store_"+name, help), of}
	}
	return storeFigures{db, []storeFigure{
		g("memtable_bytes", "Bytes in memory that no flush has put on disk yet.", func(m store.Metrics) float64 { return float64(m.MemTableBytes) }),
		g("disk_bytes", "Bytes of all files of the store.", func(m store.Metrics) float64 { return float64(m.DiskBytes) }),
		g("tables", "Live table files.", func(m store.Metrics) float64 { return float64(m.Tables) }),
		g("l0_sublevels", "Sublevels of level 0; writes wait when there are many.", func(m store.Metrics) float64 { return float64(m.L0Sublevels) }),
		g("read_amplification", "Places that a read may have to look at.", func(m store.Metrics) float64 { return float64(m.ReadAmp) }),
		g("compaction_debt_bytes", "Estimate of what is left to compact.", func(m store.Metrics) float64 { return float64(m.CompactionDebtBytes) }),
		g("cache_bytes", "Bytes in the block cache.", func(m store.Metrics) float64 { return float64(m.CacheBytes) }),
		g("snapshots", "Open snapshots of the store.", func(m store.Metrics) float64 { return float64(m.Snapshots) }),
		c("flushes_total", "Memtables flushed.", func(m store.Metrics) float64 { return float64(m.Flushes) }),
		c("flushed_bytes_total", "Bytes written by flushes.", func(m store.Metrics) float64 { return float64(m.FlushedBytes) }),
		c("compactions_total", "Compactions done.", func(m store.Metrics) float64 { return float64(m.Compactions) }),
		c("compacted_bytes_total", "Bytes written by compactions.", func(m store.Metrics) float64 { return float64(m.CompactedBytes) }),
		c("cache_hits_total", "Reads of a block that the cache had.", func(m store.Metrics) float64 { return float64(m.CacheHits) }),
		c("cache_misses_total", "Reads of a block that the cache had not.", func(m store.Metrics) float64 { return float64(m.CacheMisses) }),
		c("commit_stalls_total", "Commits that waited for flushes or compactions.", func(m store.Metrics) float64 { return float64(m.CommitStalls) }),
		c("background_errors_total", "Failed flushes and compactions.", func(m store.Metrics) float64 { return float64(m.BackgroundErrors) }),
	}}
}

// Describe implements prometheus.Collector.
func (s storeFigures) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range s.figures {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (s storeFigures) Collect(ch chan<- prometheus.Metric) {
	m := s.db.Metrics()
	for _, f := range s.figures {
		f.send(ch, f.of(m))
	}
}
