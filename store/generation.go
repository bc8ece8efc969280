package store

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

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
	fs := patientFS{FS: db.fs, h: g.health}
	po := db.opts.pebbleOptions(fs, db.cache, g.health)
	po.ErrorIfNotExists = mustExist
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
