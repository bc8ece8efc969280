package vault

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func viewEvent(org, id uint64) event {
	e := variableEvent(org, id)
	e.Verb = verbView
	return e
}

// length is how many entries a chain has.
func (w *auditWorld) length(c chain) (n uint64) {
	w.t.Helper()
	w.view(func(tx *kv.Tx) error {
		head, err := c.head(tx)
		if err == nil {
			n = head.Number
		}
		return err
	})
	return n
}

func TestRecorderHasRecordedWhenItReturns(t *testing.T) {
	w := newAuditWorld(t)
	r := NewRecorder(w.DB)
	defer r.Close()
	var readings []Reading
	w.view(func(tx *kv.Tx) error {
		s := w.session(tx)
		s.reads(viewEvent(1, 5))
		s.reads(viewEvent(2, 6))
		readings = s.Readings()
		return nil
	})
	if err := r.Record(context.Background(), readings); err != nil {
		t.Fatal(err)
	}
	w.view(func(tx *kv.Tx) error {
		e, err := chain{organizationChain, 2}.entry(tx, 1)
		if err == nil && (e.Action != "variable_viewed" || e.TargetID != 6 || e.UserEmail != jane.Email || e.IPAddress != jane.IP) {
			t.Errorf("entry %+v", e)
		}
		return err
	})
	before := w.Commits()
	if err := r.Record(context.Background(), nil); err != nil || w.Commits() != before {
		t.Errorf("nothing to record: %v after %d commits, want none", err, w.Commits()-before)
	}
}

func TestRecorderCommitsManyTogether(t *testing.T) {
	w := newAuditWorld(t)
	r := NewRecorder(w.DB)
	defer r.Close()
	r.busy = true // as if a commit were under way while these come
	const requests, each = 60, 10
	var waiting []*recording
	for range requests {
		j := &recording{done: make(chan error, 1)}
		for range each {
			j.readings = append(j.readings, Reading{jane, viewEvent(1, 1)})
		}
		if err := r.enqueue(j); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, j)
	}
	r.run()
	for _, j := range waiting {
		if err := <-j.done; err != nil {
			t.Error(err)
		}
	}
	if got := w.Commits(); got != 2 { // 600 entries in batches of 500
		t.Errorf("%d commits, want 2", got)
	}
	if got := w.length(chain{organizationChain, 1}); got != requests*each {
		t.Errorf("%d entries, want %d", got, requests*each)
	}
}

func TestRecorderServesManyAtOnce(t *testing.T) {
	w := newAuditWorld(t)
	r := NewRecorder(w.DB)
	w.ConflictNext(2)
	var all sync.WaitGroup
	const requests = 100
	for i := range requests {
		all.Go(func() {
			if err := r.Record(context.Background(), []Reading{{jane, viewEvent(1+uint64(i%3), 1)}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r.Close()
	var n uint64
	for org := range uint64(3) {
		n += w.length(chain{organizationChain, org + 1})
	}
	if n != requests {
		t.Errorf("%d entries, want %d", n, requests)
	}
	if err := r.Record(context.Background(), []Reading{{jane, viewEvent(1, 1)}}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("after Close: %v, want unavailable", err)
	}
}

func TestRecorderTellsOfFailure(t *testing.T) {
	w := newAuditWorld(t)
	r := NewRecorder(w.DB)
	defer r.Close()
	one := []Reading{{jane, viewEvent(1, 1)}}
	w.FailNext(errs.E(errs.Unavailable, "no leader"))
	if err := r.Record(context.Background(), one); !errs.Is(err, errs.Unavailable) {
		t.Errorf("no leader: %v, want unavailable", err)
	}
	if err := r.Record(context.Background(), []Reading{{jane, event{}}}); !errs.Is(err, errs.Internal) {
		t.Errorf("an event that cannot be recorded: %v, want internal", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.mu.Lock()
	r.busy = true // nobody commits: only the request's end can end the wait
	r.mu.Unlock()
	if err := r.Record(ctx, one); !errs.Is(err, errs.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("a request that has ended: %v, want unavailable", err)
	}
	r.run()
	if err := r.Record(context.Background(), one); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestRecorderBoundsWhatWaits(t *testing.T) {
	r := NewRecorder(newAuditWorld(t).DB)
	defer r.Close()
	r.busy = true
	full := &recording{readings: make([]Reading, maxWaiting), done: make(chan error, 1)}
	if err := r.enqueue(full); err != nil {
		t.Fatal(err)
	}
	if err := r.enqueue(&recording{readings: make([]Reading, 1)}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("one more than may wait: %v, want unavailable", err)
	}
}
