package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/internal/errs"
)

// background counts and reports a background error. Only the first of a row is
// logged: they come every retryEvery.
func (h *health) background(err error) {
	h.errors.Add(1)
	h.mu.Lock()
	news := !h.failing
	h.failing = true
	h.mu.Unlock()
	if news {
		h.log.Error("store: background work fails", "dir", h.dir, "error", err)
	}
	if h.hook != nil {
		h.hook(wrap("background work", h.dir, err))
	}
}

// events returns the listener for Pebble. A failed flush shows as FlushEnd
// with an error, followed by BackgroundError with the same one before Pebble
// gives up its lock. FlushEnd with an error alone is the flush of a memtable
// with nothing left to write; the keeper finds that out, because its look
// needs the same lock.
func (h *health) events() *pebble.EventListener {
	l := &pebble.EventListener{
		FlushBegin: func(pebble.FlushInfo) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.flushBegan = h.committed.Load()
		},
		FlushEnd: func(i pebble.FlushInfo) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if i.Err == nil {
				h.flushSucceeded(h.flushBegan)
			} else {
				h.ended = endedFlush{err: i.Err, seq: h.ended.seq + 1, began: h.flushBegan}
			}
			h.event(i.Err)
		},
		CompactionEnd: func(i pebble.CompactionInfo) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if !errors.Is(i.Err, pebble.ErrCancelledCompaction) {
				h.compactErr = i.Err
			}
			h.event(i.Err)
		},
		BackgroundError: func(err error) {
			h.mu.Lock()
			if h.ended.err != nil && errors.Is(err, h.ended.err) {
				h.flushErr, h.ended.err = err, nil
			}
			h.notify()
			h.mu.Unlock()
			h.background(err)
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			h.log.Error("store: data corruption", "dir", h.dir, "path", i.Path, "error", i.Details)
			h.background(fmt.Errorf("corrupt file %s: %w", i.Path, i.Details))
		},
	}
	l.EnsureDefaults(nil)
	return l
}

// event follows up the end of a flush or compaction. The caller holds h.mu.
func (h *health) event(err error) {
	h.failing = h.failing && err != nil
	h.notify()
	select {
	case h.look <- struct{}{}:
	default:
	}
}

// Infof passes a message of Pebble on at debug level.
func (h *health) Infof(format string, args ...any) {
	if !h.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	h.log.Debug("store: "+fmt.Sprintf(format, args...), "dir", h.dir)
}

// Errorf passes an error of Pebble on.
func (h *health) Errorf(format string, args ...any) {
	h.log.Error("store: "+fmt.Sprintf(format, args...), "dir", h.dir)
}

// Fatalf ends the process by Options.Fatal or a panic. The one fatal error
// that is none is a manifest write given up on purpose, while the generation
// is opened, filled or closed: then the error goes up the ordinary way.
func (h *health) Fatalf(format string, args ...any) {
	if h.abandonedErr() != nil {
		h.Errorf(format, args...)
		return
	}
	err := fmt.Errorf("store %s: "+format, append([]any{h.dir}, args...)...)
	if h.fatal != nil {
		h.fatal(err)
	}
	panic(err)
}

// wrap gives an error of Pebble or the file system its kind: NoSpace or Internal.
func wrap(op, dir string, err error) error {
	if err == nil {
		return nil
	}
	if vfs.IsNoSpaceError(err) {
		return errs.E(errs.NoSpace, "store %s: %s: the disk is full: %w", dir, op, err)
	}
	return errs.E(errs.Internal, "store %s: %s: %w", dir, op, err)
}

// errClosed says that the store was closed.
func errClosed(dir string) error { return errs.E(errs.Unavailable, "store %s: closed", dir) }
