package folder

import (
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

// Retire writes down that the folder's node is no member of its cluster any
// more: Open refuses the folder from then on. What is in it stays.
func (f *Folder) Retire(at time.Time) error {
	return f.change(func(id *identity) { id.Retired = at.Unix() })
}

// checkRetired refuses the folder of a node that was removed. Started again it
// would wait for ever for a cluster that does not want it; and what it knows is
// only a past of the cluster's data.
func (f *Folder) checkRetired() error {
	if f.id.Retired == 0 {
		return nil
	}
	return errs.E(errs.Invalid, "data folder %s: node %s was removed from cluster %v on %s: to make it a new member move the folder away and start with an empty one",
		f.dir, f.id.NodeID, f.id.ClusterID, time.Unix(f.id.Retired, 0).UTC().Format(time.RFC3339))
}

// contradicts reports whether a log that reaches from first to last is another
// past than a snapshot: then nothing of it from the snapshot's index on was ever
// committed, and all of it may go (Raft, figure 13, rule 7 of InstallSnapshot,
// which hashicorp/raft leaves out: issue 697).
//
// A log that holds the snapshot's last entry, or follows it, has no entry of an
// earlier term from there on, since terms never fall in a log. One of another
// past has such an entry at that very place: a leader of that term or a later
// one, which has the committed entry, can have put nothing behind another.
func contradicts(logs raft.LogStore, s *raft.SnapshotMeta, first, last uint64) (bool, error) {
	at := max(first, s.Index)
	if at > last {
		return false, nil
	}
	var entry raft.Log
	if err := logs.GetLog(at, &entry); err != nil {
		return false, err
	}
	return entry.Term < s.Term, nil
}
