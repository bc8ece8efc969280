package cluster

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Superseded is a cluster whose place another one has taken: an operator
// recovered a survivor of its lost quorum. Its other nodes are of a past that the
// new cluster does not share, and are refused if they come back.
type Superseded struct {
	ClusterID ID    `json:"cluster_id"`
	At        int64 `json:"at"` // unix seconds
}

// Time is when it happened, for people.
func (s Superseded) Time() string { return time.Unix(s.At, 0).UTC().Format(time.RFC3339) }

func (s Superseded) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(append(dst, s.ClusterID[:]...), uint64(s.At))
}

// decodeSuperseded reads what append wrote; p is long enough.
func decodeSuperseded(p []byte) (s Superseded) {
	n := copy(s.ClusterID[:], p)
	s.At = int64(binary.BigEndian.Uint64(p[n:]))
	return s
}

// strangers says why two nodes of different clusters are kept apart, for the log
// of the one that announces ours. lost tells that the sentence is more than a
// wrong --join: one of the two must go.
func strangers(ours, theirs Meta) (text string, lost bool) {
	switch {
	case theirs.Supersedes.ClusterID == ours.ClusterID && !ours.ClusterID.IsZero():
		return fmt.Sprintf("this node's cluster lost its quorum and was superseded by cluster %v at %s: this node's data is of before, and what it still serves is not the cluster's; stop it, then covey cluster recover rejoin --data-dir DIR, and start it again",
			theirs.ClusterID, theirs.Supersedes.Time()), true
	case ours.Supersedes.ClusterID == theirs.ClusterID && !theirs.ClusterID.IsZero():
		return fmt.Sprintf("a node came back that is of the cluster which this one superseded at %s: its data is of before, and what it still serves is not the cluster's; stop it, then covey cluster recover rejoin --data-dir DIR there, and start it again",
			ours.Supersedes.Time()), true
	}
	return "met a node of another cluster: is somebody's --join pointing at the wrong one?", false
}

// superseded returns the clusters that any of seen, alive or dead, knows to be
// superseded: that stays true for ever.
func superseded(seen []Seen) map[ID]bool {
	out := make(map[ID]bool)
	for _, s := range seen {
		if !s.Supersedes.ClusterID.IsZero() {
			out[s.Supersedes.ClusterID] = true
		}
	}
	return out
}
