package recovery

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/checkpoint"
	"github.com/coveydb/covey/node/folder"
	"github.com/coveydb/covey/node/raftlog"
	"github.com/coveydb/covey/store"
)

// keyTerm is where Raft keeps its term in the stable store.
const keyTerm = "CurrentTerm"

// Data is the opened data folder of a stopped node. It is for one goroutine, and
// must be closed; until then no node can start on it.
type Data struct {
	folder    *folder.Folder
	log       *slog.Logger
	db        *store.DB
	machine   *fsm.Machine
	logs      *raftlog.Stores
	snapshots *checkpoint.Store
	fatal     error // of the stores

	step func(name string) error // tests end the work here; nil = nothing
}

// Open opens the data folder dir. It changes nothing of what a node has stored.
// The error is errs.NotFound if there is no data folder, errs.Unavailable if a
// node runs on it, and errs.Invalid if it is damaged or has never been part of a
// cluster.
func Open(dir string, log *slog.Logger) (*Data, error) {
	f, err := folder.Read(dir)
	if err != nil {
		return nil, err
	}
	if f.ClusterID().IsZero() {
		return nil, errs.E(errs.Invalid, "data folder %s has never been part of a cluster: there is nothing to recover", dir)
	}
	if err := f.Retired(); err != nil {
		return nil, err
	}
	d := &Data{folder: f, log: log}
	if err := d.open(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Data) open() error {
	kind, err := raftlog.KindOf(d.folder.Path(folder.Raft))
	if err != nil {
		return err
	}
	fatal := func(err error) {
		if d.fatal == nil {
			d.fatal = err
		}
	}
	// A state folder that was lost comes back from a snapshot: see CatchUp.
	d.db, err = store.Open(store.Options{Dir: d.folder.Path(folder.State), Logger: d.log})
	if err != nil {
		return d.folder.InUse(err)
	}
	d.logs, err = raftlog.Open(raftlog.Options{Dir: d.folder.Path(folder.Raft), Kind: kind, Logger: d.log, Fatal: fatal})
	if err != nil {
		return d.folder.InUse(err)
	}
	if d.machine, err = fsm.Open(d.db, fsm.Options{}); err != nil {
		return errs.E(errs.Invalid, "data folder %s: %w", d.folder.Dir(), err)
	}
	if d.snapshots, err = d.folder.OpenSnapshots(d.log); err != nil {
		return err
	}
	return folder.CatchUp(d.machine, d.logs.Log, d.snapshots, d.log)
}

// Close lets go of the folder.
func (d *Data) Close() error {
	var all []error
	if d.machine != nil {
		d.machine.Close()
	}
	if d.logs != nil {
		all = append(all, d.logs.Close())
	}
	if d.db != nil {
		all = append(all, d.db.Close())
	}
	return errors.Join(all...)
}

// Pending reports whether a recovery of this folder was begun and is not done.
// Recover then goes on with it.
func (d *Data) Pending() bool {
	_, pending := d.folder.Recovery()
	return pending
}

// Survivor tells where the node stands.
func (d *Data) Survivor(now time.Time) (Survivor, error) {
	newest, err := d.newest()
	if err != nil {
		return Survivor{}, err
	}
	last, lastTerm, err := d.last(newest)
	if err != nil {
		return Survivor{}, err
	}
	conf, err := configuration(d.logs.Log, newest.Index, last, newest.Configuration)
	if err != nil {
		return Survivor{}, err
	}
	st := d.machine.State()
	s := Survivor{
		Format: Format, NodeID: d.folder.NodeID(), ClusterID: d.folder.ClusterID(), Blank: d.folder.Blank(), At: now.UTC().Truncate(time.Second),
		LastTerm: lastTerm, Last: last, Known: max(st.Index, newest.Index),
		Applied: st.Index, Version: st.Version, Chain: hex.EncodeToString(st.Chain[:]),
	}
	if s.Term, err = d.logs.Stable.GetUint64([]byte(keyTerm)); err != nil {
		return s, errs.E(errs.Invalid, "the term: %w", err)
	}
	s.Voters, s.NonVoters = split(conf)
	if s.Tail, err = readTail(d.logs.Log, s.Known, last); err != nil {
		return s, err
	}
	if err := s.check(); err != nil {
		return s, errs.E(errs.Invalid, "data folder %s cannot be recovered: %w", d.folder.Dir(), err)
	}
	return s, nil
}

// newest returns the newest snapshot; an empty one if there is none.
func (d *Data) newest() (raft.SnapshotMeta, error) {
	list, err := d.snapshots.List()
	if err != nil || len(list) == 0 {
		return raft.SnapshotMeta{}, err
	}
	return *list[0], nil
}

// last returns index and term of the end of the log, or of the newest snapshot
// if no entry is behind it.
func (d *Data) last(newest raft.SnapshotMeta) (index, term uint64, err error) {
	index, err = d.logs.Log.LastIndex()
	if err != nil || index <= newest.Index {
		return newest.Index, newest.Term, err
	}
	var e raft.Log
	if err := d.logs.Log.GetLog(index, &e); err != nil {
		return 0, 0, errs.E(errs.Invalid, "entry %d of the log: %w", index, err)
	}
	return index, e.Term, nil
}
