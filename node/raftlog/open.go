package raftlog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	gometrics "github.com/armon/go-metrics"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	walmetrics "github.com/hashicorp/raft-wal/metrics"
	"github.com/hashicorp/raft-wal/segment"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/logbridge"
)

// lockWait is how long Open waits for another process to let go of the folder.
const lockWait = time.Second

// Options says where the stores are and what happens when they fail. Dir and
// Fatal are required; other zero values stand for the defaults named.
type Options struct {
	Dir    string       // made with mode 0700 if it is missing
	Kind   Kind         // WAL
	Logger *slog.Logger // slog.Default()

	// Fatal is called at most once, when the node must not go on: a write
	// failed, or stalls piled up. Stall is called once a stall. Both may be
	// called from Raft's own goroutine and must return at once.
	Fatal func(error)
	Stall func(error) // nothing

	Deadline    time.Duration // 10 s: a write that takes longer is a stall
	MaxStalls   int           // 3: so many missed deadlines within StallWindow are fatal; a write that stays stuck misses one each Deadline
	StallWindow time.Duration // 10 min
	ProbeEvery  time.Duration // 1 s: between looks at the disk

	Ballast     int64                // 4 MiB of disk kept back for the stable store
	Reserve     int64                // 128 MiB: with less free space Full holds; negative turns the check off
	SegmentSize int                  // 64 MiB, of the write-ahead log
	Metrics     walmetrics.Collector // of the write-ahead log; raft.wal.* in the global armon/go-metrics
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" || o.Fatal == nil {
		return o, errs.E(errs.Internal, "raft log: Dir and Fatal are required")
	}
	if o.Kind == "" {
		o.Kind = WAL
	}
	if _, err := ParseKind(string(o.Kind)); err != nil {
		return o, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Stall == nil {
		o.Stall = func(error) {}
	}
	if o.Metrics == nil {
		o.Metrics = globalMetrics{}
	}
	setDefault(&o.Deadline, 10*time.Second)
	setDefault(&o.MaxStalls, 3)
	setDefault(&o.StallWindow, 10*time.Minute)
	setDefault(&o.ProbeEvery, time.Second)
	setDefault(&o.Ballast, 4<<20)
	setDefault(&o.Reserve, 128<<20)
	setDefault(&o.SegmentSize, wal.DefaultSegmentSize)
	return o, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Stores are the open stores of one member, for raft.NewRaft. They are safe for
// concurrent use, as far as Raft asks for it: one writer of the log.
type Stores struct {
	Log    raft.LogStore
	Stable raft.StableStore

	guard   *guard
	closers []io.Closer // in the order of closing
	stop    context.CancelFunc
	running sync.WaitGroup
	once    sync.Once
	closed  error
}

// Open opens the stores of o.Dir, or makes new ones. A folder of another kind or
// in use by another process is refused with an error that says what to do.
func Open(o Options) (*Stores, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, errs.E(errs.Invalid, "raft log: %w", err)
	}
	if err := claimKind(o.Dir, o.Kind); err != nil {
		return nil, err
	}
	s := &Stores{}
	if err := s.open(o); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	return s, nil
}

func (s *Stores) open(o Options) error {
	// The stable store comes first: its file lock is the one that times out.
	// raft-wal waits for the lock on its own file without end.
	stable, err := openBolt(filepath.Join(o.Dir, stableFile))
	if err != nil {
		return err
	}
	s.closers = append(s.closers, stable)
	log, watched, err := s.openLog(o)
	if err != nil {
		return err
	}
	if watched == nil {
		watched = stable
	}
	if s.guard, err = newGuard(o); err != nil {
		return err
	}
	s.closers = append(s.closers, s.guard.disk)
	s.Stable = newStable(stable, s.guard)
	s.Log = newRecentLog(newGuardedLog(log, s.guard, o.Kind))
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	// Two stores that report the same gauges would overwrite each other, so
	// only the busier one reports.
	s.running.Go(func() { watched.RunMetrics(ctx, 0) })
	s.running.Go(func() { s.guard.keep(ctx) })
	return nil
}

// openLog opens the log; the second result is its store if that is a Bolt file.
func (s *Stores) openLog(o Options) (raft.LogStore, *raftboltdb.BoltStore, error) {
	if o.Kind == Bolt {
		db, err := openBolt(filepath.Join(o.Dir, boltFile))
		if err != nil {
			return nil, nil, err
		}
		s.closers = append([]io.Closer{db}, s.closers...)
		return db, db, nil
	}
	dir := filepath.Join(o.Dir, walDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, errs.E(errs.Invalid, "raft log: %w", err)
	}
	// WAL.Close leaves its index file open and locked, so that is ours to close.
	meta := &metadb.BoltMetaDB{}
	files := segments{segment.NewFiler(dir, fs.New())}
	w, err := wal.Open(dir,
		wal.WithMetaStore(notes{MetaStore: meta, segments: files, now: time.Now}),
		wal.WithSegmentFiler(files),
		wal.WithSegmentSize(o.SegmentSize),
		wal.WithMetricsCollector(o.Metrics),
		wal.WithLogger(logbridge.New(o.Logger).Named("raft-wal")))
	if err != nil {
		return nil, nil, errors.Join(storeError("open the log", err), meta.Close())
	}
	s.closers = append([]io.Closer{w, meta}, s.closers...)
	return settled{w}, nil, nil
}

func openBolt(path string) (*raftboltdb.BoltStore, error) {
	// Without NoFreelistSync and the map an append takes twelve times as long
	// once a burst has left many free pages.
	db, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			Timeout:        lockWait,
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
		},
	})
	if err != nil && errors.Is(err, bolterrors.ErrTimeout) {
		return nil, errs.E(errs.Unavailable, "%s is in use by another process: stop it, or start with another data folder", path)
	}
	if err != nil {
		return nil, storeError("open "+path, err)
	}
	return db, nil
}

// Stalled reports whether the disk missed a deadline and has not proven itself
// since. A node that is stalled must not lead.
func (s *Stores) Stalled() bool { return s.guard.isStalled() }

// Full reports whether so little disk is left that the node should refuse
// writes. It ends by itself when there is space again.
func (s *Stores) Full() bool { return s.guard.disk.isFull() }

// Crammed reports whether the log may not find room for its next segment. A
// follower then takes no more entries and lags, rather than stop.
func (s *Stores) Crammed() bool { return s.guard.disk.isCrammed() }

// Close closes the stores; Raft must have shut down before. When a write is
// still stuck after the deadline Close returns errs.Unavailable and leaves the
// files open, rather than wait with it.
func (s *Stores) Close() error {
	s.once.Do(func() {
		s.stop()
		if !s.guard.shut() {
			s.closed = errs.E(errs.Unavailable, "raft log: a write is stuck; its files stay open")
			return
		}
		s.running.Wait()
		s.closed = s.closeFiles()
	})
	return s.closed
}

func (s *Stores) closeFiles() error {
	var all []error
	for _, c := range s.closers {
		if err := c.Close(); err != nil {
			all = append(all, errs.E(errs.Internal, "close the raft log: %w", err))
		}
	}
	return errors.Join(all...)
}

// globalMetrics looks the sink up at each use, so that it does not matter
// whether it is set before or after the log is opened.
type globalMetrics struct{}

func (globalMetrics) IncrementCounter(name string, delta uint64) {
	gometrics.IncrCounter([]string{"raft", "wal", name}, float32(delta))
}

func (globalMetrics) SetGauge(name string, val uint64) {
	gometrics.SetGauge([]string{"raft", "wal", name}, float32(val))
}
