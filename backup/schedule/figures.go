package schedule

import "github.com/prometheus/client_golang/prometheus"

// figures are the metrics of a schedule.
type figures struct {
	success, size prometheus.Gauge
	failures      prometheus.Counter
}

func newFigures() figures {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "covey", Subsystem: "backup", Name: name, Help: help})
	}
	return figures{
		success: gauge("last_success_timestamp_seconds", "When the last scheduled backup of the cluster was made and verified, unix seconds; 0 if there is none yet. The same on all nodes that have the schedule."),
		size:    gauge("last_size_bytes", "Size of the last scheduled backup."),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "covey", Subsystem: "backup", Name: "failures_total",
			Help: "Scheduled backups that this node could not make, store or verify.",
		}),
	}
}

func (f figures) all() []prometheus.Collector {
	return []prometheus.Collector{f.success, f.size, f.failures}
}

// show sets what the cluster remembers.
func (f figures) show(r Run) {
	f.success.Set(float64(r.At))
	f.size.Set(float64(r.Size))
}
