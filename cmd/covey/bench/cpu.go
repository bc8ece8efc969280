package bench

import (
	"bytes"
	"fmt"
	"strconv"
)

// cpuSeries is the standard name of a process's CPU time in Prometheus metrics.
const cpuSeries = "process_cpu_seconds_total"

// CPUSeconds returns the CPU time of a process from its metrics text.
func CPUSeconds(metrics []byte) (float64, error) {
	for line := range bytes.Lines(metrics) {
		rest, ok := bytes.CutPrefix(line, []byte(cpuSeries+" "))
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
		if err != nil {
			return 0, fmt.Errorf("%s is not a number: %.40q", cpuSeries, rest)
		}
		return v, nil
	}
	return 0, fmt.Errorf("the metrics have no %s", cpuSeries)
}
