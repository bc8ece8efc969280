package fleet

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func TestTheClusterRemembersItsBackups(t *testing.T) {
	w := newWorld(t)
	stands := func(want BackupRun) {
		t.Helper()
		w.view(func(tx *kv.Tx) error {
			got, err := ReadBackupRun(tx)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			return err
		})
	}
	stands(BackupRun{})
	// Each runs twice, as its first commit meets a conflict, and counts once.
	w.must(func(tx *kv.Tx) error { return FailBackup(tx, 90, "no room") })
	w.must(func(tx *kv.Tx) error { return FailBackup(tx, 91, strings.Repeat("x", 2*maxBackupError)) })
	stands(BackupRun{Failures: 2, FailedAt: 91, Error: strings.Repeat("x", maxBackupError)})

	run := BackupRun{Slot: 100, Node: "n1", Name: "covey-1.covey", Size: 10, Version: 7, At: 101}
	w.must(func(tx *kv.Tx) error { return FinishBackup(tx, run) })
	stands(run)
	w.must(func(tx *kv.Tx) error { return FailBackup(tx, 150, "gone") })
	failed := run
	failed.Failures, failed.FailedAt, failed.Error = 1, 150, "gone"
	stands(failed)

	for _, slot := range []int64{99, 100} {
		again := BackupRun{Slot: slot, Node: "n2", Name: "covey-2.covey"}
		if err := w.update(func(tx *kv.Tx) error { return FinishBackup(tx, again) }); !errs.Is(err, errs.Conflict) {
			t.Errorf("slot %d a second time: %v", slot, err)
		}
	}
	stands(failed)
	if err := w.update(func(tx *kv.Tx) error { return FinishBackup(tx, BackupRun{Slot: 200, Name: strings.Repeat("n", 5000)}) }); !errs.Is(err, errs.Invalid) {
		t.Errorf("a long name: %v", err)
	}
}
