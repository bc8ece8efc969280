package node

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
)

// folderFormat is the layout of a data folder:
//
//	node.json    whose it is
//	state/       the local store
//	raft/        Raft's log and stable store
//	snapshots/   checkpoints and received streams
const folderFormat = 1

// identity is whose data a folder holds.
type identity struct {
	Format    int    `json:"format"`
	NodeID    string `json:"node_id"`
	ClusterID string `json:"cluster_id,omitempty"` // 32 hexadecimal digits; none before the node is in a cluster

	// Founders are the first voters of a cluster that this node is about to
	// form. They stand here from before the cluster's id is told to anyone until
	// Raft's log holds them, so that a crash in between forms no second cluster.
	Founders []founder `json:"founders,omitempty"`
}

type founder struct {
	ID   string `json:"id"`
	Addr string `json:"addr"`
}

// folder is an opened data folder.
type folder struct {
	dir string

	mu      sync.Mutex
	id      identity
	cluster cluster.ID
}

// clusterID is the cluster that the data is of; zero before there is one.
func (f *folder) clusterID() cluster.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cluster
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// openFolder makes dir if it is missing, and refuses one that is another
// node's or a newer release's.
func openFolder(dir, nodeID string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.E(errs.Invalid, "data folder %s: %w: make it writable for this user, or choose another with --data-dir", dir, err)
	}
	f := &folder{dir: dir, id: identity{Format: folderFormat, NodeID: nodeID}}
	p, err := os.ReadFile(f.path("node.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return f, f.save()
	}
	if err != nil {
		return nil, errs.E(errs.Invalid, "data folder %s: %w", dir, err)
	}
	if err := json.Unmarshal(p, &f.id); err != nil {
		return nil, errs.E(errs.Invalid, "data folder %s: node.json is damaged: %w", dir, err)
	}
	switch {
	case f.id.Format > folderFormat:
		return nil, errs.E(errs.Invalid, "data folder %s has format %d, this release reads up to %d: start the newer release that wrote it", dir, f.id.Format, folderFormat)
	case f.id.NodeID != nodeID:
		return nil, errs.E(errs.Invalid, "data folder %s belongs to node %q, not to %q: start with --id %s, or choose another --data-dir", dir, f.id.NodeID, nodeID, f.id.NodeID)
	}
	if f.id.ClusterID != "" {
		if f.cluster, err = cluster.ParseID(f.id.ClusterID); err != nil {
			return nil, errs.E(errs.Invalid, "data folder %s: node.json: %w", dir, err)
		}
	}
	return f, nil
}

// join writes down which cluster the folder's data belongs to.
func (f *folder) join(c cluster.ID, founders ...founder) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cluster, f.id.ClusterID, f.id.Founders = c, c.String(), founders
	return f.save()
}

// save replaces node.json atomically and durably.
func (f *folder) save() error {
	p, err := json.MarshalIndent(f.id, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(f.path("node.json.new"), append(p, '\n')); err != nil {
		return errs.E(errs.Invalid, "data folder %s: %w: is it writable and has it room?", f.dir, err)
	}
	if err := os.Rename(f.path("node.json.new"), f.path("node.json")); err != nil {
		return err
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func writeSynced(path string, p []byte) error {
	w, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(p)
	return errors.Join(err, w.Sync(), w.Close())
}
