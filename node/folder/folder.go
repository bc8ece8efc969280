package folder

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
)

// format is the layout of a data folder.
const format = 1

const (
	nodeLimit = 1 << 20 // bytes of NodeFile; a real one is far smaller

	// maxSuperseded is how many clusters a folder remembers that its own has taken
	// the place of; the oldest are forgotten first.
	maxSuperseded = 64
)

// NodeFile is the file of a data folder that says whose it is. A node writes it
// first of all.
const NodeFile = "node.json"

// identity is NodeFile.
type identity struct {
	Format    int        `json:"format"`
	NodeID    string     `json:"node_id"`
	ClusterID cluster.ID `json:"cluster_id,omitzero"` // none before the node is in a cluster

	// Founders are the first voters of a cluster that this node is about to
	// form. They stand here from before the cluster's id is told to anyone until
	// Raft's log holds them, so that a crash in between forms no second cluster.
	Founders []Founder `json:"founders,omitempty"`

	Blank      bool                 `json:"blank,omitempty"`      // see Folder.Blank
	Superseded []cluster.Superseded `json:"superseded,omitempty"` // newest first
	Recovery   *Recovery            `json:"recovery,omitempty"`
	Retired    int64                `json:"retired,omitempty"` // when the node was removed, unix seconds
}

// Founder is one of the first voters of a cluster.
type Founder struct {
	ID   string `json:"id"`
	Addr string `json:"addr"`
}

// Recovery is a recovery from the loss of a quorum that has begun and is not
// done: what it makes of the folder was decided when it began, so that every
// further try leads to the same end.
type Recovery struct {
	ClusterID cluster.ID `json:"cluster_id"` // the new cluster's
	At        int64      `json:"at"`         // when it began, unix seconds
	Index     uint64     `json:"index"`      // of the snapshot that the new cluster begins with
	Term      uint64     `json:"term"`
}

// Folder is a data folder. Its methods are safe for concurrent use. It holds no
// lock on the files: the store and the log below it do.
type Folder struct {
	dir string

	mu sync.Mutex
	id identity
}

// Open makes dir for node nodeID if it is missing, and refuses one that is
// another node's, a newer release's, or half recovered. The error is errs.Invalid
// and says what to do.
func Open(dir, nodeID string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.E(errs.Invalid, "data folder %s: %w: make it writable for this user, or choose another with --data-dir", dir, err)
	}
	f, err := Read(dir)
	if errs.Is(err, errs.NotFound) {
		f = &Folder{dir: dir, id: identity{Format: format, NodeID: nodeID}}
		return f, f.save()
	}
	switch {
	case err != nil:
		return nil, err
	case f.id.NodeID != nodeID:
		return nil, errs.E(errs.Invalid, "data folder %s belongs to node %q, not to %q: start with --id %s, or choose another --data-dir", dir, f.id.NodeID, nodeID, f.id.NodeID)
	case f.id.Recovery != nil:
		return nil, errs.E(errs.Invalid, "data folder %s: a recovery of the cluster was begun here and is not done: run covey cluster recover --data-dir %s again", dir, dir)
	}
	if err := f.checkRetired(); err != nil {
		return nil, err
	}
	return f, nil
}

// Read opens a folder that exists, whosever it is, also a half recovered one.
// The error is errs.NotFound if there is no node.json, else errs.Invalid.
func Read(dir string) (*Folder, error) {
	f := &Folder{dir: dir}
	p, err := readLimited(f.Path(NodeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.E(errs.NotFound, "data folder %s has no %s: is it the --data-dir of a node?", dir, NodeFile)
	}
	if err != nil {
		return nil, errs.E(errs.Invalid, "data folder %s: %w", dir, err)
	}
	if err := json.Unmarshal(p, &f.id); err != nil {
		return nil, errs.E(errs.Invalid, "data folder %s: %s is damaged: %w", dir, NodeFile, err)
	}
	if f.id.Format > format {
		return nil, errs.E(errs.Invalid, "data folder %s has format %d, this release reads up to %d: start the newer release that wrote it", dir, f.id.Format, format)
	}
	return f, nil
}

func readLimited(path string) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p, err := io.ReadAll(io.LimitReader(r, nodeLimit+1))
	if err == nil && len(p) > nodeLimit {
		err = errs.E(errs.Invalid, "%s is over %d bytes", filepath.Base(path), nodeLimit)
	}
	return p, err
}

// Dir is the folder's own path.
func (f *Folder) Dir() string { return f.dir }

// Path is the path of what is called name in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, name) }

// NodeID is the node whose folder it is.
func (f *Folder) NodeID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id.NodeID
}

// ClusterID is the cluster that the data is of; zero before there is one.
func (f *Folder) ClusterID() cluster.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id.ClusterID
}

// Founders returns what Join was last given, if it was not done since.
func (f *Folder) Founders() []Founder {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.id.Founders)
}

// Join writes down which cluster the folder's data belongs to.
func (f *Folder) Join(c cluster.ID, founders ...Founder) error {
	return f.change(func(id *identity) { id.ClusterID, id.Founders = c, founders })
}

// Blank reports whether the folder's node entered its cluster with nothing, and
// has not caught up since with what it may have acknowledged before.
func (f *Folder) Blank() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id.Blank
}

// SetBlank writes down what Blank reports from now on, if it did not before.
func (f *Folder) SetBlank(blank bool) error {
	if f.Blank() == blank {
		return nil
	}
	return f.change(func(id *identity) { id.Blank = blank })
}

// Superseded returns the clusters that this one has taken the place of, as far
// as it is known here, the newest first.
func (f *Folder) Superseded() []cluster.Superseded {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.id.Superseded)
}

// Supersede notes that this folder's cluster has taken the place of another. To
// note it again does nothing.
func (f *Folder) Supersede(s cluster.Superseded) error {
	f.mu.Lock()
	known := slices.ContainsFunc(f.id.Superseded, func(k cluster.Superseded) bool { return k.ClusterID == s.ClusterID })
	f.mu.Unlock()
	if known || s.ClusterID.IsZero() {
		return nil
	}
	return f.change(func(id *identity) { id.supersede(s) })
}

// supersede leaves the slice that was as it is: a change may fail.
func (id *identity) supersede(s cluster.Superseded) {
	all := append(slices.Clone(id.Superseded), s)
	slices.SortStableFunc(all, func(a, b cluster.Superseded) int { return int(min(max(b.At-a.At, -1), 1)) })
	id.Superseded = all[:min(len(all), maxSuperseded)]
}

// Retired returns errs.Invalid, with the reason, if the folder's node was removed
// from its cluster.
func (f *Folder) Retired() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.checkRetired()
}

// Recovery returns the recovery that was begun and is not done.
func (f *Folder) Recovery() (Recovery, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.id.Recovery == nil {
		return Recovery{}, false
	}
	return *f.id.Recovery, true
}

// BeginRecovery writes down that r is under way. From now on Open refuses the
// folder.
func (f *Folder) BeginRecovery(r Recovery) error {
	return f.change(func(id *identity) { id.Recovery = &r })
}

// FinishRecovery makes the folder one of the new cluster, which begins with what
// is in it.
func (f *Folder) FinishRecovery() error {
	return f.change(func(id *identity) {
		if r := id.Recovery; r != nil {
			id.supersede(cluster.Superseded{ClusterID: id.ClusterID, At: r.At})
			id.ClusterID, id.Founders, id.Blank, id.Recovery = r.ClusterID, nil, false, nil
		}
	})
}

// change replaces node.json; after an error the folder is as it was.
func (f *Folder) change(edit func(*identity)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.id
	edit(&f.id)
	if err := f.save(); err != nil {
		f.id = before
		return err
	}
	return nil
}

// save writes node.json atomically and durably.
func (f *Folder) save() error {
	p, err := json.MarshalIndent(f.id, "", "  ")
	if err != nil {
		return err
	}
	if err := WriteSynced(f.Path(NodeFile), append(bytes.TrimSpace(p), '\n')); err != nil {
		return errs.E(errs.Invalid, "data folder %s: %w: is it writable and has it room?", f.dir, err)
	}
	return nil
}

// WriteSynced replaces the file at path, with mode 0600, atomically and durably.
func WriteSynced(path string, p []byte) error {
	w, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(p)
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes durable which files are in dir.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
