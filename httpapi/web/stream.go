package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

const (
	// streamPiece is how many bytes of events wait for a Flush at most; more of
	// them go out on their own.
	streamPiece = 64 << 10
	// streamKept is the largest buffer that a stream keeps while it is idle.
	// There may be 10,000 idle ones.
	streamKept = 1 << 10
	// streamPatience is what NewEventStream sets Patience to.
	streamPatience = 30 * time.Second
)

// EventStream is an answer of server-sent events (WHATWG HTML, section 9.2),
// which lasts as long as its client and its maker like. What is written waits
// for Flush, or for 64 KiB to have gathered. A client that does not take what
// Flush sends within Patience is cut off: a stream never waits longer than
// that, and while it is idle it holds no buffer worth naming.
//
// It belongs to the goroutine that serves its request.
type EventStream struct {
	// Patience is how long the client may take to receive what a Flush sends,
	// for each MiB. NewEventStream sets it to 30 s.
	Patience time.Duration

	w    http.ResponseWriter
	c    *http.ResponseController
	head bool
	buf  []byte
	err  error // of the connection; nothing is sent after it
}

// NewEventStream sends the headers of a stream with status 200, to which it
// adds Content-Type, Cache-Control and X-Accel-Buffering. The time-outs that
// the server sets for whole requests end with it. HEAD gets the headers and
// nothing else, so its maker should be done then; whatever it still writes is
// thrown away.
//
// The error is errs.Internal, with nothing sent, if w cannot stream; or the one
// of ClientGone.
func NewEventStream(w http.ResponseWriter, r *http.Request) (*EventStream, error) {
	s := &EventStream{
		Patience: streamPatience, w: w, c: http.NewResponseController(w), head: r.Method == http.MethodHead,
	}
	// The read deadline of the request would end its context when it passes,
	// even though the request was read long before.
	if err := s.c.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, ClientGone(err)
	}
	if rec, ok := w.(*response); ok {
		rec.stream = true
	}
	h := w.Header()
	h["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
	h["Cache-Control"] = []string{"no-store"}
	h["X-Accel-Buffering"] = []string{"no"} // nginx would gather events
	w.WriteHeader(http.StatusOK)
	if s.head {
		return s, nil
	}
	return s, s.send()
}

// Event adds an event. An empty id leaves the client's last one as it is, an
// empty name is "message" to a browser. Neither may hold a line break or NUL;
// data may, but a browser reads each kind of line break as \n.
func (s *EventStream) Event(id, name string, data []byte) {
	if id != "" {
		s.line("id", id)
	}
	if name != "" {
		s.line("event", name)
	}
	for rest := data; ; {
		end := slices.IndexFunc(rest, func(c byte) bool { return c == '\n' || c == '\r' })
		if end < 0 {
			s.data(rest)
			break
		}
		s.data(rest[:end])
		if rest[end] == '\r' && end+1 < len(rest) && rest[end+1] == '\n' {
			end++
		}
		rest = rest[end+1:]
	}
	s.end()
}

// Comment adds a line that clients ignore, which keeps the connection busy for
// those who break off silent ones. text must not hold a line break.
func (s *EventStream) Comment(text string) {
	s.buf = append(append(append(s.buf, ": "...), text...), '\n')
	s.end()
}

// Place moves the client's last id on without an event.
func (s *EventStream) Place(id string) {
	s.line("id", id)
	s.end()
}

// Retry tells the client how many milliseconds to wait before it connects
// again.
func (s *EventStream) Retry(ms int) {
	s.line("retry", strconv.Itoa(ms))
	s.end()
}

func (s *EventStream) line(field, value string) {
	s.buf = append(append(append(append(s.buf, field...), ": "...), value...), '\n')
}

func (s *EventStream) data(line []byte) {
	s.buf = append(append(append(s.buf, "data: "...), line...), '\n')
}

// end ends a block, and sends what has become long.
func (s *EventStream) end() {
	s.buf = append(s.buf, '\n')
	if len(s.buf) >= streamPiece {
		_ = s.Flush() // the next one tells
	}
}

// Flush sends what has been added. The error is ClientGone's, and stays.
func (s *EventStream) Flush() error {
	if s.head || s.err != nil || len(s.buf) == 0 {
		s.buf = nil
		return s.err
	}
	return s.send()
}

func (s *EventStream) send() error {
	many := 1 + len(s.buf)>>20
	err := s.deadline(time.Now().Add(time.Duration(many) * s.Patience))
	if err == nil && len(s.buf) > 0 {
		_, err = s.w.Write(s.buf)
	}
	if err == nil {
		err = s.c.Flush()
	}
	if s.buf = s.buf[:0]; cap(s.buf) > streamKept {
		s.buf = nil
	}
	if errors.Is(err, http.ErrNotSupported) {
		s.err = errs.E(errs.Internal, "the connection cannot stream: %w", err)
		return s.err
	}
	if err == nil {
		// HTTP/2 breaks a stream off when its deadline passes, busy or idle.
		err = s.deadline(time.Time{})
	}
	s.err = ClientGone(err)
	return s.err
}

// deadline sets the deadline of writes. A writer without deadlines has no slow
// client to be protected from.
func (s *EventStream) deadline(t time.Time) error {
	if err := s.c.SetWriteDeadline(t); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// stopKey is the context key of the context that ends when the server stops.
type stopKey struct{}

// WithStopping returns ctx, for all requests of a server, such that
// WhileServing learns of the end of serving.
func WithStopping(ctx, serving context.Context) context.Context {
	return context.WithValue(ctx, stopKey{}, serving)
}

// ErrStopping is the cause with which WhileServing ends a context when the
// server stops.
var ErrStopping = errs.E(errs.Unavailable, "this node stops, connect to another one")

// WhileServing returns a context that ends with ctx, a request's, and with the
// cause ErrStopping as soon as the request's server begins to stop. Who streams
// to a client has to end by it, since the server waits for requests under way.
// The caller must call cancel in the end. It starts no goroutine.
func WhileServing(ctx context.Context) (serving context.Context, cancel context.CancelFunc) {
	serving, end := context.WithCancelCause(ctx)
	stop, ok := ctx.Value(stopKey{}).(context.Context)
	if !ok {
		return serving, func() { end(nil) }
	}
	forget := context.AfterFunc(stop, func() { end(ErrStopping) })
	return serving, func() { forget(); end(nil) }
}
