package raftlog

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// guard watches every write of both stores. A write cannot be called off, so
// all that a missed deadline can do is tell: the node hands the leadership to
// members whose disks work.
type guard struct {
	o    Options
	log  *slog.Logger
	disk *disk

	mu       sync.Mutex
	inFlight int
	late     int           // writes in flight that missed their deadline
	stalled  bool          // until the disk proves itself
	missed   []time.Time   // deadlines missed within the window
	closing  chan struct{} // set by shut, closed when nothing is in flight
	ended    sync.Once     // around o.Fatal
}

func newGuard(o Options) (*guard, error) {
	d, err := openDisk(o)
	if err != nil {
		return nil, err
	}
	return &guard{o: o, log: o.Logger, disk: d}, nil
}

// call is one write in flight.
type call struct {
	what  string
	timer *time.Timer
	late  bool
	done  bool
}

// run does the write under the watchdog.
func (g *guard) run(what string, write func() error) error {
	c := &call{what: what}
	g.mu.Lock()
	g.inFlight++
	c.timer = time.AfterFunc(g.o.Deadline, func() { g.overdue(c) })
	g.mu.Unlock()
	defer g.finish(c)
	return write()
}

func (g *guard) finish(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.done = true
	c.timer.Stop()
	g.inFlight--
	if c.late {
		g.late--
	}
	if g.closing != nil && g.inFlight == 0 {
		close(g.closing)
		g.closing = nil
	}
}

// overdue counts a missed deadline. A write that stays stuck comes back here
// each further deadline, so that a disk that never answers ends the node too.
func (g *guard) overdue(c *call) {
	g.mu.Lock()
	if c.done {
		g.mu.Unlock()
		return
	}
	if !c.late {
		c.late = true
		g.late++
	}
	begins := !g.stalled
	g.stalled = true
	now := time.Now()
	recent := g.missed[:0]
	for _, t := range g.missed {
		if now.Sub(t) < g.o.StallWindow {
			recent = append(recent, t)
		}
	}
	g.missed = append(recent, now)
	missed := len(g.missed)
	c.timer.Reset(g.o.Deadline)
	g.mu.Unlock()

	if begins {
		g.o.Stall(errs.E(errs.Unavailable, "disk stall in %s: %s has not ended after %v", g.o.Dir, c.what, g.o.Deadline))
	}
	if missed >= g.o.MaxStalls {
		g.fatal(errs.E(errs.Unavailable, "disk of %s is not fit for use: %d deadlines of %v missed within %v, the last by %s: check the disk, then start again",
			g.o.Dir, missed, g.o.Deadline, g.o.StallWindow, c.what))
	}
}

func (g *guard) fatal(err error) {
	g.ended.Do(func() { g.o.Fatal(err) })
}

func (g *guard) isStalled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stalled
}

// keep looks at the disk until ctx ends: it ends stalls and minds the space.
func (g *guard) keep(ctx context.Context) {
	tick := time.NewTicker(g.o.ProbeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g.tryResume()
		if err := g.disk.mind(); err != nil {
			g.fatal(err)
		}
	}
}

// tryResume ends a stall if no write is late and an fsync comes back in time. An
// fsync that fails is not repeated: what it should have written may be gone from
// memory, and the next one would succeed without it.
func (g *guard) tryResume() {
	g.mu.Lock()
	try := g.stalled && g.late == 0
	g.mu.Unlock()
	if !try {
		return
	}
	begin := time.Now()
	err := g.disk.probe()
	took := time.Since(begin)
	if err != nil {
		g.fatal(storeError("probe the disk", err))
		return
	}
	if took >= g.o.Deadline {
		g.log.Warn("disk is still not fit to lead on", "dir", g.o.Dir, "fsync_took", took)
		return
	}
	g.mu.Lock()
	resumed := g.late == 0
	g.stalled = !resumed
	g.mu.Unlock()
	if resumed {
		g.log.Info("disk stall is over", "dir", g.o.Dir, "fsync_took", took)
	}
}

// shut reports whether all writes have ended; it waits one deadline for them.
func (g *guard) shut() bool {
	g.ended.Do(func() {}) // what fails from here on fails because of the closing
	idle := make(chan struct{})
	g.mu.Lock()
	if g.inFlight == 0 {
		close(idle)
	} else {
		g.closing = idle
	}
	g.mu.Unlock()
	wait := time.NewTimer(g.o.Deadline)
	defer wait.Stop()
	select {
	case <-idle:
		return true
	case <-wait.C:
		return false
	}
}

// storeError gives a store's error its kind.
func storeError(what string, err error) error {
	if noSpace(err) {
		return errs.E(errs.NoSpace, "raft log: %s: the disk is full: %w", what, err)
	}
	return errs.E(errs.Internal, "raft log: %s: %w", what, err)
}

// unsynced reports whether err is of an fsync, and not for want of room.
func unsynced(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p) && p.Op == "sync" && !noSpace(err)
}

// notWritten reports whether err is want of room that a write found, so that
// nothing but that write has failed and it may run again in full. bbolt returns
// an fsync's error as it is, a write's with the name of the file, and that of a
// file that cannot grow as a text.
func notWritten(err error) bool {
	var p *fs.PathError
	return noSpace(err) && (errors.As(err, &p) && p.Op != "sync" || strings.HasPrefix(err.Error(), "file resize error"))
}

// noSpace reports whether err says that the disk, or a quota on it, is full.
// bbolt and raft-wal drop the cause of some errors and keep only its text, so
// the text of the two is looked for as well.
func noSpace(err error) bool {
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		if err != nil && (errors.Is(err, full) || strings.Contains(err.Error(), full.Error())) {
			return true
		}
	}
	return false
}
