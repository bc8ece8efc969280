package vault

import (
	"context"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// A Reading is that somebody has read clear values: an entry of the audit log
// that is to be recorded before the values go out.
type Reading struct {
	who   actor
	event event
}

// reads remembers that clear values were read, in a transaction that does not
// write.
func (s *Session) reads(e event) { s.readings = append(s.readings, Reading{s.actor(), e}) }

// Readings returns what the session has read in clear. The caller gives them
// to a Recorder and answers only when that has recorded them.
func (s *Session) Readings() []Reading { return s.readings }

// Limits of a Recorder.
const (
	maxBatch   = 500    // entries of one commit; a request with more has one of its own
	maxWaiting = 10_000 // entries that wait on a node
	maxCommit  = 10 * time.Second
)

// A Recorder commits the Readings of many requests together: those that come
// while a commit is under way make up the next one. So a request alone does
// not wait for others, and many cost few commits. Safe for concurrent use.
type Recorder struct {
	db     *kv.DB
	ctx    context.Context // of the commits; ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	queue   []*recording
	waiting int // entries in queue
	busy    bool
	closed  bool
}

// recording is what one request waits for.
type recording struct {
	readings []Reading
	done     chan error // has room for the one answer
}

// NewRecorder returns a Recorder, to be closed before db's backend.
func NewRecorder(db *kv.DB) *Recorder {
	ctx, cancel := context.WithCancel(context.Background())
	return &Recorder{db: db, ctx: ctx, cancel: cancel}
}

// Close ends a commit that is under way, whose callers get an error, and waits
// for its end. Record refuses from now on.
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
	for _, reading := range readings { // what is wrong with one must not fail others
		if err := reading.event.check(); err != nil {
			return err
		}
	}
	j := &recording{readings: readings, done: make(chan error, 1)}
	if err := r.enqueue(j); err != nil {
		return err
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return errs.E(errs.Unavailable, "audit: %w before the reading was recorded", ctx.Err())
	}
}

func (r *Recorder) enqueue(j *recording) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errs.E(errs.Unavailable, "audit: the node is stopping")
	}
	if r.waiting > 0 && r.waiting+len(j.readings) > maxWaiting {
		return errs.E(errs.Unavailable, "audit: %d readings wait to be recorded, which is the limit", r.waiting)
	}
	r.queue = append(r.queue, j)
	r.waiting += len(j.readings)
	if !r.busy {
		r.busy = true
		r.work.Go(r.run)
	}
	return nil
}

// run commits batches until nothing waits.
func (r *Recorder) run() {
	for batch := r.next(); batch != nil; batch = r.next() {
		err := r.commit(batch)
		for _, j := range batch {
			j.done <- err
		}
	}
}

// next takes the next batch: whole requests, at least one. It returns nil when
// there is none, and then run has ended.
func (r *Recorder) next() []*recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, entries := 0, 0
	for n < len(r.queue) && (n == 0 || entries+len(r.queue[n].readings) <= maxBatch) {
		entries += len(r.queue[n].readings)
		n++
	}
	if n == 0 {
		r.busy = false
		return nil
	}
	batch := r.queue[:n:n]
	r.queue = r.queue[n:]
	r.waiting -= entries
	return batch
}

func (r *Recorder) commit(batch []*recording) error {
	ctx, cancel := context.WithTimeout(r.ctx, maxCommit)
	defer cancel()
	_, err := r.db.Update(ctx, func(tx *kv.Tx) error {
		for _, j := range batch {
			for _, reading := range j.readings {
				if err := record(tx, reading.who, reading.event); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return err
}
