package restdb

import (
	"context"
	"net/http"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/realtime"
)

const (
	// pingTime is how often a stream has a ping. Clients take one for dead that
	// is silent for 20 s, and some connect again after 25 s.
	pingTime = 9 * time.Second
	// gatherTime is how long an event waits for others to go out with it.
	gatherTime = 2 * time.Millisecond
	// reconnectTime is how long a browser waits before it connects again.
	reconnectTime = time.Second
)

var errNoFeed = errs.E(errs.Unavailable, "this node has no realtime")

// listen serves GET of realtime: a stream of events for as long as the client
// likes and its rights last.
func (q *request) listen() error {
	if q.Feed == nil {
		return q.refuse(errNoFeed)
	}
	release, err := q.Streams.Take("restdb", q.Proxies.Client(q.r))
	if err != nil {
		return err
	}
	defer release()
	after := q.r.Header.Get("Last-Event-ID")
	if after == "" {
		after = q.query.Value("lastEventId")
	}
	opening, cancel := q.patience()
	defer cancel()
	source := realtime.Source{DB: q.DB, Feed: q.Feed}
	events, err := source.Open(opening, q.enter, after)
	if err != nil {
		return err
	}
	defer events.Close()
	out, err := web.NewEventStream(q.w, q.r)
	if err != nil || q.r.Method == http.MethodHead {
		return err
	}
	if q.slow > 0 {
		out.Patience = q.slow
	}
	ctx, stop := web.WhileServing(q.r.Context())
	defer stop()
	return q.relay(ctx, events, out)
}

// relay sends events to the client until it leaves or they end. An end of ours
// is said in a comment: browsers then connect again by themselves, with what
// they have seen last, and learn why from the answer to that.
func (q *request) relay(ctx context.Context, events *realtime.Stream, out *web.EventStream) error {
	out.Retry(int(reconnectTime.Milliseconds()))
	ping := time.Now()
	flush := ping // when what is written goes out; after ping: there is nothing
	for {
		if now := time.Now(); !now.Before(ping) {
			out.Event(events.Place(), "ping", q.Now().UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z"))
			ping, flush = now.Add(q.pings), now
		}
		if !time.Now().Before(flush) {
			if err := out.Flush(); err != nil {
				return err
			}
			flush = ping.Add(time.Hour)
		}
		wait := ping
		if flush.Before(wait) {
			wait = flush
		}
		next, cancel := context.WithDeadline(ctx, wait)
		e, err := events.Next(next)
		late := next.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			out.Event(e.ID, e.Name, e.Data)
			if flush.After(ping) {
				flush = time.Now().Add(gatherTime)
			}
		case late:
		default:
			return q.end(ctx, err, out)
		}
	}
}

// end says why a stream ends.
func (q *request) end(ctx context.Context, err error, out *web.EventStream) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	f := web.FailureOf(err, "")
	if f.Kind == errs.Internal {
		return err // it is logged, and the connection breaks
	}
	out.Comment("the stream ends: " + web.HeaderText(f.Reason))
	return out.Flush()
}

// publish serves POST of realtime.
func (q *request) publish() error {
	body, err := q.content()
	if err != nil {
		return err
	}
	q.acceptable()
	q.noCondition()
	var m collection.Message
	if q.bad == nil {
		m, err = collection.ParseMessage(body.object())
		q.note(err)
	}
	ctx, cancel := q.patience()
	defer cancel()
	res, err := q.update(ctx, func(_ *kv.Tx, s *collection.Session) error {
		if q.bad != nil {
			return q.bad
		}
		return s.Publish(m)
	})
	if err != nil {
		return err
	}
	q.wrote(res)
	return q.reply(http.StatusCreated, m.JSON(nil))
}
