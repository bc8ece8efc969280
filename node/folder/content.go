package folder

import (
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/checkpoint"
	"github.com/coveydb/covey/store"
)

// The parts of a folder.
const (
	State     = "state"
	Raft      = "raft"
	Snapshots = "snapshots"
)

// OpenSnapshots opens the folder's snapshots, which are checkpoints of its store
// and state streams.
func (f *Folder) OpenSnapshots(log *slog.Logger) (*checkpoint.Store, error) {
	return checkpoint.Open(checkpoint.Options{
		Dir: f.Path(Snapshots), Logger: log,
		Produce: produce,
		Verify: func(r io.Reader) error {
			_, err := fsm.VerifyStream(r)
			return err
		},
	})
}

// produce writes a checkpoint as a state stream.
func produce(dir string, w io.Writer) error {
	db, err := store.Open(store.Options{Dir: dir, ReadOnly: true, CacheBytes: 1 << 20})
	if err != nil {
		return err
	}
	snap := db.Snapshot()
	return errors.Join(fsm.WriteStream(w, snap), snap.Close(), db.Close())
}

// CatchUp brings the state and the log up to the newest snapshot, behind which
// Raft will go on. They are there, unless the state folder was lost, or the node
// stopped after it got a snapshot and before it had installed it.
func CatchUp(m *fsm.Machine, logs raft.LogStore, snapshots *checkpoint.Store, log *slog.Logger) error {
	list, err := snapshots.List()
	if err != nil || len(list) == 0 {
		return err
	}
	newest := list[0]
	if err := restore(m, snapshots, newest, log); err != nil {
		return err
	}
	// Raft appends behind the snapshot, and a log has no gaps.
	first, err := logs.FirstIndex()
	if err != nil {
		return err
	}
	last, err := logs.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	switch wrong, err := contradicts(logs, newest, first, last); {
	case err != nil:
		return err
	case wrong:
		log.Warn("the log contradicts the newest snapshot and is emptied", "last", last, "index", newest.Index)
		return logs.DeleteRange(first, last)
	case last >= newest.Index:
		return nil
	}
	log.Warn("the log ends before the newest snapshot and is emptied", "last", last, "index", newest.Index)
	return logs.DeleteRange(first, last)
}

// restore installs a snapshot if it holds more than the state. An index below
// the snapshot's tells only that it may: not every entry is a command.
func restore(m *fsm.Machine, snapshots *checkpoint.Store, newest *raft.SnapshotMeta, log *slog.Logger) error {
	have := m.State().Index
	if have >= newest.Index {
		return nil
	}
	_, stream, err := snapshots.Open(newest.ID)
	if err != nil {
		return err
	}
	holds, err := fsm.VerifyStream(stream)
	if err = errors.Join(err, stream.Close()); err != nil || holds.Index <= have {
		return err
	}
	log.Warn("the state is behind the newest snapshot and is restored from it", "state", have, "index", newest.Index)
	if _, stream, err = snapshots.Open(newest.ID); err != nil {
		return err
	}
	return errors.Join(m.Restore(stream), stream.Close())
}

// InUse explains the usual reason why a part of a folder cannot be opened; other
// errors it returns as they are.
func (f *Folder) InUse(err error) error {
	if text := err.Error(); strings.Contains(text, "lock") || strings.Contains(text, "in use") || strings.Contains(text, "timeout") {
		return errs.E(errs.Unavailable, "data folder %s is in use by another process: stop that one, or choose another --data-dir (%w)", f.dir, err)
	}
	return err
}
