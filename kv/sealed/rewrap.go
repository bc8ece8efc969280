package sealed

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
)

// Bounds of a batch: what one commit changes, and what one look goes over.
const (
	batchRecords = 64
	batchBytes   = 256 << 10
	batchLook    = 4096
)

const (
	maxFaults = 20 // that are named
	maxPasses = 10 // over everything
)

// Progress is how far the latest re-wrapping has come.
type Progress struct {
	Key      string  `json:"key"`                // that everything is sealed under
	Started  int64   `json:"started"`            // unix milliseconds
	Finished int64   `json:"finished,omitempty"` // unix milliseconds, 0 = it goes on
	Total    int64   `json:"total"`              // things there were at the start
	Done     int64   `json:"done"`               // things gone over; some may have come or gone since the start
	Changed  int64   `json:"changed"`            // things that were sealed anew
	Failed   int64   `json:"failed"`             // things that could not be, and stay as they are
	Faults   []Fault `json:"faults,omitempty"`   // the first of those
}

// A Fault is one Thing that could not be sealed anew.
type Fault struct {
	Kind   string `json:"kind"`
	Which  string `json:"which,omitempty"`
	Reason string `json:"reason"`
}

// progressRow is Progress with the place where it goes on.
type progressRow struct {
	Progress
	Rows   string `json:"rows"`            // whose turn it is
	After  []byte `json:"after,omitempty"` // the last key done, nil = none
	Pass   int    `json:"pass"`
	Before int64  `json:"before,omitempty"` // Changed when the pass began
}

func (p *progressRow) fail(f Fault) {
	if p.Failed++; len(p.Faults) < maxFaults {
		p.Faults = append(p.Faults, f)
	}
}

func readProgress(tx *kv.Tx) (row *progressRow, stored []byte, err error) {
	rec, ok, err := tx.Get(progressKey())
	if err != nil || !ok {
		return nil, nil, err
	}
	row = new(progressRow)
	return row, rec.Value, decode(rec.Value, row)
}

// Latest returns the progress of the latest re-wrapping, and nil if there was
// none.
func Latest(tx *kv.Tx) (*Progress, error) {
	row, _, err := readProgress(tx)
	if err != nil || row == nil {
		return nil, err
	}
	return &row.Progress, nil
}

// Start asks for everything to be sealed under this node's primary key; total is
// how much that is. One that is under way for this key stays as it is. A node
// without a keyring is errs.Unavailable.
func (in *Inventory) Start(tx *kv.Tx, total int64) (Progress, error) {
	if in.Keyring == nil {
		return Progress{}, errs.E(errs.Unavailable, "this node has no keyring; start every node with the same --keyring-file")
	}
	row, _, err := readProgress(tx)
	if err != nil {
		return Progress{}, err
	}
	key := in.Keyring.Primary()
	if row != nil && row.Finished == 0 && row.Key == key {
		return row.Progress, nil
	}
	row = &progressRow{Progress: Progress{Key: key, Started: tx.Now(), Total: total}, Pass: 1}
	tx.Set(progressKey(), encode(row), 0)
	return row.Progress, nil
}

// A Rewrapper seals everything anew, batch by batch, while requests go on. Two at
// once are safe, but in each other's way.
type Rewrapper struct {
	DB        *kv.DB
	Inventory *Inventory
	Leads     func() bool // whether this node is the one to do it
	Log       *slog.Logger

	pause time.Duration // between looks for work; 0 = a second
}

// Run does whatever is to be done, until ctx ends.
func (w *Rewrapper) Run(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		more := false
		if w.Leads() {
			var err error
			more, err = w.Step(ctx)
			if err == nil {
				said = ""
			} else if text := err.Error(); text != said && ctx.Err() == nil {
				w.Log.Warn("the re-wrapping of secrets waits", "error", err)
				said = text
			}
		}
		if more {
			continue
		}
		t := time.NewTimer(cmp.Or(w.pause, time.Second))
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

const damagedRecord = "the stored record is damaged"

// batch is what one look has found, in the node's own state.
type batch struct {
	seen []byte      // the progress from which it goes on, as it is stored
	next progressRow // the progress after it
	rows *Rows
	keys [][]byte // of the records that hold something under another key
}

// Step does one batch and reports whether there may be more to do. A node whose
// primary key is not the one that was asked for is errs.Unavailable.
func (w *Rewrapper) Step(ctx context.Context) (more bool, err error) {
	b, err := w.look(ctx)
	if err != nil || b == nil {
		return false, err
	}
	return w.commit(ctx, b)
}

// commit does what look has found, unless another has done it meanwhile.
func (w *Rewrapper) commit(ctx context.Context, b *batch) (more bool, err error) {
	var seed seal.Seed
	_, _ = rand.Read(seed[:]) // documented never to return an error
	var after progressRow
	_, err = w.DB.Update(ctx, func(tx *kv.Tx) error {
		_, stored, err := readProgress(tx)
		if err != nil {
			return err
		}
		if !bytes.Equal(stored, b.seen) { // another goes on there, or it was asked for anew
			after = progressRow{}
			return nil
		}
		p, err := w.reseal(tx, b, seed)
		if err != nil {
			return err
		}
		p.turn(w.Inventory.Rows, tx.Now())
		tx.Set(progressKey(), encode(p), 0)
		after = p
		return nil
	})
	if err == nil && after.Finished != 0 {
		w.Log.Info("all secrets were gone over", "key", after.Key, "sealed_anew", after.Changed, "failed", after.Failed)
	}
	return err == nil && after.Finished == 0, err
}

// look finds what the next batch is. It returns nil if nothing is to be done.
func (w *Rewrapper) look(ctx context.Context) (b *batch, err error) {
	_, err = w.DB.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		p, stored, err := readProgress(tx)
		if err != nil || p == nil || p.Finished != 0 {
			return err
		}
		if own := w.Inventory.Keyring.Primary(); own != p.Key {
			return errs.E(errs.Unavailable, "secrets are to be sealed under the master key %s, but that of this node, which leads, is %q", p.Key, own)
		}
		b = &batch{seen: stored, next: *p}
		return w.find(tx, b)
	})
	return b, err
}

// find fills b with the next records and moves its progress behind them.
func (w *Rewrapper) find(tx *kv.Tx, b *batch) error {
	p := &b.next
	if len(w.Inventory.Rows) == 0 {
		return nil
	}
	i := max(0, slices.IndexFunc(w.Inventory.Rows, func(r Rows) bool { return r.Name == p.Rows }))
	b.rows = &w.Inventory.Rows[i]
	p.Rows = b.rows.Name
	lo, looked, size := b.rows.Lo, 0, 0
	if p.After != nil {
		lo = append(bytes.Clone(p.After), 0)
	}
	for rec, err := range tx.Scan(lo, b.rows.Hi) {
		if err != nil {
			return err
		}
		if looked == batchLook || len(b.keys) == batchRecords || size >= batchBytes {
			return nil
		}
		looked++
		p.After = bytes.Clone(rec.Key)
		old := false
		if _, err := b.rows.Each(rec, func(t Thing) bool {
			old = p.see(t, w.Inventory.Keyring) || old
			return false
		}); err != nil {
			p.fail(Fault{Kind: b.rows.Name, Reason: damagedRecord})
		}
		if old {
			b.keys, size = append(b.keys, p.After), size+len(rec.Value)
		}
	}
	p.Rows, p.After = "", nil // these are done
	if i+1 < len(w.Inventory.Rows) {
		p.Rows = w.Inventory.Rows[i+1].Name
	}
	return nil
}

// see counts a Thing, and reports whether it is to be sealed anew.
func (p *progressRow) see(t Thing, ring *seal.Keyring) bool {
	if p.Pass == 1 {
		p.Done++
	}
	due, why := p.due(t, ring)
	if why != "" {
		p.fail(Fault{t.Kind, t.Which, why})
	}
	return due
}

// due reports whether a Thing is to be sealed anew, or why it should but cannot.
func (p *progressRow) due(t Thing, ring *seal.Keyring) (due bool, why string) {
	id, err := seal.KeyID(*t.Sealed)
	switch {
	case err != nil:
		return false, err.Error()
	case id == p.Key:
		return false, ""
	case !ring.Holds(id):
		return false, "sealed with the master key " + id + ", which the node that leads does not hold"
	}
	return true, ""
}

// reseal seals anew what b's records hold, and returns the progress after that.
func (w *Rewrapper) reseal(tx *kv.Tx, b *batch, seed seal.Seed) (progressRow, error) {
	p := b.next
	p.Faults = slices.Clone(p.Faults)
	for _, key := range b.keys {
		rec, ok, err := tx.Get(key)
		if err != nil {
			return p, err
		}
		if !ok {
			continue
		}
		row, err := b.rows.Each(rec, func(t Thing) bool {
			if due, _ := p.due(t, w.Inventory.Keyring); !due {
				return false
			}
			again, changed, err := w.Inventory.Keyring.Reseal(seed, *t.Sealed, t.Place)
			if err != nil {
				p.fail(Fault{t.Kind, t.Which, err.Error()})
				return false
			}
			if changed {
				*t.Sealed = again
				p.Changed++
			}
			return changed
		})
		if err != nil {
			return p, err // it was fine when it was found
		}
		if row != nil {
			tx.Set(key, row, 0)
		}
	}
	return p, nil
}

// turn ends a pass in which all Rows were done: with another pass if something was
// changed, for what was sealed with an old key behind its back.
func (p *progressRow) turn(all []Rows, now int64) {
	switch {
	case p.Rows != "":
	case p.Changed > p.Before && p.Pass < maxPasses && len(all) > 0:
		p.Pass, p.Before, p.Rows = p.Pass+1, p.Changed, all[0].Name
		p.Failed, p.Faults = 0, nil
	default:
		p.Finished = max(1, now)
	}
}
