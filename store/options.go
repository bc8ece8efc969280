package store

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/internal/errs"
)

// formatVersion is the on-disk format of Pebble's files. It is pinned: raising
// it makes a data folder unreadable to older releases, so that is a decision
// and not a side effect of a new Pebble.
const formatVersion = pebble.FormatTableFormatV6

const (
	defaultCacheBytes    = 256 << 20
	defaultMemTableBytes = 64 << 20
	minMemTableBytes     = 64 << 10
	maxMemTableBytes     = 1 << 30

	// stallMemTables and stallL0Sublevels bound what waits for a flush or a
	// compaction; see health.admit.
	stallMemTables   = 4
	stallL0Sublevels = 24
)

// Options say how to open a store. The zero value of every field but Dir is a
// good default.
type Options struct {
	// Dir is the folder of the store. It is created when absent.
	Dir string

	// FS holds Dir; nil is the operating system's file system.
	FS vfs.FS

	// ReadOnly opens an existing store, such as a checkpoint, and writes
	// nothing at all, not even a lock file, so any number of read-only stores
	// may share a folder. The folder must not be open for writing.
	ReadOnly bool

	// MustExist makes Open fail with errs.NotFound instead of creating a store.
	MustExist bool

	// Logger receives Pebble's messages at debug level and background errors at
	// error level. Nil is slog.Default.
	Logger *slog.Logger

	// CacheBytes is the size of the block cache. 0 is 256 MiB. Filters of large
	// tables are blocks of over a megabyte, and a cache of a few of them thrashes.
	CacheBytes int64

	// MemTableBytes is the size at which a memtable is flushed, between 64 KiB
	// and 1 GiB. Up to four of them are held before Commit waits. 0 is 64 MiB.
	MemTableBytes int

	// BackgroundError, if set, is told of every failed flush or compaction and
	// of every corruption found. It is called with locks held: it must return
	// at once and must not call the store.
	BackgroundError func(error)

	// Fatal, if set, is told that the store cannot go on: its state on disk is
	// unknown until it is opened anew. It must not return; the store panics if
	// it does. Nil panics.
	Fatal func(error)
}

// MemFS returns a new, empty file system in memory, for Options.FS.
func MemFS() vfs.FS { return vfs.NewMem() }

// withDefaults returns o with its defaults filled in, or errs.Invalid.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errs.E(errs.Invalid, "store: no folder given")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTableBytes
	}
	if o.CacheBytes < 0 {
		return o, errs.E(errs.Invalid, "store: a cache of %d bytes", o.CacheBytes)
	}
	if o.MemTableBytes < minMemTableBytes || o.MemTableBytes > maxMemTableBytes {
		return o, errs.E(errs.Invalid, "store: a memtable of %d bytes (allowed: %d to %d)",
			o.MemTableBytes, minMemTableBytes, maxMemTableBytes)
	}
	return o, nil
}

// pebbleOptions returns Pebble's options for one generation.
func (o Options) pebbleOptions(fs vfs.FS, cache *pebble.Cache, h *health) *pebble.Options {
	po := &pebble.Options{
		FS:                 fs,
		Cache:              cache,
		ReadOnly:           o.ReadOnly,
		ErrorIfNotExists:   o.ReadOnly,
		FormatMajorVersion: formatVersion,
		Logger:             h,
		EventListener:      h.events(),
		DisableWAL:         true,

		MemTableSize: uint64(o.MemTableBytes),
		// Pebble's own stalls cannot be broken off when a flush fails, so they
		// are out of reach; health.admit stalls in their place.
		MemTableStopWritesThreshold: 1 << 10,
		L0StopWritesThreshold:       1 << 20,

		L0CompactionThreshold:      4,
		LBaseMaxBytes:              64 << 20,
		MaxOpenFiles:               512,
		MaxManifestFileSize:        16 << 20,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
	}
	// The state machine scans what it has just written far more often than cold
	// data: compactions that reads trigger cost more than they give.
	po.Experimental.ReadSamplingMultiplier = -1
	po.Experimental.FileCacheShards = 4
	for i := range po.Levels {
		l := &po.Levels[i]
		l.FilterPolicy = bloom.FilterPolicy(10)
		l.BlockSize = 16 << 10
		l.IndexBlockSize = 64 << 10
		l.Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	// Nine tenths of the data rest in the lowest level, written once.
	po.Levels[len(po.Levels)-1].Compression = func() *sstable.CompressionProfile { return sstable.BalancedCompression }
	po.EnsureDefaults()
	return po
}
