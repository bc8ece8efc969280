package transport

import (
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

func TestANodeOfASupersededClusterIsToldSo(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := listen(t, "b", func(c *Config) {
		c.ClusterID = clusterB
		c.Superseded = func(id [16]byte) (time.Time, bool) { return when, id == clusterA }
	})
	lost := listen(t, "lost", knows("b", b))
	_, err := lost.Call(within(t, 10*time.Second), "b", Term, nil)
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "superseded by cluster 0900") ||
		!strings.Contains(err.Error(), "2026-01-02T03:04:05Z") || !strings.Contains(err.Error(), "covey cluster recover rejoin") {
		t.Errorf("the lost node is told: %v", err)
	}
	stranger := listen(t, "s", func(c *Config) { c.ClusterID = [16]byte{5}; knows("b", b)(c) })
	if _, err := stranger.Call(within(t, 10*time.Second), "b", Term, nil); err == nil || strings.Contains(err.Error(), "superseded") {
		t.Errorf("a node of a third cluster is told: %v", err)
	}
	fits := appendAnswer(nil, b.refuse(hello{cluster: clusterA, from: strings.Repeat("n", 64)}, answer{status: statusCluster}))
	if len(fits) > 3+maxText-1 {
		t.Errorf("the sentence is cut off: %d bytes", len(fits))
	}
}
