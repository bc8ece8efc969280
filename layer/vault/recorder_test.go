package vault

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
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

// await returns when so many requests wait, of a Recorder that is busy.
func (r *Recorder) await(n int) {
	for there := 0; there < n; runtime.Gosched() {
		r.mu.Lock()
		there = len(r.queue)
		r.mu.Unlock()
	}
}

func TestRecorderCommitsManyTogether(t *testing.T) {
	w := newAuditWorld(t)
	r := NewRecorder(w.DB)
	defer r.Close()
	r.busy = true // as if a commit were under way while these come
	const requests, each = 60, 10
	var all sync.WaitGroup
	for range requests {
		var readings []Reading
		for range each {
			readings = append(readings, Reading{jane, viewEvent(1, 1)})
		}
		all.Go(func() {
			if err := r.Record(context.Background(), readings); err != nil {
				t.Error(err)
			}
		})
	}
	r.await(requests)
	r.run()
	all.Wait()
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
	r = NewRecorder(w.DB)
	defer r.Close()
	r.busy = true // nobody commits: only the request's end can end the wait
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
	if err := r.enqueue(&turn{weight: maxWaiting}); err != nil {
		t.Fatal(err)
	}
	if err := r.enqueue(&turn{weight: 1}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("one more than may wait: %v, want unavailable", err)
	}
}

// held makes a Recorder take nothing until n requests wait, and then all.
func (w *auditWorld) held(n int, each func(r *Recorder, i int)) {
	w.t.Helper()
	r := NewRecorder(w.DB)
	defer r.Close()
	r.busy = true
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { each(r, i) })
		r.await(i + 1) // so that they wait in order
	}
	r.run()
	all.Wait()
}

func TestChangesShareACommit(t *testing.T) {
	w := newAuditWorld(t)
	const n = 20
	var versions [n]uint64
	before := w.Commits()
	w.ConflictNext(1)
	w.held(n, func(r *Recorder, i int) {
		res, err := r.Update(context.Background(), func(tx *kv.Tx) error { return record(tx, jane, viewEvent(1, 1)) })
		if versions[i] = res.Version; err != nil {
			t.Error(err)
		}
	})
	if got := w.length(chain{organizationChain, 1}); got != n || versions[0] == 0 || versions[0] != versions[n-1] {
		t.Errorf("%d entries of versions %d", got, versions)
	}
	if got := w.Commits() - before; got != 2 { // the first one met a conflict
		t.Errorf("%d commits, want 2", got)
	}
}

// One that is refused fails alone, by the state that those before it leave.
func TestAChangeThatIsRefusedFailsAlone(t *testing.T) {
	w := newAuditWorld(t)
	const n = 9
	var failed [n]error
	w.held(n, func(r *Recorder, i int) {
		_, failed[i] = r.Update(context.Background(), func(tx *kv.Tx) error {
			_, taken, err := tx.Get([]byte{byte(i / 2)}) // two want each key
			if err == nil && taken {
				err = duplicate("key", "taken")
			}
			tx.Set([]byte{byte(i / 2)}, []byte{byte(i)}, 0)
			return errors.Join(err, record(tx, jane, viewEvent(1, 1)))
		})
	})
	for i, err := range failed {
		if refused := i%2 == 1; refused != errs.Is(err, errs.Exists) || !refused && err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if got := w.length(chain{organizationChain, 1}); got != 5 {
		t.Errorf("%d entries, want 5", got)
	}
}

func TestSharedCommitThatFails(t *testing.T) {
	for name, fail := range map[string]func(*auditWorld){
		"unavailable": func(w *auditWorld) { w.FailNext(errs.E(errs.Unavailable, "no leader")) },
		"unknown":     func(w *auditWorld) { w.LoseNext(1) },
	} {
		w := newAuditWorld(t)
		fail(w)
		w.held(4, func(r *Recorder, i int) {
			if err := r.Record(context.Background(), []Reading{{jane, viewEvent(1, 1)}}); err == nil || errs.KindOf(err).String() != map[string]string{
				"unavailable": "unavailable", "unknown": "unknown outcome"}[name] {
				t.Errorf("%s: %v", name, err)
			}
		})
		if got := w.Commits(); got != 1 {
			t.Errorf("%s: %d commits, want 1", name, got)
		}
	}
}

func TestAPanicIsThatOfItsRequest(t *testing.T) {
	w := newAuditWorld(t)
	w.held(5, func(r *Recorder, i int) {
		defer func() {
			if v := recover(); (v != nil) != (i == 2) || v != nil && !strings.Contains(fmt.Sprint(v), "broken 2") {
				t.Errorf("%d: panicked with %v", i, v)
			}
		}()
		_, err := r.Update(context.Background(), func(tx *kv.Tx) error {
			if i == 2 {
				panic("broken 2")
			}
			return record(tx, jane, viewEvent(1, 1))
		})
		if err != nil {
			t.Error(err)
		}
	})
	if got := w.length(chain{organizationChain, 1}); got != 4 {
		t.Errorf("%d entries, want 4", got)
	}
}

func TestUpdateOnceHasItsOwnCommit(t *testing.T) {
	w := newAuditWorld(t)
	once := kv.Once{ID: kv.NewID()}
	var results [4]kv.Result
	w.held(4, func(r *Recorder, i int) {
		var err error
		do := func(tx *kv.Tx) error {
			tx.Reply([]byte("answer"))
			return record(tx, jane, viewEvent(1, 1))
		}
		if i == 0 {
			results[i], err = r.Update(context.Background(), func(tx *kv.Tx) error { return record(tx, jane, viewEvent(1, 1)) })
		} else {
			results[i], err = r.UpdateOnce(context.Background(), once, do)
		}
		if err != nil {
			t.Error(err)
		}
	})
	for i, res := range results {
		if res.Duplicate != (i > 1) || i > 0 && string(res.Reply) != "answer" {
			t.Errorf("%d: %+v", i, res)
		}
	}
	if got := w.length(chain{organizationChain, 1}); got != 2 {
		t.Errorf("%d entries, want 2", got)
	}
}
