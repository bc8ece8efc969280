package recovery

import (
	"slices"

	"github.com/coveydb/covey/internal/errs"
)

// Assessment is what it would mean to go on with one survivor.
type Assessment struct {
	Self Survivor

	// Newest is the survivor with the newest log. If it is not Self, what Losses
	// says of it is given up for nothing.
	Newest string
	Losses []Loss // of survivors whose logs are newer, or longer

	// Missing are voters that nothing is known of, or that lost their folder and have
	// not caught up: such a one elects nobody. What they have committed without
	// any survivor is lost, and nobody can tell how much it is.
	Missing []string

	Survivors int      // voters that survive and vote
	Needed    int      // voters that a quorum takes
	Diverged  []string // survivors whose state differs from Self's at the same index
}

// Loss is what one survivor has and Self has not.
type Loss struct {
	NodeID    string
	First     uint64 // entries First to Last
	Last      uint64
	Committed uint64 // how many of them are known to be committed
	Replaced  bool   // its log is newer though not longer: some entries of Self were never committed
}

// Quorum reports whether the survivors are enough to go on without any recovery.
func (a *Assessment) Quorum() bool { return a.Survivors >= a.Needed }

// Assess compares a survivor with the others. It is a pure function. The error is
// errs.Invalid if two are the same node, or one is of another cluster.
func Assess(self Survivor, others []Survivor) (Assessment, error) {
	a := Assessment{Self: self, Newest: self.NodeID, Needed: len(self.Voters)/2 + 1}
	present, forgot := []string{self.NodeID}, []string{}
	if self.Blank {
		forgot = append(forgot, self.NodeID)
	}
	newest := &self
	for i := range others {
		o := &others[i]
		switch {
		case o.ClusterID != self.ClusterID:
			return a, errs.E(errs.Invalid, "the file of node %s is of cluster %v, this data folder is of %v", o.NodeID, o.ClusterID, self.ClusterID)
		case slices.Contains(present, o.NodeID):
			return a, errs.E(errs.Invalid, "node %s is given twice: --survivor takes the files of the other survivors", o.NodeID)
		}
		present = append(present, o.NodeID)
		if o.Blank {
			forgot = append(forgot, o.NodeID)
		}
		if o.newer(newest) {
			newest = o
		}
		if o.newer(&self) || o.Last > self.Last {
			a.Losses = append(a.Losses, loss(&self, o))
		}
		if o.Applied == self.Applied && o.Chain != self.Chain {
			a.Diverged = append(a.Diverged, o.NodeID)
		}
	}
	a.Newest = newest.NodeID
	for _, id := range self.Voters {
		if slices.Contains(present, id) && !slices.Contains(forgot, id) {
			a.Survivors++
		} else {
			a.Missing = append(a.Missing, id)
		}
	}
	return a, nil
}

func loss(self, o *Survivor) Loss {
	l := Loss{NodeID: o.NodeID}
	if o.Last > self.Last {
		l.First, l.Last = self.Last+1, o.Last
		l.Committed = max(o.Known, self.Last) - self.Last
	}
	l.Replaced = o.LastTerm > self.LastTerm
	return l
}
