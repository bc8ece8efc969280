package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

const tmpSuffix = ".tmp"

// Options describes a store of snapshots. Dir, Produce and Verify are required.
type Options struct {
	Dir    string       // made with mode 0700 if it is missing; on the file system of the local store, for the hard links
	Retain int          // 2: how many snapshots are kept; see Keep
	Logger *slog.Logger // slog.Default()

	// Produce writes the checkpoint in dir as a stream. The same checkpoint must
	// always give a stream of the same length. It runs until w fails or it is
	// done, in a goroutine of its own, several at once for the same dir.
	Produce func(dir string, w io.Writer) error

	// Verify reads a stream to its end and says whether it is whole. It runs in
	// the goroutine that closes the sink.
	Verify func(r io.Reader) error
}

// Store is a raft.SnapshotStore. It is safe for concurrent use, and the only
// user of its folder.
type Store struct {
	o      Options // Retain under mu
	broken atomic.Pointer[func(error)]

	mu    sync.Mutex
	held  []*snapshot // newest first
	stamp int64       // of the youngest snapshot begun
}

// snapshot is one published folder. Everything but meta is under Store.mu.
type snapshot struct {
	meta    raft.SnapshotMeta
	kind    kind
	stamp   int64
	length  int64 // of the stream, once known
	readers int
	gone    bool // beyond the retained ones: removed with the last reader
}

// Open opens the snapshots in o.Dir and removes what is too old or half done.
func Open(o Options) (*Store, error) {
	if o.Dir == "" || o.Produce == nil || o.Verify == nil {
		return nil, errs.E(errs.Internal, "snapshots: Dir, Produce and Verify are required")
	}
	if o.Retain == 0 {
		o.Retain = 2
	}
	if o.Retain < 1 {
		return nil, errs.E(errs.Invalid, "snapshots: retain %d: at least one must be kept", o.Retain)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, errs.E(errs.Invalid, "snapshots: %w", err)
	}
	s := &Store{o: o}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	doomed := s.trimLocked()
	s.mu.Unlock()
	s.remove(doomed)
	return s, nil
}

// load reads what lies in the folder.
func (s *Store) load() error {
	entries, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return errs.E(errs.Internal, "list snapshots: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, tmpSuffix) {
			s.o.Logger.Info("removing what is left of a broken off snapshot", "name", name)
			if err := os.RemoveAll(filepath.Join(s.o.Dir, name)); err != nil {
				return errs.E(errs.Internal, "remove a broken off snapshot: %w", err)
			}
			continue
		}
		snap, err := readSnapshot(filepath.Join(s.o.Dir, name))
		if err != nil {
			s.o.Logger.Warn("passing over a snapshot", "name", name, "err", err)
			continue
		}
		s.stamp = max(s.stamp, snap.stamp)
		s.held = append(s.held, snap)
	}
	s.sortLocked()
	return nil
}

// sortLocked puts the newest first.
func (s *Store) sortLocked() {
	slices.SortFunc(s.held, func(a, b *snapshot) int {
		return cmp.Or(
			cmp.Compare(b.meta.Index, a.meta.Index),
			cmp.Compare(b.meta.Term, a.meta.Term),
			cmp.Compare(b.stamp, a.stamp))
	})
}

// List returns the snapshots kept, the newest first. The size of a checkpoint is
// what its files held when it was made; that of its stream is known to Open.
func (s *Store) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*raft.SnapshotMeta, 0, len(s.held))
	for _, snap := range s.held {
		meta := snap.copyMeta()
		out = append(out, &meta)
	}
	return out, nil
}

func (n *snapshot) copyMeta() raft.SnapshotMeta {
	meta := n.meta
	meta.Peers = slices.Clone(meta.Peers)
	meta.Configuration = meta.Configuration.Clone()
	return meta
}

// Create begins a snapshot. Nothing is listed before its sink is closed.
func (s *Store) Create(v raft.SnapshotVersion, index, term uint64, config raft.Configuration, configIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if v != 1 {
		return nil, errs.E(errs.Internal, "snapshot version %d: want 1", v)
	}
	s.mu.Lock()
	// Two snapshots of one index may come within a millisecond, and the clock
	// may have been set back.
	s.stamp = max(s.stamp+1, time.Now().UnixMilli())
	stamp := s.stamp
	s.mu.Unlock()
	snap := &snapshot{stamp: stamp, meta: raft.SnapshotMeta{
		Version: v, Index: index, Term: term,
		ID:                 fmt.Sprintf("%d-%d-%d", term, index, stamp),
		Configuration:      config.Clone(),
		ConfigurationIndex: configIndex,
	}}
	dir := filepath.Join(s.o.Dir, snap.meta.ID+tmpSuffix)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, storeError("begin a snapshot", err)
	}
	return &Sink{store: s, snap: snap, dir: dir}, nil
}

// publish moves a finished folder to its name and lists it.
func (s *Store) publish(dir string, snap *snapshot) error {
	if err := syncDir(dir); err != nil {
		return err
	}
	path := filepath.Join(s.o.Dir, snap.meta.ID)
	if err := os.Rename(dir, path); err != nil {
		return storeError("publish snapshot "+snap.meta.ID, err)
	}
	if err := syncDir(s.o.Dir); err != nil {
		// Whether the name survives a crash is unknown; the caller is told that
		// the snapshot does not exist, so it must not come back.
		return errors.Join(err, os.RemoveAll(path))
	}
	s.mu.Lock()
	s.held = append(s.held, snap)
	s.sortLocked()
	doomed := s.trimLocked()
	s.mu.Unlock()
	s.remove(doomed)
	return nil
}

// trimLocked takes the snapshots beyond the retained ones off the list, and
// returns those that nobody reads.
func (s *Store) trimLocked() (doomed []*snapshot) {
	if len(s.held) <= s.o.Retain {
		return nil
	}
	for _, snap := range s.held[s.o.Retain:] {
		snap.gone = true
		if snap.readers == 0 {
			doomed = append(doomed, snap)
		}
	}
	s.held = s.held[:s.o.Retain:s.o.Retain]
	return doomed
}

// Keep changes how many snapshots are kept, at least one, from now on. A
// snapshot holds on to the space of what was deleted since, so one who is short
// of space keeps fewer.
func (s *Store) Keep(n int) {
	s.mu.Lock()
	s.o.Retain = max(n, 1)
	doomed := s.trimLocked()
	s.mu.Unlock()
	s.remove(doomed)
}

// tell returns err, and tells of it if it says that the disk is broken.
func (s *Store) tell(err error) error {
	if told := s.broken.Load(); told != nil && broken(err) {
		(*told)(err)
	}
	return err
}

// Watch has f told of each error that says that the disk cannot be trusted any
// more: an fsync failed, or the disk answered with an error of its own. The node
// should stop. f must not block.
func (s *Store) Watch(f func(error)) { s.broken.Store(&f) }

// broken reports whether err is a failed fsync, or an error of the disk itself.
func broken(err error) bool {
	var p *fs.PathError
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return false
	case errors.As(err, &p) && p.Op == "sync":
		return true
	}
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS)
}

// remove deletes folders that are on no list and have no reader. It renames
// them first: a folder that a crash leaves with half its files must not be
// taken for a snapshot at the next start.
func (s *Store) remove(doomed []*snapshot) {
	for _, snap := range doomed {
		path := filepath.Join(s.o.Dir, snap.meta.ID)
		tmp := path + tmpSuffix
		err := os.Rename(path, tmp)
		if err == nil {
			err = os.RemoveAll(tmp)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.o.Logger.Error("an old snapshot is not removed", "id", snap.meta.ID, "err", err)
		}
	}
}

// acquire finds a listed snapshot and keeps it from being removed.
func (s *Store) acquire(id string) (*snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, snap := range s.held {
		if snap.meta.ID == id {
			snap.readers++
			return snap, nil
		}
	}
	return nil, errs.E(errs.NotFound, "no snapshot %s", id)
}

// release ends what acquire began.
func (s *Store) release(snap *snapshot) {
	s.mu.Lock()
	snap.readers--
	last := snap.gone && snap.readers == 0
	s.mu.Unlock()
	if last {
		s.remove([]*snapshot{snap})
	}
}
