package realtime

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/layer/collection"
)

// Door lets the caller of a Stream in, as collection.Store.Enter does. It is
// asked again for as long as the Stream lasts.
type Door func(context.Context, *kv.Tx) (*collection.Session, error)

// Source is the node that Streams tell of.
type Source struct {
	DB   *kv.DB
	Feed *feed.Feed
}

// A Stream tells one caller what happens. It belongs to one goroutine.
type Stream struct {
	source Source
	door   Door
	ears   *collection.Ears
	seen   [][]byte // the prefixes that watcher follows
	watch  *feed.Watcher
	at     feed.Cursor // the last change that was looked at
	until  time.Time   // when a key or a token expires; zero = never
	reset  string      // why the caller has missed something, which is to be told first
	ended  error       // why there is no further Event
}

// Open lets the caller in on a linearizable state. The first Event is the first
// one behind the place that after names, an Event's ID; with "" the first one
// that comes after all that was acknowledged before. A place that is none, or that this
// cluster has not come to, begins like "", with a reset. The caller must Close.
func (s Source) Open(ctx context.Context, door Door, after string) (*Stream, error) {
	t := &Stream{source: s, door: door}
	if _, err := s.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error { return t.judge(ctx, tx) }); err != nil {
		return nil, err
	}
	t.at = feed.After(t.ears.Version)
	if after != "" {
		from, err := feed.ParseCursor(after)
		switch {
		case err != nil || from.Version > t.ears.Version:
			t.reset = "this cluster has not come to the place to go on from"
		default:
			t.at = from
		}
	}
	return t, t.follow()
}

// judge passes the door and takes what the caller may hear.
func (t *Stream) judge(ctx context.Context, tx *kv.Tx) error {
	s, err := t.door(ctx, tx)
	if err != nil {
		return err
	}
	ears, err := s.Listen()
	if err != nil {
		return err
	}
	t.ears, t.until = ears, time.Time{}
	if ears.Until != 0 {
		// The clocks of nodes differ a little: then it is judged a few times.
		left := max(ears.Until-ears.Now, soon.Milliseconds())
		t.until = time.Now().Add(time.Duration(min(left, late.Milliseconds())) * time.Millisecond)
	}
	return nil
}

const (
	soon = 100 * time.Millisecond
	late = 24 * time.Hour // far from what overflows
)

// judgeAgain judges anew.
func (t *Stream) judgeAgain(ctx context.Context) error { return t.view(ctx, t.judge) }

// follow makes the watcher go on behind t.at with what the caller may hear.
func (t *Stream) follow() error {
	t.Close()
	t.seen = t.ears.Prefixes()
	w, err := t.source.Feed.Watch(feed.Options{Prefixes: t.seen, After: t.at})
	if err != nil {
		return err
	}
	t.watch = w
	return nil
}

// Close releases the Stream.
func (t *Stream) Close() {
	if t.watch != nil {
		t.watch.Close()
		t.watch = nil
	}
}

// Place returns the ID to go on from: all Events up to it have been taken. It
// moves on with the cluster, also while there are none.
func (t *Stream) Place() string {
	if place := t.watch.Position(); t.reset == "" && place.Compare(t.at) > 0 {
		return place.String()
	}
	return t.at.String()
}

// errExpires ends a wait when a key or a token expires.
var errExpires = errors.New("the key or the token expires")

// Next returns the next Event, and waits for it. The error is ctx's cause, after
// which it may be called again; or why the Stream has ended: what the door says,
// or errs.Unavailable when the node stops.
func (t *Stream) Next(ctx context.Context) (Event, error) {
	if t.ended != nil {
		return Event{}, t.ended
	}
	e, err := t.next(ctx)
	if waited := (*waitError)(nil); errors.As(err, &waited) {
		return e, waited.cause
	}
	t.ended = err
	return e, err
}

// waitError is the end of a wait that the Stream outlives.
type waitError struct{ cause error }

func (e *waitError) Error() string { return e.cause.Error() }

func (t *Stream) next(ctx context.Context) (Event, error) {
	for {
		if t.reset != "" {
			e := resetEvent(t.at, t.reset)
			t.reset = ""
			return e, nil
		}
		change, err := t.wait(ctx)
		var gone *feed.GoneError
		switch {
		case errors.As(err, &gone):
			if err := t.restart(ctx); err != nil {
				return Event{}, err
			}
			continue
		case errors.Is(err, errExpires):
			if err := t.judgeAgain(ctx); err != nil {
				return Event{}, err
			}
			continue
		case err != nil:
			return Event{}, err
		}
		e, ok, err := t.look(ctx, &change)
		if err != nil || ok {
			return e, err
		}
	}
}

// wait takes the next change from the watcher.
func (t *Stream) wait(ctx context.Context) (feed.Event, error) {
	within := ctx
	if !t.until.IsZero() {
		var cancel context.CancelFunc
		within, cancel = context.WithDeadline(ctx, t.until)
		defer cancel()
	}
	change, err := t.watch.Next(within)
	switch {
	case err == nil || within.Err() == nil:
		return change, err
	case ctx.Err() != nil:
		return change, &waitError{context.Cause(ctx)}
	}
	return change, errExpires
}

// restart goes on from the state of this node, since what came before is no
// longer kept.
func (t *Stream) restart(ctx context.Context) error {
	if err := t.judgeAgain(ctx); err != nil {
		return err
	}
	t.at, t.reset = feed.After(t.ears.Version), "the changes since are no longer kept"
	return t.follow()
}

// look says what a change means to the caller, after it was judged by it. The
// place moves on when that is known.
func (t *Stream) look(ctx context.Context, change *feed.Event) (e Event, ok bool, err error) {
	decides := t.ears.Decides(change)
	if decides {
		if err := t.judgeAgain(ctx); err != nil {
			return e, false, err
		}
	}
	if e, ok, err = t.tell(ctx, change); err != nil {
		return e, false, err
	}
	t.at = change.Cursor
	if decides && !slices.EqualFunc(t.seen, t.ears.Prefixes(), bytes.Equal) {
		err = t.follow()
	}
	return e, ok, err
}

// tell renders a change; ok is false if it is nothing to the caller.
func (t *Stream) tell(ctx context.Context, change *feed.Event) (e Event, ok bool, err error) {
	if change.Long && t.ears.Wants(change) {
		found, err := t.read(ctx, change)
		switch {
		case err != nil:
			return e, false, err
		case !found && t.ears.Keeps(change):
			return resetEvent(change.Cursor, "what was deleted or published there is no longer kept"), true, nil
		case !found:
			return e, false, nil
		}
	}
	n, ok, err := t.ears.Notice(change)
	if err != nil || !ok {
		return e, false, err
	}
	return newEvent(change.Cursor, n), true, nil
}

// read fetches the value of a change for which it was too long. A document may
// have been changed since; it is then shown as it is now, and a later change
// tells of it.
func (t *Stream) read(ctx context.Context, change *feed.Event) (found bool, err error) {
	err = t.view(ctx, func(_ context.Context, tx *kv.Tx) error {
		rec, ok, err := tx.Get(change.Key)
		if found = ok && (rec.Version == change.Version || !t.ears.Keeps(change)); found {
			change.Value = rec.Value
		}
		return err
	})
	return found, err
}

// view reads the state of this node, which holds every change that the feed has
// told of. What is under way is not broken off by the end of ctx: the change at
// hand would be lost.
func (t *Stream) view(ctx context.Context, fn func(context.Context, *kv.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := t.source.DB.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error { return fn(ctx, tx) })
	return err
}

// patience bounds how long a look at the state of this node takes.
const patience = 10 * time.Second
