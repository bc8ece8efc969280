package media

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

const (
	// maxSilence is how long an upload may say nothing. One that is alive says
	// something every 4 MiB, and clients that send those in more than 16 minutes
	// are cut off.
	maxSilence = time.Hour
	sweepPause = time.Minute // between looks for work
	sweepPage  = 100         // uploads of one look
)

// A Sweeper deletes what is left of uploads that never ended, because their
// node died. Two at once are safe.
type Sweeper struct {
	DB    *kv.DB
	Leads func() bool // whether this node is the one to sweep
	Log   *slog.Logger
}

// leftover is an upload that may have died.
type leftover struct {
	database string
	upload   collection.OID
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	t := time.NewTicker(sweepPause)
	defer t.Stop()
	for {
		if s.Leads() {
			if n, err := s.Step(ctx); err != nil && ctx.Err() == nil {
				s.Log.Warn("what is left of uploads waits", "error", err)
			} else if n > 0 {
				s.Log.Info("uploads that never ended were removed", "uploads", n)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Step looks for uploads that have died, and returns how many it has deleted.
func (s *Sweeper) Step(ctx context.Context) (swept int, err error) {
	dead, err := s.dead(ctx)
	if err != nil {
		return 0, err
	}
	var all []error
	for _, d := range dead {
		gone := false
		_, err := s.DB.Update(ctx, func(tx *kv.Tx) (err error) {
			gone, err = d.remove(tx)
			return err
		})
		if err == nil && gone {
			swept++
		}
		all = append(all, err)
	}
	return swept, errors.Join(all...)
}

// dead looks through the node's own state.
func (s *Sweeper) dead(ctx context.Context) (list []leftover, err error) {
	_, err = s.DB.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(collection.Uploads()) {
			if err != nil {
				return err
			}
			database, upload, ok := readBeatKey(rec.Key)
			if !ok {
				continue
			}
			b, err := decodeBeat(rec.Value)
			if err != nil {
				return err
			}
			if b.old(tx) {
				list = append(list, leftover{database, upload})
			}
			if len(list) >= sweepPage {
				break
			}
		}
		return nil
	})
	return list, err
}

func (b beat) old(tx *kv.Tx) bool { return tx.Now()-b.At > maxSilence.Milliseconds() }

// remove deletes the upload if it is still there and still silent. The marker
// is read so that it is guarded: the upload may be ending at this moment.
func (d leftover) remove(tx *kv.Tx) (bool, error) {
	if _, ok, err := tx.Get(markerKey(d.database, d.upload)); err != nil || !ok {
		return false, err
	}
	rec, ok, err := tx.Get(beatKey(d.database, d.upload))
	if err != nil || !ok {
		return false, err
	}
	b, err := decodeBeat(rec.Value)
	if err != nil || !b.old(tx) {
		return false, err
	}
	remove(tx, d.database, d.upload, b.IDs)
	return true, nil
}
