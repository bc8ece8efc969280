package vault

import (
	"context"
	"log/slog"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

const (
	rewrapBatch = 64 // rows in one commit
	rewrapPause = time.Second
)

// Rewrap is how far the latest re-wrapping of data keys and tokens has come.
// Values stay as they are: their data keys are sealed anew.
type Rewrap struct {
	Primary  string `json:"primary"` // the master key that seals from now on
	Started  int64  `json:"started"` // unix seconds
	Finished int64  `json:"finished,omitempty"`
	Seen     int64  `json:"seen"`           // rows gone over
	Changed  int64  `json:"changed"`        // secrets sealed anew
	Kind     string `json:"kind,omitempty"` // of the rows that come next
	After    uint64 `json:"after"`          // the last row done, of that kind
}

// Kinds of rows, in the order in which they are done.
const (
	rewrapOrganizations = "organizations"
	rewrapUsers         = "users"
)

func rewrapKey() []byte { return key(rewrapByte, 0) }

// StartRewrap asks for everything to be sealed under this node's primary key,
// from the beginning. A node without a keyring is errs.Unavailable.
func (s *Store) StartRewrap(tx *kv.Tx) (Rewrap, error) {
	if err := s.needKeyring(); err != nil {
		return Rewrap{}, err
	}
	r := Rewrap{Primary: s.cfg.Keyring.Primary(), Started: tx.Now() / 1000, Kind: rewrapOrganizations}
	tx.Set(rewrapKey(), encode(r), 0)
	return r, nil
}

// Rewrapping returns the progress of the latest re-wrapping, and nil if there
// was none.
func (s *Store) Rewrapping(tx *kv.Tx) (*Rewrap, error) { return readRow[Rewrap](tx, rewrapKey()) }

// A Rewrapper seals anew, batch by batch, while requests go on. What has been
// done is in the store, so another node's Rewrapper goes on where one has
// stopped. Two at once are safe, but in each other's way.
type Rewrapper struct {
	DB    *kv.DB
	Store *Store
	Leads func() bool // whether this node is the one to do it
	Log   *slog.Logger
}

// Run does whatever is to be done, until ctx ends.
func (w *Rewrapper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		more := false
		if w.Leads() {
			var err error
			if more, err = w.Step(ctx); err != nil && ctx.Err() == nil {
				w.Log.Warn("the re-wrapping of keys waits", "error", err)
				more = false
			}
		}
		if more {
			continue
		}
		t := time.NewTimer(rewrapPause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// Step does one batch and reports whether there is more to do. A node whose
// primary key is not the one that was asked for is errs.Unavailable.
func (w *Rewrapper) Step(ctx context.Context) (more bool, err error) {
	idle := false
	if _, err := w.DB.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		r, err := w.Store.Rewrapping(tx)
		idle = r == nil || r.Finished != 0
		return err
	}); err != nil || idle {
		return false, err
	}
	draw := NewDraw()
	_, err = w.DB.Update(ctx, func(tx *kv.Tx) error {
		more = false
		r, err := w.Store.Rewrapping(tx)
		if err != nil || r == nil || r.Finished != 0 {
			return err
		}
		if p := w.Store.cfg.Keyring.Primary(); p != r.Primary {
			return errs.E(errs.Unavailable, "keys are to be sealed under the master key %s, but that of this node is %q", r.Primary, p)
		}
		if err := w.Store.rewrapBatch(tx, r, draw.seed); err != nil {
			return err
		}
		more = r.Finished == 0
		tx.Set(rewrapKey(), encode(r), 0)
		return nil
	})
	return more, err
}

// rewrapBatch does the next rows and moves r on.
func (s *Store) rewrapBatch(tx *kv.Tx, r *Rewrap, seed seal.Seed) error {
	kind, again := byte(organizationByte), s.rewrapOrganization
	if r.Kind == rewrapUsers {
		kind, again = userByte, s.rewrapUser
	}
	prefix := key(kind, 0)
	_, hi := tuple.Span(prefix)
	n := 0
	for rec, err := range tx.Scan(byID(kind, r.After+1), hi) {
		if err != nil {
			return err
		}
		if n++; n > rewrapBatch {
			return nil
		}
		id, _, err := tuple.Uint(rec.Key[len(prefix):])
		if err != nil {
			return damaged(err)
		}
		row, changed, err := again(rec.Value, seed)
		if err != nil {
			return err
		}
		if changed > 0 {
			tx.Set(byID(kind, id), row, 0)
		}
		r.After, r.Seen, r.Changed = id, r.Seen+1, r.Changed+int64(changed)
	}
	if r.After = 0; r.Kind == rewrapUsers {
		r.Kind, r.Finished = "", max(1, tx.Now()/1000)
	} else {
		r.Kind = rewrapUsers
	}
	return nil
}

// rewrapOrganization seals the data keys of an organization anew, and returns
// its row and how many of them were under another key.
func (s *Store) rewrapOrganization(stored []byte, seed seal.Seed) ([]byte, int, error) {
	row, err := decode[organizationRow](stored)
	if err != nil {
		return nil, 0, err
	}
	n := 0
	for i := range row.Keys {
		k := &row.Keys[i]
		changed, err := s.reseal(seed, &k.Wrapped, dataKeyPlace(row.UID, k.ID))
		if err != nil {
			return nil, 0, err
		}
		if changed {
			n++
		}
	}
	return encode(row), n, nil
}

// rewrapUser does the same with the token of a user.
func (s *Store) rewrapUser(stored []byte, seed seal.Seed) ([]byte, int, error) {
	row, err := decode[userRow](stored)
	if err != nil || row.Token == nil {
		return stored, 0, err
	}
	changed, err := s.reseal(seed, &row.Token, tokenPlace(row.UID))
	if err != nil || !changed {
		return stored, 0, err
	}
	return encode(row), 1, nil
}

// reseal seals what the keyring has sealed under its primary key. A key that
// this node lacks is errs.Unavailable.
func (s *Store) reseal(seed seal.Seed, sealed *[]byte, place []byte) (changed bool, err error) {
	if err := s.holds(*sealed); err != nil {
		return false, err
	}
	again, changed, err := s.cfg.Keyring.Reseal(seed, *sealed, place)
	if changed {
		*sealed = again
	}
	return changed, err
}
