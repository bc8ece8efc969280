package outbox

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what a Runner tells of its work, by kind and never by queue: there may
// be many. What waits is told by the leader alone. Safe for concurrent use.
type metrics struct {
	kinds       []string
	deliveries  *prometheus.CounterVec
	suspensions *prometheus.CounterVec
	pending     *prometheus.Desc
	oldest      *prometheus.Desc

	mu   sync.Mutex
	term *term // nil while the node does not lead
}

func newMetrics(kinds map[string]Kind) *metrics {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "covey_outbox_deliveries_total",
			Help: "Tries to deliver an item, by outcome: delivered, failed (tried again later), refused, given_up; and unsettled, for items taken out without what their sender does then.",
		}, []string{"kind", "outcome"}),
		suspensions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "covey_outbox_suspensions_total",
			Help: "Times that a queue held so much that it took no more.",
		}, []string{"kind"}),
		pending: prometheus.NewDesc("covey_outbox_pending", "Items that wait to be delivered, about. Only the leader has it.", []string{"kind"}, nil),
		oldest:  prometheus.NewDesc("covey_outbox_oldest_seconds", "Age of the oldest item that waits. Only the leader has it.", []string{"kind"}, nil),
	}
	for kind := range kinds {
		m.kinds = append(m.kinds, kind)
		m.suspensions.WithLabelValues(kind)
		for _, outcome := range []string{"delivered", "failed", "refused", "given_up", "unsettled"} {
			m.deliveries.WithLabelValues(kind, outcome)
		}
	}
	return m
}

func (m *metrics) begin(t *term) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.term = t
}

func (m *metrics) end() { m.begin(nil) }

func (m *metrics) delivery(kind, outcome string) { m.deliveries.WithLabelValues(kind, outcome).Inc() }

func (m *metrics) suspended(kind string) { m.suspensions.WithLabelValues(kind).Inc() }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.deliveries.Describe(ch)
	m.suspensions.Describe(ch)
	ch <- m.pending
	ch <- m.oldest
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.deliveries.Collect(ch)
	m.suspensions.Collect(ch)
	m.mu.Lock()
	t := m.term
	m.mu.Unlock()
	if t == nil {
		return
	}
	pending, oldest := t.sums()
	now := time.Now()
	for _, kind := range m.kinds {
		age := 0.0
		if since := oldest[kind]; since != 0 {
			age = max(now.Sub(time.UnixMilli(since)).Seconds(), 0)
		}
		ch <- prometheus.MustNewConstMetric(m.pending, prometheus.GaugeValue, float64(pending[kind]), kind)
		ch <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, age, kind)
	}
}

// sums returns by kind how many items there are, and the since of the oldest.
func (t *term) sums() (pending map[string]int, oldest map[string]int64) {
	pending, oldest = make(map[string]int), make(map[string]int64)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		l.mu.Lock()
		pending[l.kind] += l.pending
		oldest[l.kind] = older(oldest[l.kind], l.oldest)
		l.mu.Unlock()
	}
	return pending, oldest
}
