package telemetry

import (
	"errors"
	"sync"

	armon "github.com/armon/go-metrics"
	armonprom "github.com/armon/go-metrics/prometheus"
	hashi "github.com/hashicorp/go-metrics"
	hashiprom "github.com/hashicorp/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/internal/errs"
)

// prefixes says which names each sink lets through. The longer prefix wins.
var (
	hashiAllowed = []string{"raft", "memberlist"}
	hashiBlocked = []string{"raft.boltdb", "raft.wal"}
	armonAllowed = []string{"raft.boltdb", "raft.wal"}

	labels = []string{"peer_id", "rpcType", "node_state"}
)

// sinks are the two collectors. The libraries know one global sink each, so
// there is one pair for the process, made on first use.
var sinks = sync.OnceValues(takeOver)

// Connect registers the libraries' measurements with reg. It may be called for
// any number of registries, and more than once for the same; it is safe for
// concurrent use. What was measured before the first call is lost.
func Connect(reg prometheus.Registerer) error {
	pair, err := sinks()
	if err != nil {
		return err
	}
	for _, sink := range pair {
		var again prometheus.AlreadyRegisteredError
		if err := reg.Register(sink); err != nil && !errors.As(err, &again) {
			return errs.E(errs.Internal, "register the libraries' metrics: %w", err)
		}
	}
	return nil
}

func takeOver() ([]prometheus.Collector, error) {
	// The constructors register; what they register with is thrown away.
	apart := prometheus.NewRegistry()
	newer, err := hashiprom.NewPrometheusSinkFrom(hashiprom.PrometheusOpts{
		Registerer: apart, Name: "covey_raft_memberlist_sink",
	})
	if err != nil {
		return nil, errs.E(errs.Internal, "make the metrics sink of raft: %w", err)
	}
	older, err := armonprom.NewPrometheusSinkFrom(armonprom.PrometheusOpts{
		Registerer: apart, Name: "covey_raft_log_sink",
	})
	if err != nil {
		return nil, errs.E(errs.Internal, "make the metrics sink of the raft log: %w", err)
	}
	if err := connectHashi(newer); err != nil {
		return nil, err
	}
	if err := connectArmon(older); err != nil {
		return nil, err
	}
	return []prometheus.Collector{newer, older}, nil
}

func connectHashi(sink hashi.MetricSink) error {
	c := hashi.DefaultConfig("")
	c.EnableHostname = false
	c.EnableRuntimeMetrics = false // the Go collector of Prometheus has them
	c.FilterDefault = false
	c.AllowedPrefixes, c.BlockedPrefixes = hashiAllowed, hashiBlocked
	c.AllowedLabels = labels
	if _, err := hashi.NewGlobal(c, sink); err != nil {
		return errs.E(errs.Internal, "connect the metrics of raft: %w", err)
	}
	return nil
}

func connectArmon(sink armon.MetricSink) error {
	c := armon.DefaultConfig("")
	c.EnableHostname = false
	c.EnableRuntimeMetrics = false
	c.FilterDefault = false
	c.AllowedPrefixes = armonAllowed
	c.AllowedLabels = labels
	if _, err := armon.NewGlobal(c, sink); err != nil {
		return errs.E(errs.Internal, "connect the metrics of the raft log: %w", err)
	}
	return nil
}
