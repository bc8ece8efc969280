package recovery

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/checkpoint"
	"github.com/coveydb/covey/node/folder"
)

const (
	backupDir  = "recovery" // in the data folder
	stableFile = "stable.db"
	reportFile = "survivor.json"

	batchEntries = 512 // entries of the log that are applied together
	batchBytes   = 8 << 20
)

// Result is what Recover has made.
type Result struct {
	ClusterID  cluster.ID // of the new cluster
	Superseded cluster.ID
	Version    uint64 // of the state, where the new epoch begins
	Copies     string // the folder with copies of what was changed
}

// Recover makes the node the only voter of a new cluster with the data that it
// has: see the package comment for the steps. past is a version that the lost past
// is known to have reached, 0 if unknown. After an error, or a crash, the folder is
// either as it was or can only be recovered, by calling Recover again.
func (d *Data) Recover(now time.Time, past uint64) (Result, error) {
	r, pending := d.folder.Recovery()
	if !pending {
		var err error
		if r, err = d.begin(now); err != nil {
			return Result{}, err
		}
	}
	old := d.folder.ClusterID()
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"begun", func() error { return nil }},
		{"state", func() error { return d.settle(r, past) }},
		{"snapshot", func() error { return d.snapshot(r) }},
		{"term", func() error { return d.logs.Stable.SetUint64([]byte(keyTerm), r.Term) }},
		{"log", d.emptyLog},
		{"finished", d.folder.FinishRecovery},
	} {
		if err := errors.Join(s.do(), d.fatal); err != nil {
			return Result{}, err
		}
		if d.step != nil {
			if err := d.step(s.name); err != nil {
				return Result{}, err
			}
		}
	}
	return Result{ClusterID: r.ClusterID, Superseded: old, Version: d.machine.State().Version, Copies: d.copies(r)}, nil
}

// begin copies what will be changed, and writes down what will be done.
func (d *Data) begin(now time.Time) (folder.Recovery, error) {
	s, err := d.Survivor(now)
	if err != nil {
		return folder.Recovery{}, err
	}
	if !slices.Contains(slices.Concat(s.Voters, s.NonVoters), s.NodeID) {
		return folder.Recovery{}, errs.E(errs.Invalid, "by its own log node %s is no member of the cluster: it was removed, and its data may be old", s.NodeID)
	}
	r := folder.Recovery{ClusterID: cluster.NewID(), At: now.Unix(), Index: s.Last + 1, Term: s.Term + 1}
	if err := d.backUp(s, d.copies(r)); err != nil {
		return r, errs.E(errs.Internal, "copy what is going to be changed: %w", err)
	}
	return r, d.folder.BeginRecovery(r)
}

// copies is where the copies of a recovery lie.
func (d *Data) copies(r folder.Recovery) string {
	return filepath.Join(d.folder.Path(backupDir), time.Unix(r.At, 0).UTC().Format("20060102T150405Z"))
}

// backUp copies the small files that a recovery changes. State and log lose
// nothing by it.
func (d *Data) backUp(s Survivor, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	report, err := s.Encode()
	if err != nil {
		return err
	}
	if err := folder.WriteSynced(filepath.Join(dir, reportFile), report); err != nil {
		return err
	}
	for _, path := range []string{d.folder.Path("node.json"), filepath.Join(d.folder.Path(folder.Raft), stableFile)} {
		if err := copyFile(path, filepath.Join(dir, filepath.Base(path))); err != nil {
			return err
		}
	}
	return errors.Join(folder.SyncDir(dir), folder.SyncDir(filepath.Dir(dir)), folder.SyncDir(d.folder.Dir()))
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Sync(), w.Close())
}

// settle applies the whole log to the state and begins the new epoch in it.
func (d *Data) settle(r folder.Recovery, past uint64) error {
	if d.machine.State().Index >= r.Index {
		return nil // done before
	}
	last, err := d.logs.Log.LastIndex()
	if err != nil {
		return err
	}
	batch, size := make([]fsm.Entry, 0, batchEntries), 0
	apply := func() error {
		_, err := d.machine.Apply(batch)
		batch, size = batch[:0], 0
		return err
	}
	for i := max(d.machine.State().Index, d.newestIndex()) + 1; i <= last; i++ {
		var e raft.Log
		if err := d.logs.Log.GetLog(i, &e); err != nil {
			return errs.E(errs.Invalid, "entry %d of the log: %w", i, err)
		}
		if e.Type != raft.LogCommand {
			continue
		}
		batch, size = append(batch, fsm.Entry{Index: e.Index, Data: e.Data}), size+len(e.Data)
		if len(batch) == batchEntries || size >= batchBytes {
			if err := apply(); err != nil {
				return err
			}
		}
	}
	if err := apply(); err != nil {
		return err
	}
	if err := d.machine.NewEpoch(r.Index, past); err != nil {
		return err
	}
	return d.db.Flush()
}

// newestIndex is the index of the newest snapshot, which the state has reached.
func (d *Data) newestIndex() uint64 {
	newest, err := d.newest()
	if err != nil {
		return 0 // the log is read from further back than it must
	}
	return newest.Index
}

// snapshot makes the snapshot that the new cluster begins with.
func (d *Data) snapshot(r folder.Recovery) error {
	newest, err := d.newest()
	if err != nil || newest.Index >= r.Index {
		return err
	}
	last, _, err := d.last(newest)
	if err != nil {
		return err
	}
	conf, err := configuration(d.logs.Log, newest.Index, last, newest.Configuration)
	if err != nil {
		return err
	}
	alone := raft.Configuration{Servers: slices.DeleteFunc(slices.Clone(conf.Servers), func(s raft.Server) bool { return string(s.ID) != d.folder.NodeID() })}
	if len(alone.Servers) != 1 {
		return errs.E(errs.Internal, "the configuration names node %s %d times", d.folder.NodeID(), len(alone.Servers))
	}
	alone.Servers[0].Suffrage = raft.Voter
	sink, err := d.snapshots.Create(1, r.Index, r.Term, alone, r.Index, nil)
	if err != nil {
		return err
	}
	k, ok := sink.(*checkpoint.Sink)
	if !ok {
		return errors.Join(errs.E(errs.Internal, "a snapshot into a foreign sink %T", sink), sink.Cancel())
	}
	if err := k.Checkpoint(d.machine.Checkpoint); err != nil {
		return errors.Join(err, k.Cancel())
	}
	return k.Close()
}

func (d *Data) emptyLog() error {
	first, err := d.logs.Log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := d.logs.Log.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	return d.logs.Log.DeleteRange(first, last)
}
