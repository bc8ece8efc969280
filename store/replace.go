package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/internal/errs"
)

// replaceTableBytes is how much data goes into one table of a Replace.
const replaceTableBytes = 32 << 20

// Replace replaces the whole content by what fill passes to set, durably and
// atomically: on any error, and after a crash at any point, the old content
// stands. fill calls set with keys in strictly ascending order, from one
// goroutine, and returns; set copies what it is given. fill's error, and set's,
// is returned as it is.
//
// Old and new content share the disk until Replace returns. Snapshots go on
// reading the old content, whose space is given back when the last of them is
// closed. Batches made before can no longer be committed, and what is committed
// while Replace runs is lost with the old content: the caller should not.
func (db *DB) Replace(fill func(set func(key, value []byte) error) error) error {
	if db.opts.ReadOnly {
		return errs.E(errs.Invalid, "store %s: opened read-only", db.dir)
	}
	db.changing.Lock()
	defer db.changing.Unlock()
	old := db.acquire()
	if old == nil {
		return errClosed(db.dir)
	}
	defer db.release(old)
	if err := db.brokenErr(); err != nil {
		return err
	}
	n, _ := generationNumber(old.name)
	next, err := db.build(generationName(n+1), fill)
	if err != nil {
		return err
	}
	if err := db.switchTo(next); err != nil {
		next.obsolete.Store(true)
		db.retire(next)
		return err
	}
	return nil
}

// build makes the generation name, fills it and returns it, durable. On an error nothing is left of it.
func (db *DB) build(name string, fill func(set func(key, value []byte) error) error) (*generation, error) {
	if err := db.fs.RemoveAll(db.fs.PathJoin(db.dir, name)); err != nil {
		return nil, wrap("replace", db.dir, err)
	}
	g, err := db.openGeneration(name, false)
	if err != nil {
		if rerr := db.fs.RemoveAll(db.fs.PathJoin(db.dir, name)); rerr != nil {
			db.log.Warn("store: a new generation stays behind", "dir", name, "error", rerr)
		}
		return nil, err
	}
	l := loader{db: db, g: g}
	err = fill(l.set)
	if err == nil {
		err = l.finish()
	}
	if err == nil {
		err = wrap("replace", db.dir, g.health.settle())
	}
	if err == nil {
		// Pebble made the folder; its entry in ours must last as well.
		err = wrap("replace", db.dir, syncDir(db.fs, db.dir))
	}
	if err != nil {
		l.abort()
		g.obsolete.Store(true)
		db.retire(g)
		return nil, err
	}
	return g, nil
}

// switchTo makes next the current generation, on disk and in memory.
func (db *DB) switchTo(next *generation) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	old := db.cur
	if err := writePointer(db.fs, db.dir, next.name); err != nil {
		// The pointer may have been renamed although the sync after it failed,
		// so the old one is put back. If that fails too, nobody knows which one
		// a restart finds: then no further write may be promised.
		if now, rerr := readPointer(db.fs, db.dir); rerr != nil || now != old.name {
			if rerr := writePointer(db.fs, db.dir, old.name); rerr != nil {
				db.broken = errs.E(errs.Internal, "store %s: stopped, the pointer file is in doubt: %w", db.dir, rerr)
			}
		}
		return wrap("replace", db.dir, err)
	}
	db.cur = next
	old.obsolete.Store(true)
	db.release(old)
	return nil
}

// loader writes ascending records into tables and hands them to a generation
// whole, which costs one write of the data and no compaction.
type loader struct {
	db    *DB
	g     *generation
	w     *sstable.Writer // the table being written, or nil
	bytes int             // in w
	paths []string        // all tables begun
	last  []byte          // the key set last; empty before the first
	err   error           // the first error; final
}

// set adds one record. The first error is final.
func (l *loader) set(key, value []byte) error {
	if l.err == nil {
		l.err = l.add(key, value)
	}
	return l.err
}

func (l *loader) add(key, value []byte) error {
	if len(key) == 0 {
		return errs.E(errs.Invalid, "store %s: replace: an empty key", l.db.dir)
	}
	if bytes.Compare(l.last, key) >= 0 {
		return errs.E(errs.Invalid, "store %s: replace: a key does not follow the one before it", l.db.dir)
	}
	l.last = append(l.last[:0], key...)
	if l.w == nil {
		if err := l.begin(); err != nil {
			return wrap("replace", l.db.dir, err)
		}
	}
	if err := l.w.Set(key, value); err != nil {
		return wrap("replace", l.db.dir, err)
	}
	l.bytes += len(key) + len(value)
	if l.bytes >= replaceTableBytes {
		return wrap("replace", l.db.dir, l.end())
	}
	return nil
}

func (l *loader) begin() error {
	path := l.db.fs.PathJoin(l.g.dir, fmt.Sprintf("load-%06d.tmp", len(l.paths)))
	f, err := l.db.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: 512 << 10})
	l.paths = append(l.paths, path)
	po := l.db.opts.pebbleOptions(l.db.fs, l.db.cache, l.g.health)
	wo := po.MakeWriterOptions(len(po.Levels)-1, pebble.FormatMajorVersion(formatVersion).MaxTableFormat())
	l.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), wo)
	l.bytes = 0
	return nil
}

func (l *loader) end() error {
	err := l.w.Close()
	l.w = nil
	return err
}

// finish hands all tables over. On success they are durable.
func (l *loader) finish() error {
	if l.err != nil {
		return l.err
	}
	if l.w != nil {
		if err := l.end(); err != nil {
			return wrap("replace", l.db.dir, err)
		}
	}
	if len(l.paths) == 0 {
		return nil
	}
	return wrap("replace", l.db.dir, l.g.p.Ingest(context.Background(), l.paths))
}

// abort closes the table being written, if any.
func (l *loader) abort() {
	if l.w != nil {
		_ = l.end()
	}
}
