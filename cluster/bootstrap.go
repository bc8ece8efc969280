package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Bootstrap decides whether node self shall now form the first cluster, and of
// which servers, all of them voters. expect is its --bootstrap-expect; seen is
// what gossip sees, with or without self. It says yes to at most one node: the
// one with the smallest id of the first expect candidates, once all of these
// announce that they would choose the same. DESIGN.md gives the argument.
//
// On yes the caller writes a new cluster id and the servers to its data folder,
// bootstraps Raft with the servers, and only then announces the id. Found in
// the data folder at the next start, the two later steps are done again: they
// have the same effect twice as once.
func Bootstrap(self Seen, seen []Seen, expect int) ([]Server, bool) {
	servers, wait := decide(self, seen, expect)
	return servers, wait == ""
}

// Waiting says in one sentence what node self waits for before a first cluster
// can be formed; "" when Bootstrap says yes.
func Waiting(self Seen, seen []Seen, expect int) string {
	_, wait := decide(self, seen, expect)
	return wait
}

// Adopt returns the cluster that a node without one finds itself in: that of
// all alive nodes that have one. It returns false if there is none, or more
// than one: then an operator must say which. A cluster that another one is known
// to have superseded does not count. Once adopted and written down, a cluster is
// for ever.
func Adopt(self Seen, seen []Seen) (ID, bool) {
	if !self.ClusterID.IsZero() {
		return self.ClusterID, true
	}
	past := superseded(seen)
	var found ID
	for _, s := range seen {
		switch {
		case !s.Alive || s.ClusterID.IsZero() || s.NodeID == self.NodeID || past[s.ClusterID]:
		case found.IsZero():
			found = s.ClusterID
		case found != s.ClusterID:
			return ID{}, false
		}
	}
	return found, !found.IsZero()
}

func decide(self Seen, seen []Seen, expect int) (servers []Server, wait string) {
	chosen, wait := choose(self, seen, expect)
	if wait != "" {
		return nil, wait
	}
	want := digest(chosen)
	atAddr := make(map[string]string)
	for _, c := range chosen {
		if other, taken := atAddr[c.PeerAddr]; taken {
			return nil, fmt.Sprintf("nodes %s and %s both advertise the peer address %s", other, c.NodeID, c.PeerAddr)
		}
		atAddr[c.PeerAddr] = c.NodeID
		if c.Choice != want {
			return nil, fmt.Sprintf("waiting for node %s to see the same %d nodes as this one: %s", c.NodeID, expect, names(chosen))
		}
		servers = append(servers, Server{ID: c.NodeID, Addr: c.PeerAddr, Voter: true})
	}
	if former := chosen[0].NodeID; former != self.NodeID {
		return nil, fmt.Sprintf("waiting for node %s to form the cluster of %s", former, names(chosen))
	}
	return servers, ""
}

// choose returns the nodes of which self, by what it sees, would form the
// first cluster, in order of their ids; or the reason why it would not.
func choose(self Seen, seen []Seen, expect int) ([]Seen, string) {
	switch {
	case expect <= 0 || self.BootstrapExpect != expect:
		return nil, "waiting for a cluster to join: this node was not told to help to form one (--bootstrap-expect)"
	case !self.ClusterID.IsZero() || self.HasState:
		return nil, "this node is part of a cluster already"
	case self.NonVoter:
		return nil, "waiting for a cluster to join: a non-voter cannot help to form one"
	case self.PeerAddr == "":
		return nil, "this node has no peer address"
	}
	self.Alive = true
	candidates, strange := []Seen{self}, ""
	for _, s := range seen {
		if s.NodeID == self.NodeID {
			continue
		}
		// Even a dead node's state counts: to wait is safe, to form a second cluster is not.
		if !s.ClusterID.IsZero() || s.HasState {
			return nil, fmt.Sprintf("node %s is part of a cluster already: this one joins it", s.NodeID)
		}
		switch {
		case !s.Alive || s.NonVoter || s.PeerAddr == "" || s.BootstrapExpect == 0:
		case s.BootstrapExpect != expect:
			strange = fmt.Sprintf("; node %s expects %d", s.NodeID, s.BootstrapExpect)
		default:
			candidates = append(candidates, s)
		}
	}
	slices.SortFunc(candidates, func(a, b Seen) int { return cmp.Compare(a.NodeID, b.NodeID) })
	if len(candidates) < expect {
		return nil, fmt.Sprintf("waiting for %d nodes to form a cluster, %d are here: %s%s", expect, len(candidates), names(candidates), strange)
	}
	chosen := candidates[:expect]
	if chosen[expect-1].NodeID < self.NodeID {
		return nil, fmt.Sprintf("waiting for %s to form a cluster to join", names(chosen))
	}
	return chosen, ""
}

// digest stands for a set of nodes in a Meta; never 0.
func digest(chosen []Seen) uint64 {
	h := sha256.New()
	for _, c := range chosen {
		fmt.Fprintf(h, "%d:%s", len(c.NodeID), c.NodeID)
	}
	return binary.BigEndian.Uint64(h.Sum(nil)) | 1
}

func names(nodes []Seen) string {
	ids := make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = n.NodeID
	}
	return strings.Join(ids, ", ")
}
