package vault

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// A Reading is that somebody has read clear values, or a list of members: an
// entry of the audit log that is to be recorded before the answer goes out.
type Reading struct {
	who   actor
	event event
}

// reads adds to the Readings: a transaction that only reads cannot record.
func (s *Session) reads(e event) { s.readings = append(s.readings, Reading{s.actor(), e}) }

// Readings returns what the session has read that is to be recorded. The
// caller gives them to a Recorder and answers, also with an error, only when
// that has recorded them.
func (s *Session) Readings() []Reading { return s.readings }

// Limits of a Recorder.
const (
	maxBatch     = 500    // entries of one commit; a request with more has one of its own
	changeWeight = 16     // how many entries a change counts as, so that a commit has at most 31
	maxWaiting   = 10_000 // entries that wait on a node
	maxCommit    = 10 * time.Second
)

// A Recorder commits what the requests of a node write, in turns: those that
// come while a commit is under way make up the next one. So a request alone
// does not wait for others, and many cost few commits.
//
// All changes in an organization are links of one audit chain and exclude each
// other, wherever they are made. Without turns they would conflict and be tried
// again and again, and some would wait for seconds. Other nodes' that lose too
// often are given way. Safe for concurrent use.
type Recorder struct {
	db     *kv.DB
	ctx    context.Context // of the commits; ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup
	name   []byte     // unlike that of any other
	asking sync.Mutex // held while others are asked to give way

	uses, refusals seldom // of service tokens

	mu      sync.Mutex
	queue   []*turn
	waiting int // entries in queue
	busy    bool
	closed  bool
}

// turn is what one request waits for.
type turn struct {
	ctx    context.Context // the request's
	weight int             // in entries
	do     func(*kv.Tx) error
	once   *kv.Once // do has a commit of its own, under this identity

	done     chan struct{} // closed when the others are set
	result   kv.Result
	err      error
	panicked any // what do panicked with
}

// NewRecorder returns a Recorder, to be closed before db's backend.
func NewRecorder(db *kv.DB) *Recorder {
	ctx, cancel := context.WithCancel(context.Background())
	return &Recorder{db: db, ctx: ctx, cancel: cancel, name: newName()}
}

// Close ends a commit that is under way, whose callers get an error, and waits
// for its end. The Recorder refuses everything from now on.
func (r *Recorder) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.work.Wait()
}

// Record returns when all readings are in the audit log, durable on a quorum.
// After an error, errs.Unavailable for one, they may not be there, and what
// was read must not go out.
func (r *Recorder) Record(ctx context.Context, readings []Reading) error {
	if len(readings) == 0 {
		return nil
	}
	for _, reading := range readings {
		if err := reading.event.check(); err != nil {
			return err
		}
	}
	_, err := r.wait(&turn{ctx: ctx, weight: len(readings), do: func(tx *kv.Tx) error {
		for _, reading := range readings {
			if err := record(tx, reading.who, reading.event); err != nil {
				return err
			}
		}
		return nil
	}})
	return err
}

// Update is kv.DB.Update in turn: fn may share its commit with others, and
// then sees what those before it have written. Of the Result there is the
// version only, and fn must not call Tx.Reply. It does not return while fn
// runs, so at worst a while after ctx has ended.
func (r *Recorder) Update(ctx context.Context, fn func(*kv.Tx) error) (kv.Result, error) {
	return r.wait(&turn{ctx: ctx, weight: changeWeight, do: fn})
}

// UpdateAlone is Update for what may be large, such as an import or a deletion
// with all that is in it: the commit is its own, so that no other change is
// tried again because of its size.
func (r *Recorder) UpdateAlone(ctx context.Context, fn func(*kv.Tx) error) (kv.Result, error) {
	return r.wait(&turn{ctx: ctx, weight: maxBatch, do: fn})
}

// UpdateOnce is kv.DB.UpdateOnce in turn, with a commit of its own.
func (r *Recorder) UpdateOnce(ctx context.Context, once kv.Once, fn func(*kv.Tx) error) (kv.Result, error) {
	return r.wait(&turn{ctx: ctx, weight: changeWeight, do: fn, once: &once})
}

// wait returns what has become of a turn, or errs.Unavailable if its request
// ends before it begins.
func (r *Recorder) wait(t *turn) (kv.Result, error) {
	t.done = make(chan struct{})
	if err := r.enqueue(t); err != nil {
		return kv.Result{}, err
	}
	select {
	case <-t.done:
	case <-t.ctx.Done():
		if r.withdraw(t) {
			return kv.Result{}, errs.E(errs.Unavailable, "%w before this could be recorded", t.ctx.Err())
		}
		<-t.done
	}
	if t.panicked != nil {
		panic(t.panicked)
	}
	return t.result, t.err
}

func (r *Recorder) enqueue(t *turn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errs.E(errs.Unavailable, "audit: the node is stopping")
	}
	if r.waiting > 0 && r.waiting+t.weight > maxWaiting {
		return errs.E(errs.Unavailable, "audit: %d entries wait to be recorded, which is the limit", r.waiting)
	}
	r.queue = append(r.queue, t)
	r.waiting += t.weight
	if !r.busy {
		r.busy = true
		r.work.Go(r.run)
	}
	return nil
}

// withdraw takes a turn out of the queue and reports whether it was there.
func (r *Recorder) withdraw(t *turn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.queue, t)
	if i < 0 {
		return false
	}
	r.queue = slices.Delete(r.queue, i, i+1)
	r.waiting -= t.weight
	return true
}

// run commits batches until nothing waits.
func (r *Recorder) run() {
	for {
		r.giveWay()
		batch := r.next()
		if batch == nil {
			return
		}
		r.commit(batch)
		for _, t := range batch {
			close(t.done)
		}
	}
}

// next takes the next batch: whole requests, at least one. It returns nil when
// there is none, and then run has ended.
func (r *Recorder) next() []*turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, entries := 0, 0
	for n < len(r.queue) && (n == 0 || r.queue[0].once == nil && r.queue[n].once == nil && entries+r.queue[n].weight <= maxBatch) {
		entries += r.queue[n].weight
		n++
	}
	if n == 0 {
		r.queue, r.busy = nil, false
		return nil
	}
	batch := slices.Clone(r.queue[:n])
	r.queue = slices.Delete(r.queue, 0, n)
	r.waiting -= entries
	return batch
}

// commit commits a batch together. If one of it cannot be, the halves are
// committed each by itself, so that it fails alone.
func (r *Recorder) commit(batch []*turn) {
	ctx, cancel := r.patience(batch)
	defer cancel()
	if len(batch) == 1 {
		t := batch[0]
		t.result, t.err = r.update(ctx, t.once, t.run)
		return
	}
	refused := false
	res, err := r.update(ctx, nil, func(tx *kv.Tx) error {
		refused = false
		for _, t := range batch {
			if err := t.run(tx); err != nil {
				refused = true
				return err
			}
		}
		return nil
	})
	if kind := errs.KindOf(err); err == nil || !refused && (kind == errs.Unavailable || kind == errs.Unknown || kind == errs.NoSpace) {
		for _, t := range batch {
			t.result, t.err = kv.Result{Version: res.Version}, err
		}
		return
	}
	half := len(batch) / 2
	r.commit(batch[:half])
	r.commit(batch[half:])
}

// patience is a context for the commit of a batch: as long as the most patient
// of its requests waits.
func (r *Recorder) patience(batch []*turn) (context.Context, context.CancelFunc) {
	var last time.Time
	most := time.Now().Add(maxCommit)
	for _, t := range batch {
		if end, bounded := t.ctx.Deadline(); !bounded || end.After(most) {
			last = most
		} else if end.After(last) {
			last = end
		}
	}
	return context.WithDeadline(r.ctx, last)
}

// run does the turn's part of a transaction. A panic is the request's, not the
// node's: it goes on where that waits.
func (t *turn) run(tx *kv.Tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			t.panicked = fmt.Sprintf("%v\n\n%s", v, debug.Stack())
			err = errs.E(errs.Internal, "audit: a transaction panicked")
		}
	}()
	t.panicked = nil
	return t.do(tx)
}
