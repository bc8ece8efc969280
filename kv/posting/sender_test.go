package posting

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/outgoing/webhook"
)

// layer are webhooks that remember what they are told.
type layer struct {
	message error // of Message
	failed  []Try
	ended   []Try
	why     []error
}

func (l *layer) Message(_ *kv.Tx, d outbox.Delivery, at time.Time) (webhook.Message, error) {
	return webhook.Message{ID: d.ID, Body: d.Payload, URL: at.Format(time.RFC3339Nano)}, l.message
}

func (l *layer) Ended(_ *kv.Tx, _ outbox.Delivery, t Try, failed error) error {
	l.ended, l.why = append(l.ended, t), append(l.why, failed)
	return nil
}

// witness keeps failed tries too.
type witness struct{ layer }

func (w *witness) Failed(tx *kv.Tx, d outbox.Delivery, t Try, failed error) error {
	w.failed, w.why = append(w.failed, t), append(w.why, failed)
	tx.Set([]byte("failed/"+d.ID), []byte(failed.Error()), 0)
	return nil
}

func delivery(id string) outbox.Delivery {
	return outbox.Delivery{Item: outbox.Item{Queue: "hooks/a", ID: id, Payload: []byte(`{}`)}, Attempt: 1}
}

// wait puts the item of a delivery into the outbox.
func wait(t *testing.T, s *kvtest.Store, id string) outbox.Delivery {
	t.Helper()
	d := delivery(id)
	if _, err := s.DB.Update(t.Context(), func(tx *kv.Tx) error { return outbox.Put(tx, d.Item) }); err != nil {
		t.Fatal(err)
	}
	return d
}

// A node that takes itself for the leader still must not post what another one
// has delivered.
func TestWhatDoesNotWaitAnyMoreIsNotPosted(t *testing.T) {
	s := kvtest.New(t)
	l := &layer{}
	sender := &Sender{DB: s.DB, Hooks: l, Try: func(context.Context, webhook.Message) (int, error) {
		t.Error("it was posted")
		return 200, nil
	}}
	wait(t, s, "2")
	if err := sender.Send(t.Context(), delivery("1")); err == nil || refused(err) || len(l.ended) != 0 {
		t.Errorf("%v, ended %v", err, l.ended)
	}
}

func refused(err error) bool {
	var r *outbox.Refused
	return errors.As(err, &r)
}

func TestWhatASenderMakesOfAnswers(t *testing.T) {
	down := errs.E(errs.Unavailable, "no answer")
	gone := &webhook.StatusError{Status: 410}
	for _, tt := range []struct {
		name    string
		message error
		status  int
		try     error
		want    error
		refused bool
		posted  bool
	}{
		{name: "taken", status: 204, posted: true},
		{name: "an answer that does not take it", status: 500, try: &webhook.StatusError{Status: 500}, posted: true},
		{name: "no answer", try: down, want: down, posted: true},
		{name: "gone", status: 410, try: gone, want: webhook.ErrGone, refused: true, posted: true},
		{name: "no target", message: ErrNoTarget, want: ErrNoTarget, refused: true},
		{name: "no message", message: down, want: down},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := kvtest.New(t)
			l := &layer{message: tt.message}
			posted := 0
			sender := &Sender{DB: s.DB, Hooks: l, Try: func(_ context.Context, m webhook.Message) (int, error) {
				posted++
				if m.ID != "1" || string(m.Body) != "{}" || m.URL != m.At.Format(time.RFC3339Nano) {
					t.Errorf("posted %+v", m)
				}
				return tt.status, tt.try
			}}
			err := sender.Send(t.Context(), wait(t, s, "1"))
			if tt.want != nil && !errors.Is(err, tt.want) || (err == nil) != (tt.try == nil && tt.message == nil) || refused(err) != tt.refused || (posted == 1) != tt.posted {
				t.Errorf("%v after %d posts", err, posted)
			}
			if _, broken := s.DB.Update(t.Context(), func(tx *kv.Tx) error { return sender.Settle(tx, delivery("1"), err) }); broken != nil {
				t.Error(broken)
			}
			if tt.message == ErrNoTarget {
				if len(l.ended) != 0 {
					t.Error("the layer is told of the end of what has no target")
				}
				return
			}
			if len(l.ended) == 0 || l.ended[0].Status != tt.status || l.why[0] != err {
				t.Errorf("ended %+v %v", l.ended, l.why)
			}
		})
	}
}

func TestAWitnessKeepsWhatFailed(t *testing.T) {
	s := kvtest.New(t)
	w := &witness{}
	answer := error(&webhook.StatusError{Status: 503})
	sender := &Sender{DB: s.DB, Hooks: w, Try: func(context.Context, webhook.Message) (int, error) { return 503, answer }}
	if err := sender.Send(t.Context(), wait(t, s, "1")); err != answer {
		t.Errorf("%v", err)
	}
	if len(w.failed) == 0 || w.failed[0].Status != 503 || w.why[0] != answer || s.Commits() != 2 {
		t.Errorf("%+v %v, %d commits", w.failed, w.why, s.Commits())
	}

	// The time of the try is over: that is kept nevertheless.
	late, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	sender.failed(late, w, delivery("2"), answer)
	if s.Commits() != 3 {
		t.Errorf("%d commits after a try that took too long", s.Commits())
	}

	// The node stops: it says nothing of the target.
	stopped, stop := context.WithCancel(t.Context())
	stop()
	sender.failed(stopped, w, delivery("3"), answer)
	if s.Commits() != 3 {
		t.Errorf("%d commits after the end of the node's lead", s.Commits())
	}

	// What cannot be kept is no error of the try.
	d := wait(t, s, "4")
	s.FailNext(errs.E(errs.Unavailable, "no quorum"))
	if err := sender.Send(t.Context(), d); err != answer {
		t.Errorf("%v", err)
	}
}

// Tries are known by their queues, and forgotten rather than gathered.
func TestTriesAreKeptByQueue(t *testing.T) {
	s := &Sender{}
	s.note("a", Try{Status: 200})
	s.note("b", Try{Status: 500})
	s.note("a", Try{Status: 204})
	if a, b, c := s.noted("a"), s.noted("b"), s.noted("c"); a.Status != 204 || b.Status != 500 || c.Status != 0 {
		t.Errorf("%+v %+v %+v", a, b, c)
	}
	for i := range 2 * maxNoted {
		s.note(time.Duration(i).String(), Try{})
	}
	if len(s.last) > maxNoted {
		t.Errorf("%d tries", len(s.last))
	}
}
