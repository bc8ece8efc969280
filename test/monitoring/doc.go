// Package monitoring holds what the project says of its metrics against what
// three real nodes export: docs/metrics.md, the rules and alerts of
// deploy/prometheus and the dashboards of deploy/grafana. Where Prometheus is
// installed a real one scrapes the cluster, evaluates all of it, and an alert
// must fire for a node that is killed, and resolve when it is back.
//
// It guarantees that no rule and no panel asks for a series, a label or a label
// value that does not exist. It does not draw dashboards.
package monitoring
