package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/kv"
)

// Source is the state that a Feed follows. A cluster's node is one, and so is
// kvtest's Store.
type Source interface {
	// View returns a state fit for c, of which the caller owns one reference.
	View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error)

	// Wait returns once the state of this node is at version, or later.
	Wait(ctx context.Context, version uint64) error
}

// A GoneError says that the changes behind a cursor are no longer kept, or
// that the cursor is of another history. The reader has to read anew what it
// follows.
type GoneError struct {
	Cursor Cursor
	Oldest uint64 // the first version whose changes are kept
}

// Error implements error.
func (e *GoneError) Error() string {
	return fmt.Sprintf("the changes behind %s are no longer kept, the oldest are those of version %d", e.Cursor, e.Oldest)
}

// Options say what a Watcher sees.
type Options struct {
	Prefixes [][]byte // of keys; a span that is deleted counts if it may hold such a key
	After    Cursor   // the first event is the first one behind it
}

// Feed hands changes to Watchers. Safe for concurrent use.
type Feed struct{ source Source }

// New returns the Feed of a node.
func New(s Source) *Feed { return &Feed{source: s} }

// Watch returns a Watcher, which the caller must Close. errs.Unavailable when
// this node has as many as it takes.
func (f *Feed) Watch(o Options) (*Watcher, error) { return nil, errors.New("feed: not written yet") }

// A Watcher is one reader of a Feed. It belongs to one goroutine, but for
// Close.
type Watcher struct{}

// Next returns the next event, and waits for it. The error is ctx's cause, a
// *GoneError, or errs.Unavailable when the node stops; after an error other than
// ctx's the Watcher is of no more use.
func (w *Watcher) Next(ctx context.Context) (Event, error) { return Event{}, errors.New("feed: not written yet") }

// Close releases the Watcher.
func (w *Watcher) Close() {}
