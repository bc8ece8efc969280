package fleet

import (
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// BackupRun is how the cluster's scheduled backups stand. Times are unix seconds.
type BackupRun struct {
	Slot    int64  `json:"slot"` // the last time at which one was due and was made; 0 = never
	Node    string `json:"node"` // that made it
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	Version uint64 `json:"version"`
	At      int64  `json:"at"` // when it was done

	Failures int64  `json:"failures,omitempty"` // since then
	FailedAt int64  `json:"failed_at,omitempty"`
	Error    string `json:"error,omitempty"`
}

// maxBackupError bounds a BackupRun's Error and Name, in bytes.
const maxBackupError = 1 << 10

// ReadBackupRun returns how they stand, the zero value if there was none yet.
func ReadBackupRun(tx *kv.Tx) (r BackupRun, err error) {
	_, err = get(tx, key(backupByte), &r)
	return r, err
}

// FinishBackup records that one was made; what failed before it is forgotten. It
// is errs.Conflict if one was made for r.Slot, or a later time, already.
func FinishBackup(tx *kv.Tx, r BackupRun) error {
	last, err := ReadBackupRun(tx)
	switch {
	case err != nil:
		return err
	case last.Slot >= r.Slot:
		return errs.E(errs.Conflict, "node %s has made the backup for this time, %s", last.Node, last.Name)
	case len(r.Name) > maxBackupError || len(r.Node) > maxName:
		return errs.E(errs.Invalid, "backup %.40q of node %.40q: the names are too long", r.Name, r.Node)
	}
	r.Failures, r.FailedAt, r.Error = 0, 0, ""
	set(tx, key(backupByte), r)
	return nil
}

// FailBackup counts one that was not made, and why.
func FailBackup(tx *kv.Tx, at int64, why string) error {
	r, err := ReadBackupRun(tx)
	if err != nil {
		return err
	}
	r.Failures++
	r.FailedAt, r.Error = at, why[:min(len(why), maxBackupError)]
	set(tx, key(backupByte), r)
	return nil
}
