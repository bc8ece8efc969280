package store

import (
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/internal/errs"
)

// generation is one Pebble store. The current one holds a reference to itself
// and every snapshot and batch holds one; the last to let go closes it.
type generation struct {
	name     string
	dir      string
	p        *pebble.DB
	health   *health
	keeper   *keeper
	refs     atomic.Int64
	obsolete atomic.Bool // its folder goes when it is closed
	closeErr error       // of Pebble's Close; written before the DB's open.Done
}

// openGeneration opens the generation name, or creates it unless it must
// exist: Pebble takes a folder without a manifest for a new store, and a store
// that has lost it must not start empty. Its health is tentative until settled.
func (db *DB) openGeneration(name string, mustExist bool) (*generation, error) {
	g := &generation{name: name, dir: db.fs.PathJoin(db.dir, name)}
	g.health = newHealth(g.dir, db.opts)
	po := db.opts.pebbleOptions(patientFS{FS: db.fs, h: g.health}, db.cache, g.health)
	po.ErrorIfNotExists = mustExist
	if mustExist && !db.opts.ReadOnly {
		if err := dropEmptyLogs(db.fs, g.dir); err != nil {
			return nil, wrap("open", g.dir, err)
		}
	}
	p, err := pebble.Open(g.dir, po)
	if err != nil {
		return nil, wrap("open", g.dir, err)
	}
	if err := g.health.abandonedErr(); err != nil {
		_ = p.Close()
		return nil, wrap("open", g.dir, err)
	}
	if v := p.FormatMajorVersion(); v > formatVersion {
		_ = p.Close()
		return nil, errs.E(errs.Invalid, "store %s: its format %d is newer than this release knows (%d); use a newer release",
			g.dir, v, formatVersion)
	}
	g.p, g.keeper = p, newKeeper(p, g.health)
	g.refs.Store(1)
	db.open.Add(1)
	return g, nil
}

// dropEmptyLogs removes the log that a Pebble store of before left in dir. Nothing
// was written to it, but Pebble replays it, and while it opens flushes what it found
// there into the manifest: again and again on a full disk, without an end.
func dropEmptyLogs(disk vfs.FS, dir string) error {
	names, err := disk.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Pebble says what is missing
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		path := disk.PathJoin(dir, name)
		if info, err := disk.Stat(path); err != nil {
			return err
		} else if info.Size() > 0 {
			continue
		}
		if err := disk.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// acquire returns the current generation with a reference added, or nil when
// the store is closed.
func (db *DB) acquire() *generation {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.cur != nil {
		db.cur.refs.Add(1)
	}
	return db.cur
}

// release gives one reference back. Closing what nobody uses any more may take
// a while and happens in the background; Close waits for it.
func (db *DB) release(g *generation) {
	if g.refs.Add(-1) == 0 {
		go db.retire(g)
	}
}

// retire closes g and, when it is obsolete, removes its folder.
func (db *DB) retire(g *generation) {
	defer db.open.Done()
	g.health.shutdown()
	g.keeper.close()
	g.closeErr = g.p.Close()
	if err := g.health.abandonedErr(); g.closeErr == nil {
		g.closeErr = err
	}
	if !g.obsolete.Load() {
		return
	}
	if g.closeErr != nil {
		db.log.Warn("store: an old generation does not close", "dir", g.dir, "error", g.closeErr)
	}
	if err := db.fs.RemoveAll(g.dir); err != nil {
		// The next Open removes it.
		db.log.Warn("store: an old generation stays behind", "dir", g.dir, "error", err)
	}
}
