package recovery

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/folder"
	"github.com/coveydb/covey/node/raftlog"
)

// Owner is whose data a folder holds.
type Owner struct {
	NodeID    string
	ClusterID cluster.ID // zero = of no cluster yet
}

// OwnerOf reads whose data folder dir is; the zero Owner if nothing in it says so.
func OwnerOf(dir string) (Owner, error) {
	f, err := folder.Read(dir)
	if errs.Is(err, errs.NotFound) {
		return Owner{}, nil
	}
	if err != nil {
		return Owner{}, err
	}
	return Owner{f.NodeID(), f.ClusterID()}, nil
}

// Aside moves the data of a stopped node into a folder of its own within the data
// folder, so that the node starts as a new one and fetches everything from its
// cluster; files of other kinds, such as certificates, stay. It returns where the
// data lies now. Nothing is deleted. If it was interrupted no node starts on what
// is left, and Aside moves the rest. The error is errs.NotFound if there is no data,
// errs.Unavailable if a node runs on it.
func Aside(dir string, now time.Time) (string, error) {
	if err := stopped(dir); err != nil {
		return "", err
	}
	// The log goes last: without node.json, but with a log, a folder starts no
	// node. A state without the log that it is of would be taken for a new node's.
	var found []string
	for _, name := range []string{"node.json", folder.State, folder.Snapshots, folder.Raft} {
		_, err := os.Lstat(filepath.Join(dir, name))
		if err == nil {
			found = append(found, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", errs.E(errs.Invalid, "data folder %s: %w", dir, err)
		}
	}
	if len(found) == 0 {
		return "", errs.E(errs.NotFound, "data folder %s holds no data of a node: is it the --data-dir?", dir)
	}
	to := filepath.Join(dir, "aside-"+now.UTC().Format("20060102T150405Z"))
	if err := os.Mkdir(to, 0o700); err != nil {
		return "", errs.E(errs.Internal, "%w", err)
	}
	for _, name := range found {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(to, name)); err != nil {
			return to, errs.E(errs.Internal, "%w", err)
		}
		if err := folder.SyncDir(dir); err != nil {
			return to, err
		}
	}
	return to, folder.SyncDir(to)
}

// stopped finds out whether a node runs on dir by the lock on its log. What else
// may be wrong with the log does not matter.
func stopped(dir string) error {
	path := filepath.Join(dir, folder.Raft)
	kind, err := raftlog.KindOf(path)
	if err != nil {
		return nil
	}
	logs, err := raftlog.Open(raftlog.Options{Dir: path, Kind: kind, Logger: slog.New(slog.DiscardHandler), Fatal: func(error) {}})
	if errs.Is(err, errs.Unavailable) {
		return errs.E(errs.Unavailable, "data folder %s is in use: stop the node first (%w)", dir, err)
	}
	if err != nil {
		return nil
	}
	return logs.Close()
}
