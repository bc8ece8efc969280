package server

import (
	"crypto/x509"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// expiry exports when the certificates of a node end.
type expiry struct {
	desc  *prometheus.Desc
	certs []*certificate
}

// newExpiry returns the series of those certificates that are not nil.
func newExpiry(certs ...*certificate) *expiry {
	return &expiry{certs: certs, desc: prometheus.NewDesc(
		"covey_tls_certificate_expiry_seconds",
		"When a certificate ends, in seconds since 1970, by use: http and peer are this node's own; "+
			"peer-ca is the CA that has signed the latter; http-client-ca is the last to end of those that clients' certificates may be of.",
		[]string{"use"}, nil,
	)}
}

// Describe is part of prometheus.Collector.
func (e *expiry) Describe(to chan<- *prometheus.Desc) { to <- e.desc }

// Collect is part of prometheus.Collector.
func (e *expiry) Collect(to chan<- prometheus.Metric) {
	tell := func(end time.Time, use string) {
		to <- prometheus.MustNewConstMetric(e.desc, prometheus.GaugeValue, float64(end.Unix()), use)
	}
	for _, c := range e.certs {
		if c == nil {
			continue
		}
		m := c.current.Load()
		tell(m.leaf.NotAfter, c.use)
		switch {
		case m.issuer != nil:
			tell(m.issuer.NotAfter, c.use+"-ca")
		case len(m.cas) > 0:
			tell(lastEnd(m.cas), c.use+"-client-ca")
		}
	}
}

func lastEnd(certs []*x509.Certificate) (end time.Time) {
	for _, c := range certs {
		if c.NotAfter.After(end) {
			end = c.NotAfter
		}
	}
	return end
}
