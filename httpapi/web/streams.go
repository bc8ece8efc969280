package web

import (
	"net/netip"
	"sync"

	"github.com/coveydb/covey/internal/errs"
	"github.com/prometheus/client_golang/prometheus"
)

// StreamLimits bound how many streams are open at once on one node. Zero values
// are the defaults.
type StreamLimits struct {
	Total     int // of all clients: 20,000
	PerClient int // of one client, as a Limiter tells them apart: 1,000
}

// Streams counts the open streams of all APIs of a node, and bounds them: each
// takes memory and a file for as long as its client likes. A nil *Streams
// bounds nothing. Safe for concurrent use.
type Streams struct {
	limits StreamLimits
	open   *prometheus.GaugeVec // nil: nothing is counted

	mu      sync.Mutex
	total   int
	clients map[netip.Addr]int
}

// NewStreams returns a Streams, and registers its series with reg, which may be
// nil. It panics if reg has them already.
func NewStreams(limits StreamLimits, reg prometheus.Registerer) *Streams {
	if limits.Total <= 0 {
		limits.Total = 20_000
	}
	if limits.PerClient <= 0 {
		limits.PerClient = 1_000
	}
	s := &Streams{limits: limits, clients: make(map[netip.Addr]int)}
	if reg != nil {
		s.open = prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "covey_http_streams", Help: "Streams of events that are open now, by API.",
		}, []string{"api"})
		reg.MustRegister(s.open)
	}
	return s
}

// Take counts one stream more of api, for a client as Proxies.Client gives it.
// The caller must call release once, when the stream has ended. A client that
// has its share is errs.Limited, a node that has its fill errs.Unavailable.
func (s *Streams) Take(api string, client netip.Addr) (release func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	client = site(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.clients[client] >= s.limits.PerClient:
		return nil, errs.E(errs.Limited, "this client has %d streams open already, close some", s.limits.PerClient)
	case s.total >= s.limits.Total:
		return nil, errs.E(errs.Unavailable, "this node has %d streams open already, try another one", s.limits.Total)
	}
	s.total++
	s.clients[client]++
	if s.open != nil {
		s.open.WithLabelValues(api).Inc()
	}
	return func() { s.release(api, client) }, nil
}

func (s *Streams) release(api string, client netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.clients[client]--; s.clients[client] == 0 {
		delete(s.clients, client)
	}
	if s.open != nil {
		s.open.WithLabelValues(api).Dec()
	}
}
