package store

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/internal/errs"
)

// DB is an open store. Its methods are safe for concurrent use.
type DB struct {
	opts  Options
	fs    vfs.FS
	dir   string
	log   *slog.Logger
	lock  io.Closer // the folder's lock; nil when read-only
	cache *pebble.Cache

	changing sync.Mutex     // held by Replace, Checkpoint and Close, one at a time
	open     sync.WaitGroup // generations not yet closed

	mu     sync.RWMutex // a commit holds it for reading, so that a switch waits for it
	cur    *generation  // nil once closed
	broken error        // set when it is unknown which generation a restart would open
}

// Open opens the store in o.Dir, after removing what an interrupted Replace
// left behind. Errors: errs.Invalid for bad options or files that are no store
// or of a newer format, errs.NotFound when the store must exist and does not,
// errs.Unavailable when another process has it open, errs.NoSpace, and
// errs.Internal.
func Open(o Options) (*DB, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	db := &DB{opts: o, fs: o.FS, dir: o.Dir, log: o.Logger}
	if o.ReadOnly {
		db.fs = unlockedFS{db.fs}
	}
	name, exists, err := db.prepareDir()
	if err != nil {
		db.unlock()
		return nil, err
	}
	db.cache = pebble.NewCache(o.CacheBytes)
	if db.cur, err = db.openGeneration(name, exists); err != nil {
		db.cache.Unref()
		db.unlock()
		return nil, err
	}
	err = wrap("open", db.dir, db.cur.health.settle())
	if err == nil && !o.ReadOnly {
		// Only now: a pointer to a generation that was never opened would make
		// an interrupted first start look like a damaged store.
		err = db.adopt(name, exists)
	}
	if err != nil {
		db.retire(db.cur)
		db.cache.Unref()
		db.unlock()
		return nil, err
	}
	return db, nil
}

// prepareDir locks the folder and returns the name of the generation to open
// and whether it is there already.
func (db *DB) prepareDir() (name string, exists bool, err error) {
	if db.opts.ReadOnly || db.opts.MustExist {
		name, err = readPointer(db.fs, db.dir)
		if err != nil || db.opts.ReadOnly {
			return name, true, err
		}
	}
	if err := makeDir(db.fs, db.dir); err != nil {
		return "", false, wrap("create the folder", db.dir, err)
	}
	if db.lock, err = db.fs.Lock(db.fs.PathJoin(db.dir, lockName)); err != nil {
		return "", false, lockError(db.dir, err)
	}
	name, err = readPointer(db.fs, db.dir)
	if !errs.Is(err, errs.NotFound) {
		return name, true, err
	}
	// What an interrupted first start may have left is not worth a look.
	name = generationName(1)
	return name, false, wrap("create the store", db.dir, db.fs.RemoveAll(db.fs.PathJoin(db.dir, name)))
}

// adopt makes sure that the pointer names the open generation and that no
// other one is left.
func (db *DB) adopt(name string, exists bool) error {
	if !exists {
		if err := writePointer(db.fs, db.dir, name); err != nil {
			return wrap("write the pointer file", db.dir, err)
		}
	}
	return wrap("remove leftovers", db.dir, removeLeftovers(db.fs, db.dir, name))
}

// lockError gives the failure to lock the folder its kind.
func lockError(dir string, err error) error {
	switch {
	case vfs.IsNoSpaceError(err):
		return wrap("lock the folder", dir, err)
	case errors.Is(err, fs.ErrPermission):
		return errs.E(errs.Invalid, "store %s: the folder is not writable: %w", dir, err)
	}
	return errs.E(errs.Unavailable, "store %s: the folder cannot be locked; is another process using it? %w", dir, err)
}

func (db *DB) unlock() {
	if db.lock != nil {
		_ = db.lock.Close()
	}
}

// Flush makes everything durable that was committed before the call. It waits
// for the disk, but not for a failing one: it returns the first error of a
// flush, errs.NoSpace or errs.Internal, while the store goes on trying by
// itself. Then nothing is lost, and Flush may be called again.
func (db *DB) Flush() error {
	if db.opts.ReadOnly {
		return nil
	}
	g := db.acquire()
	if g == nil {
		return errClosed(db.dir)
	}
	defer db.release(g)
	return db.flush(g)
}

func (db *DB) flush(g *generation) error {
	if err := db.brokenErr(); err != nil {
		return err
	}
	// While flushes fail a further one would only add a memtable to the queue.
	if _, err, _ := g.health.state(); err != nil {
		return wrap("flush", db.dir, err)
	}
	flushed, err := g.p.AsyncFlush()
	if err != nil {
		return wrap("flush", db.dir, err)
	}
	for {
		changed, err, _ := g.health.state()
		if err != nil {
			return wrap("flush", db.dir, err)
		}
		select {
		case <-flushed:
			return nil
		case <-changed:
		case <-g.health.closing:
			return errClosed(db.dir)
		}
	}
}

// Err returns the error of the last flush or compaction if it failed and none
// has succeeded since: errs.NoSpace or errs.Internal. While it is not nil,
// commits go only into memory and stop when that is full.
func (db *DB) Err() error {
	g := db.acquire()
	if g == nil {
		return errClosed(db.dir)
	}
	defer db.release(g)
	if err := db.brokenErr(); err != nil {
		return err
	}
	_, flushErr, compactErr := g.health.state()
	if flushErr != nil {
		return wrap("flush", db.dir, flushErr)
	}
	return wrap("compaction", db.dir, compactErr)
}

func (db *DB) brokenErr() error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.broken
}

// Checkpoint flushes and then makes a complete copy of the store in the new
// folder dir, which must not exist and must be on the same file system. Tables
// are hard links, so the cost does not depend on the size. The copy holds at
// least what was committed before the call; later commits may be in it, in
// order. It appears whole or not at all, also across a crash (which may leave
// dir+".tmp" behind; the next try removes it). Open can open it. Errors:
// errs.Exists, errs.Invalid on a read-only store, and those of Flush.
func (db *DB) Checkpoint(dir string) error {
	if db.opts.ReadOnly {
		return errs.E(errs.Invalid, "store %s: opened read-only", db.dir)
	}
	db.changing.Lock()
	defer db.changing.Unlock()
	g := db.acquire()
	if g == nil {
		return errClosed(db.dir)
	}
	defer db.release(g)
	if _, err := db.fs.Stat(dir); err == nil {
		return errs.E(errs.Exists, "store %s: checkpoint: %s exists", db.dir, dir)
	}
	if err := db.flush(g); err != nil {
		return err
	}
	tmp := dir + ".tmp"
	if err := db.checkpointInto(g, tmp, dir); err != nil {
		for _, rest := range []string{tmp, dir} {
			if rerr := db.fs.RemoveAll(rest); rerr != nil {
				db.log.Warn("store: a failed checkpoint stays behind", "dir", rest, "error", rerr)
			}
		}
		return wrap("checkpoint", db.dir, err)
	}
	return nil
}

func (db *DB) checkpointInto(g *generation, tmp, dir string) error {
	_ = g.health.takeOutside() // of a checkpoint that failed
	if err := db.fs.RemoveAll(tmp); err != nil {
		return err
	}
	if err := makeDir(db.fs, tmp); err != nil {
		return err
	}
	name := generationName(1)
	if err := g.p.Checkpoint(db.fs.PathJoin(tmp, name)); err != nil {
		return err
	}
	if err := g.health.takeOutside(); err != nil {
		return err
	}
	if err := writePointer(db.fs, tmp, name); err != nil {
		return err
	}
	if err := db.fs.Rename(tmp, dir); err != nil {
		return err
	}
	return syncDir(db.fs, db.fs.PathDir(dir))
}

// Abandon is Close for a store whose disk is not to be trusted: it flushes
// nothing and waits for no failing write. What was not durable is lost.
func (db *DB) Abandon() error {
	if g := db.acquire(); g != nil {
		g.health.shutdown()
		db.release(g)
	}
	return db.Close()
}

// Close flushes, waits until all snapshots and batches are closed, and closes
// the store. It returns the error of the flush, if any; the store is closed
// nevertheless. A second Close does nothing.
func (db *DB) Close() error {
	db.changing.Lock()
	defer db.changing.Unlock()
	db.mu.Lock()
	g, broken := db.cur, db.broken
	db.cur = nil // refuses new readers and commits, so the flush below is the last word
	db.mu.Unlock()
	if g == nil {
		return nil
	}
	err := broken
	if err == nil && !db.opts.ReadOnly {
		err = db.flush(g)
	}
	g.health.shutdown()
	db.release(g)
	db.open.Wait()
	if err == nil {
		err = wrap("close", db.dir, g.closeErr)
	}
	db.cache.Unref()
	db.unlock()
	return err
}
