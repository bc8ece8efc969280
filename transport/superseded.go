package transport

import (
	"fmt"
	"time"
)

// refuse makes the answer to a node of another cluster say so if that cluster is
// one whose place this node's has taken.
func (t *Transport) refuse(h hello, a answer) answer {
	if a.status != statusCluster || t.cfg.Superseded == nil {
		return a
	}
	at, ok := t.cfg.Superseded(h.cluster)
	if !ok {
		return a
	}
	return answer{statusSuperseded, fmt.Sprintf("cluster %x lost its quorum and was superseded by cluster %x at %s: node %s holds data of before; "+
		"stop it, then covey cluster recover rejoin --data-dir DIR there, and start it again to join anew",
		h.cluster, t.clusterID(), at.UTC().Format(time.RFC3339), h.from)}
}
