package kvdb

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/layer/bucket"
)

const (
	defaultPing = 15 * time.Second
	// watchRetry is how many milliseconds a browser waits before it connects
	// again, here or through whatever balances the load.
	watchRetry = 1000
)

// watch serves GET and HEAD of a bucket with watch=true: a stream of
// server-sent events that tells all changes from a place in their order on.
func (q *request) watch() error {
	w := &watcher{request: q, query: q.watchQuery(), level: q.consistency()}
	from, given := q.cursor()
	info, err := w.open(w.level)
	if err != nil {
		return err
	}
	if given && from.Version > info.Version && w.level.Stale {
		// This node may only be late: another read tells.
		w.level = kv.Consistency{}
		if info, err = w.open(w.level); err != nil {
			return err
		}
	}
	if q.Feed == nil {
		return errs.E(errs.Unavailable, "this node serves no watches")
	}
	q.achieved(info)
	if q.r.Method == http.MethodHead {
		_, err := web.NewEventStream(q.w, q.r)
		return err
	}
	release, err := q.Streams.Take("kvdb", q.Proxies.Client(q.r))
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := web.WhileServing(q.r.Context())
	defer cancel()
	why := ""
	switch {
	case !given:
		from = feed.After(info.Version)
	case from.Version > info.Version:
		why = "the place to go on from is ahead of this cluster: it is another cluster's, or changes were lost"
	case from.Version < w.right.Since():
		why = "the bucket's policy has changed since"
	}
	return w.run(ctx, from, info.Version, why)
}

// watchQuery reads the parameters of a watch.
func (q *request) watchQuery() bucket.WatchQuery {
	for _, name := range [...]string{"limit", "skip", "reverse"} {
		if _, ok := q.query.Lookup(name); ok {
			q.note(errs.E(errs.Invalid, "a watch takes no %s", name))
		}
	}
	pattern, err := bucket.ParsePattern(q.query.Value("regex"))
	q.note(err)
	return bucket.WatchQuery{
		Prefix: []byte(q.query.Value("prefix")), Pattern: pattern, Values: isSet(q.query.Value("values")),
	}
}

// cursor reads where to go on: behind the last event that the client has seen,
// else behind the version that it names. A browser that connects again sends
// both, and the header is the newer one.
func (q *request) cursor() (c feed.Cursor, given bool) {
	text := q.r.Header.Get("Last-Event-Id")
	if text == "" {
		text = q.query.Value("since")
	}
	if text == "" {
		return feed.Cursor{}, false
	}
	c, err := feed.ParseCursor(text)
	q.note(err)
	return c, true
}

// watcher is a watch under way.
type watcher struct {
	*request
	query  bucket.WatchQuery
	level  kv.Consistency
	right  *bucket.Watch
	ends   time.Time // when the caller must be judged anew; zero = never
	pings  time.Time // when the next ping is due, whatever comes before
	feed   *feed.Watcher
	stream *web.EventStream
	data   []byte // of the event that is being written
}

// open passes the door, and finds out where the order of changes is now.
func (w *watcher) open(level kv.Consistency) (kv.ReadInfo, error) {
	var right *bucket.Watch
	need := bucket.List
	if w.query.Values {
		need = bucket.ListValues
	}
	info, err := w.view(need, level, func(_ *kv.Tx, b *bucket.Bucket) error {
		var err error
		right, err = b.Watch(w.query)
		return w.first(err)
	})
	if err != nil {
		return info, err
	}
	w.right, w.ends = right, time.Time{}
	if at := right.Expires(); at > 0 {
		w.ends = time.Now().Add(max(time.Duration(at-info.Now)*time.Millisecond, 0))
	}
	return info, nil
}

// run streams from a place on, unless why says that this is not possible: then
// from now on, with a reset.
func (w *watcher) run(ctx context.Context, from feed.Cursor, now uint64, why string) (err error) {
	if why != "" {
		from = feed.After(now)
	}
	if err := w.follow(from); err != nil {
		return err
	}
	defer func() { w.feed.Close() }()
	if w.stream, err = web.NewEventStream(w.w, w.r); err != nil {
		return err
	}
	w.stream.Patience, w.pings = w.PieceTime, time.Now().Add(w.Ping)
	w.stream.Retry(watchRetry)
	if why == "" {
		w.send(from, "ready", appendVersion(nil, from.Version))
	} else {
		w.reset(from, why)
	}
	for err == nil {
		err = w.step(ctx)
	}
	return w.end(ctx, err)
}

// follow begins to follow what the caller may see behind a place.
func (w *watcher) follow(from feed.Cursor) error {
	next, err := w.Feed.Watch(feed.Options{Prefixes: w.right.Prefixes(), After: from})
	if err != nil {
		return err
	}
	if w.feed != nil {
		w.feed.Close()
	}
	w.feed = next
	return nil
}

// step sends what is at hand, waits for the next event, or for the time of a
// ping, and takes it.
func (w *watcher) step(ctx context.Context) error {
	now := time.Now()
	if !w.ends.IsZero() && !now.Before(w.ends) {
		if err := w.judge(); err != nil {
			return err
		}
	}
	if !now.Before(w.pings) {
		w.pings = now.Add(w.Ping)
		return w.ping()
	}
	e, err := w.feed.Next(w.ended) // what it has, without waiting
	if err != nil {
		if err := w.stream.Flush(); err != nil {
			return err
		}
		e, err = w.wait(ctx)
	}
	var gone *feed.GoneError
	switch {
	case err == nil:
		return w.take(ctx, &e)
	case errors.As(err, &gone):
		return w.skip("the history no longer reaches back to the place to go on from")
	case errors.Is(err, errDue):
		return nil
	}
	return err
}

// ping shows the client that the stream lives. The place moves on, so that one
// that was told nothing for long, though changes came that it does not want,
// need not go back to where its last event was.
func (w *watcher) ping() error {
	w.stream.Comment("ping")
	w.stream.Place(w.feed.Position().String())
	return w.stream.Flush()
}

var errDue = errors.New("it is time for something else")

// wait waits for the next event, or with errDue until a ping or a judgement is
// due.
func (w *watcher) wait(ctx context.Context) (feed.Event, error) {
	until := w.pings
	if !w.ends.IsZero() && w.ends.Before(until) {
		until = w.ends
	}
	patient, cancel := context.WithDeadlineCause(ctx, until, errDue)
	defer cancel()
	e, err := w.feed.Next(patient)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return e, err
}

// judge finds out whether the caller may still see what it follows. The state
// of this node is at least as new as the event that made it ask. What it follows
// stays the same: a credential's prefix does not change.
func (w *watcher) judge() error {
	_, err := w.open(kv.Consistency{Stale: true})
	return err
}

// take passes on one event.
func (w *watcher) take(ctx context.Context, e *feed.Event) error {
	s := w.right.Read(e)
	name := ""
	switch s.Kind {
	case bucket.Nothing:
		return nil
	case bucket.PolicyChanged:
		return w.judge()
	case bucket.BucketDeleted:
		return errs.E(errs.NotFound, "the bucket was deleted")
	case bucket.KeysDeleted:
		return w.skip("many keys were deleted at once")
	case bucket.KeySet:
		name = "set"
	case bucket.KeyDeleted:
		name = "delete"
	case bucket.KeyExpired:
		name = "expire"
	case bucket.KeyTouched:
		name = "touch"
	}
	long := s.Long() && w.query.Values
	if long {
		leave, err := w.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	if err := w.render(&s); err != nil {
		return err
	}
	w.send(e.Cursor, name, w.data)
	if cap(w.data) > maxKept {
		w.data = nil
	}
	if long {
		return w.stream.Flush() // what makes room for others
	}
	return nil
}

// longValues is how many watches send a long value at once: each holds it in
// memory until its client has received it.
const longValues = 8

// enter waits for room for a long value.
func (w *watcher) enter(ctx context.Context) (leave func(), err error) {
	patient, cancel := context.WithTimeout(ctx, w.Wait)
	defer cancel()
	select {
	case w.long <- struct{}{}:
		return func() { <-w.long }, nil
	case <-patient.Done():
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, errs.E(errs.Unavailable, "other watches are sending long values, go on later")
}

// maxKept is the largest buffer that a watch keeps while it waits.
const maxKept = 1 << 10

// render writes the data of an event.
func (w *watcher) render(s *bucket.Seen) error {
	p := appendString(append(w.data[:0], `{"key":`...), s.Key)
	p = strconv.AppendUint(append(p, `,"version":`...), s.Version, 10)
	if s.Kind == bucket.KeySet {
		if w.query.Values {
			v, ok, err := w.value(s)
			switch {
			case err != nil:
				return err
			case ok && v.IsJSON():
				p = append(append(p, `,"value":`...), v.Bytes()...)
			case ok:
				p = appendString(append(p, `,"value":`...), v.Bytes())
			}
		}
		p = strconv.AppendBool(append(p, `,"created":`...), s.Created)
	}
	if s.Expiry > 0 {
		p = strconv.AppendInt(append(p, `,"expires":`...), s.Expiry, 10)
	}
	w.data = append(p, '}')
	return nil
}

// value returns the value of a set, from the store if it is long.
func (w *watcher) value(s *bucket.Seen) (v bucket.Value, ok bool, err error) {
	if v, ok, err = s.Value(); ok || err != nil {
		return v, ok, err
	}
	_, err = w.view(bucket.ListValues, kv.Consistency{Stale: true}, func(_ *kv.Tx, b *bucket.Bucket) error {
		var err error
		v, ok, err = b.Follow(s)
		return err
	})
	return v, ok, err
}

// skip leaves out what cannot be told, and goes on from now.
func (w *watcher) skip(why string) error {
	info, err := w.open(w.level)
	if err != nil {
		return err
	}
	from := feed.After(info.Version)
	if err := w.follow(from); err != nil {
		return err
	}
	w.reset(from, why)
	return nil
}

func (w *watcher) reset(from feed.Cursor, why string) {
	data := appendVersion(nil, from.Version)
	data = appendString(append(data[:len(data)-1], `,"reason":`...), []byte(why))
	w.send(from, "reset", append(data, '}'))
}

func (w *watcher) send(at feed.Cursor, name string, data []byte) {
	w.stream.Event(at.String(), name, data)
}

// appendVersion appends {"version":N}.
func appendVersion(dst []byte, version uint64) []byte {
	return append(strconv.AppendUint(append(dst, `{"version":`...), version, 10), '}')
}

// end tells the client why its stream ends here, unless it is gone.
func (w *watcher) end(ctx context.Context, err error) error {
	if errors.Is(err, http.ErrAbortHandler) || w.r.Context().Err() != nil {
		return http.ErrAbortHandler
	}
	f := web.FailureOf(err, w.w.Header().Get("Covey-Request-Id"))
	data := appendString([]byte(`{"reason":`), []byte(f.Reason))
	w.stream.Event("", "end", append(data, '}'))
	if flushed := w.stream.Flush(); flushed != nil || f.Kind != errs.Internal {
		return flushed
	}
	return err // for the log
}
