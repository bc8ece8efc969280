package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// WatchQuery selects the changes of a bucket to follow.
type WatchQuery struct {
	Prefix string
	Regex  string // Go RE2 syntax, unanchored; "" = all
	Values bool   // tell values too
	// Since is where to begin: behind a version of the store, or behind a
	// WatchEvent's ID. "" = now.
	Since string
}

// WatchEvent is one change of a bucket, or says where a watch stands.
type WatchEvent struct {
	// Kind is set, delete, expire or touch for a change of Key; ready for the
	// beginning of a watch; reset when changes were missed, for the Reason, and
	// what is followed has to be read anew at Version or later.
	Kind    string
	ID      string // as WatchQuery.Since it goes on behind this event
	Key     string
	Version uint64          // of the change
	Value   json.RawMessage // of a set, as in Item; nil without values, and for a long one that is overwritten already
	Created bool            // by a set: the key was not there before
	Expires time.Time       // of a set or touch; zero = never
	Reason  string
}

// Text returns the value as Item.Text does.
func (e WatchEvent) Text() string { return Item{Value: e.Value}.Text() }

// watchPatience is how long a watch may be silent. Nodes say something every 15
// seconds.
const watchPatience = 45 * time.Second

// Watch follows the changes of b that q selects, from its beginning on: each
// once, in the order of the commits. The first event is ready, or reset. A
// connection that is lost or ended is replaced through all endpoints, and no
// change is lost or doubled by that; where that is not possible, a reset tells.
//
// It goes on until the loop is left or ctx ends, which is its last error, as it
// is what keeps nodes from serving it any longer: an *Error, after trying for the
// time of one call.
func (b *Bucket) Watch(ctx context.Context, q WatchQuery) iter.Seq2[WatchEvent, error] {
	return func(yield func(WatchEvent, error) bool) {
		w := &watch{b: b, q: q, last: q.Since}
		for ctx.Err() == nil {
			body, err := w.connect(ctx)
			if err != nil {
				yield(WatchEvent{}, orEnd(ctx, err))
				return
			}
			more, err := w.read(body, yield)
			body.Close()
			if !more {
				return
			}
			if err != nil && ctx.Err() == nil {
				yield(WatchEvent{}, err)
				return
			}
		}
		yield(WatchEvent{}, ctx.Err())
	}
}

// orEnd returns ctx's error if it has ended, whatever that has broken.
func orEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// watch is a watch between connections.
type watch struct {
	b     *Bucket
	q     WatchQuery
	last  string // ID of the last event that was passed on
	begun bool   // ready was passed on
	idle  int    // connections in a row that brought nothing new
}

// connect opens a stream behind the last event. The first time it is a call
// like any other; later a cluster that is away is given the time of one.
func (w *watch) connect(ctx context.Context) (io.ReadCloser, error) {
	r, err := w.request()
	if err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, w.b.c.cfg.Timeout)
	defer cancel()
	if w.idle > 0 {
		pause(limit, w.idle, 0)
	}
	for round := 1; ; round++ {
		a, err := w.b.c.open(ctx, r)
		if err == nil {
			w.idle++
			return a.rest, nil
		}
		if !w.begun || !errors.Is(err, ErrUnavailable) || !pause(limit, round, 0) {
			return nil, err
		}
	}
}

func (w *watch) request() (*request, error) {
	query := w.b.c.readQuery()
	query.Set("watch", "true")
	for name, value := range map[string]string{"prefix": w.q.Prefix, "regex": w.q.Regex, "since": w.last} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if w.q.Values {
		query.Set("values", "true")
	}
	r := &request{
		op: "watch bucket " + w.b.id, method: http.MethodGet, path: "/" + url.PathEscape(w.b.id) + "/",
		query: query, key: w.b.key, patience: watchPatience,
	}
	if w.b.id == "" {
		return nil, &Error{Op: r.op, Status: http.StatusBadRequest, Endpoint: "the client", Reason: "the bucket id is empty"}
	}
	return r, nil
}

// read passes on the events of one stream. more is false if none are wanted. An
// error is one that another connection would meet too.
func (w *watch) read(body io.Reader, yield func(WatchEvent, error) bool) (more bool, err error) {
	s := &eventReader{r: bufio.NewReader(body), limit: maxEntry}
	for {
		block, err := s.next()
		if errors.Is(err, errLongEvent) {
			return true, fmt.Errorf("watch bucket %s: %w", w.b.id, err)
		}
		if err != nil {
			return true, nil // the connection is gone
		}
		if block.id != "" && block.id != w.last {
			w.last, w.idle = block.id, 0
		}
		if block.name == "" && len(block.data) == 0 || block.name == "end" {
			continue // it moved the place on; or says why the stream ends, as the next connection will
		}
		e, err := block.event()
		switch {
		case err != nil:
			return true, fmt.Errorf("watch bucket %s: the node sent what is no event: %w", w.b.id, err)
		case e.Kind == "ready" && w.begun:
			continue
		}
		w.begun = true
		if !yield(e, nil) {
			return false, nil
		}
	}
}

// eventBlock is one block of a stream of server-sent events.
type eventBlock struct {
	id, name string
	data     []byte
}

func (b *eventBlock) event() (WatchEvent, error) {
	var doc struct {
		Key     string          `json:"key"`
		Version uint64          `json:"version"`
		Value   json.RawMessage `json:"value"`
		Created bool            `json:"created"`
		Expires int64           `json:"expires"`
		Reason  string          `json:"reason"`
	}
	if err := json.Unmarshal(b.data, &doc); err != nil {
		return WatchEvent{}, err
	}
	e := WatchEvent{
		Kind: b.name, ID: b.id, Key: doc.Key, Version: doc.Version, Value: doc.Value, Created: doc.Created, Reason: doc.Reason,
	}
	if doc.Expires > 0 {
		e.Expires = time.UnixMilli(doc.Expires)
	}
	return e, nil
}

var errLongEvent = errors.New("an event is too long")

// eventReader reads blocks of server-sent events as Covey writes them.
type eventReader struct {
	r     *bufio.Reader
	limit int // bytes of a block
}

// next returns the next whole block. What a connection leaves unfinished counts
// for nothing.
func (s *eventReader) next() (b eventBlock, err error) {
	size, lines := 0, 0
	for {
		line, err := s.line(s.limit - size)
		if err != nil {
			return eventBlock{}, err
		}
		if len(line) == 0 {
			return b, nil
		}
		size += len(line)
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			b.id = string(value)
		case "event":
			b.name = string(value)
		case "data":
			if lines++; lines > 1 {
				b.data = append(b.data, '\n')
			}
			b.data = append(b.data, value...)
		}
	}
}

// line reads a line of up to limit bytes, without its end. It is valid until the
// next.
func (s *eventReader) line(limit int) ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= limit {
			line, err = s.r.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if len(line) > limit {
		return nil, errLongEvent
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}
