package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"time"

	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// The Recorders of all nodes change the same chains and ids. When several are
// busy the one next to the leader would win each time, for its commits take
// the least, and the requests of the others would be given up after seconds.
// So who has lost a few times asks the others to give way, with a record
// that they see in their own state and that nothing depends on: before its next
// batch each of them waits until it is gone. Meanwhile their requests gather,
// and share the batch that follows.
const (
	losses   = 2                      // tries before others are asked
	giveTime = 250 * time.Millisecond // how long a batch is held back at most
	givePoll = time.Millisecond
)

// newName makes up a Recorder's name, for the key under which it asks.
func newName() []byte {
	name := make([]byte, 8)
	_, _ = rand.Read(name) // documented never to return an error
	return name
}

// update is kv.DB.Update, or UpdateOnce with an identity, that asks others to
// give way if they keep changing what fn reads.
func (r *Recorder) update(ctx context.Context, once *kv.Once, fn func(*kv.Tx) error) (kv.Result, error) {
	done := make(chan struct{})
	defer close(done)
	runs := 0
	counted := func(tx *kv.Tx) error {
		if runs++; runs == losses+1 {
			r.work.Go(func() { r.ask(done) })
		}
		return fn(tx)
	}
	if once != nil {
		return r.db.UpdateOnce(ctx, *once, counted)
	}
	return r.db.Update(ctx, counted)
}

// ask asks other nodes to give way until done is closed. Errors do not matter:
// what was asked for ends by itself.
func (r *Recorder) ask(done <-chan struct{}) {
	r.asking.Lock() // until the one before has taken back what it asked for
	defer r.asking.Unlock()
	write := func(fn func(*kv.Tx)) {
		ctx, cancel := context.WithTimeout(r.ctx, giveTime)
		defer cancel()
		_, _ = r.db.Update(ctx, func(tx *kv.Tx) error {
			fn(tx)
			return nil
		})
	}
	again := time.NewTicker(giveTime)
	defer again.Stop()
	for asked := false; ; asked = true {
		select {
		case <-done:
			if asked {
				write(func(tx *kv.Tx) { tx.Delete(wayKey(r.name)) })
			}
			return
		default:
		}
		write(func(tx *kv.Tx) { tx.Set(wayKey(r.name), nil, giveTime) })
		select {
		case <-done:
		case <-again.C:
		}
	}
}

// giveWay waits while others ask for it, though not for long.
func (r *Recorder) giveWay() {
	if !r.asked() {
		return
	}
	end, poll := time.NewTimer(giveTime), time.NewTicker(givePoll)
	defer end.Stop()
	defer poll.Stop()
	for r.asked() {
		select {
		case <-poll.C:
		case <-end.C:
			return
		case <-r.ctx.Done():
			return
		}
	}
}

// asked reports whether others ask for the way, as far as this node knows.
func (r *Recorder) asked() (yes bool) {
	lo, hi := tuple.Span(key(wayByte, 0))
	own := wayKey(r.name)
	_, err := r.db.View(r.ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(lo, hi) {
			if err != nil {
				return err
			}
			yes = yes || !bytes.Equal(rec.Key, own)
		}
		return nil
	})
	return yes && err == nil
}
