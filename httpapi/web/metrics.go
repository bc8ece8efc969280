package web

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts requests. Its labels are bounded: api by the program, method,
// class and code by this file; never a bucket, a key or an address.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
}

// NewMetrics registers the series of the HTTP floor with reg. It panics if reg
// has them already.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "covey_http_requests_total", Help: "Requests answered, by API, method and status code.",
		}, []string{"api", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "covey_http_request_seconds", Help: "Time from the request's header to the end of its answer, by API and class: read, write or admin. Streams are not in it.",
			Buckets:                     []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"api", "class"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "covey_http_requests_in_flight", Help: "Requests being answered now, by API.",
		}, []string{"api"}),
	}
	reg.MustRegister(m.requests, m.duration, m.inFlight)
	return m
}

// methodLabels are the methods that metrics tell apart; the last stands for
// every other.
var methodLabels = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "other",
}

// The classes of requests whose times are told apart. How long a write takes is
// a matter of the log and the network, a read of this node.
const (
	classRead  = iota // GET, HEAD, OPTIONS, and a POST that was answered with a read
	classWrite        // everything else
	classAdmin        // of the operator's API and of monitoring, whatever it does
	classes
)

var classLabels = [classes]string{classRead: "read", classWrite: "write", classAdmin: "admin"}

// adminAPIs are the APIs whose requests are of classAdmin.
var adminAPIs = map[string]bool{"admin": true, "metrics": true, "reserved": true}

const (
	minCode = 100
	codes   = 500
)

// series are the metrics of one API. Counters are looked up once for each
// method and code and then kept, because a look-up by label costs more than
// the count.
type series struct {
	name     string
	vec      *prometheus.CounterVec
	duration [classes]prometheus.Observer // nil for a class that the API has not
	inFlight prometheus.Gauge
	counters [len(methodLabels)][codes]atomic.Pointer[prometheus.Counter]
}

// series returns nil, whose methods do nothing, if m is nil.
func (m *Metrics) series(api string) *series {
	if m == nil {
		return nil
	}
	s := &series{name: api, vec: m.requests, inFlight: m.inFlight.WithLabelValues(api)}
	for class, label := range classLabels {
		if adminAPIs[api] == (class == classAdmin) {
			s.duration[class] = m.duration.WithLabelValues(api, label)
		}
	}
	return s
}

// class is how the answer w to a request counts. Some reads are sent as POST,
// because their query is long; their answer tells which state it shows.
func (s *series) class(method string, w *response) int {
	if s.duration[classAdmin] != nil {
		return classAdmin
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return classRead
	}
	if _, read := w.Header()["Covey-Consistency"]; read {
		return classRead
	}
	return classWrite
}

func (s *series) begin() {
	if s != nil {
		s.inFlight.Inc()
	}
}

// end counts an answer. How long a stream lasted says nothing about how fast
// answers are.
func (s *series) end(method string, w *response, took time.Duration) {
	if s == nil {
		return
	}
	s.inFlight.Dec()
	if !w.stream {
		s.duration[s.class(method, w)].Observe(took.Seconds())
	}
	m, code := 0, w.status
	for m < len(methodLabels)-1 && methodLabels[m] != method {
		m++
	}
	if code < minCode || code >= minCode+codes {
		code = http.StatusInternalServerError
	}
	slot := &s.counters[m][code-minCode]
	c := slot.Load()
	if c == nil {
		fresh := s.vec.WithLabelValues(s.name, methodLabels[m], strconv.Itoa(code))
		slot.Store(&fresh)
		c = &fresh
	}
	(*c).Inc()
}
