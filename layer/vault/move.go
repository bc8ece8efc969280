package vault

import (
	"bytes"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// What one move seals anew at most: bytes of sealed values, half of what a
// command may have, and versions, the present ones included.
const (
	maxMoved         = 16 << 20
	maxMovedVersions = 60_000
)

// move is a project's way from one organization to another.
type move struct {
	from, to           uint64
	fromRow, targetRow *organizationRow
}

// moveProject moves a project that is stored already between the lists of the
// organizations, and seals its values with the data key of where it goes. One
// that holds too much for one transaction is errs.TooLarge.
func (s *Session) moveProject(id uint64, m move) error {
	if err := s.room(countProjects, m.to, 1); err != nil {
		return err
	}
	s.tx.Delete(byIDs(projectsByte, m.from, id))
	s.tx.Set(byIDs(projectsByte, m.to, id), nil, 0)
	addCount(s.tx, countProjects, m.from, -1)
	addCount(s.tx, countProjects, m.to, 1)
	environments, err := appendIDs(s.tx, nil, environmentsByte, id)
	if err != nil {
		return err
	}
	w := sealingAnew{s: s, m: m}
	left := maxCascade
	for _, e := range environments {
		n, err := readCount(s.tx, countVariables, e)
		if err != nil {
			return err
		}
		if left -= n; left < 0 {
			return errTooMuchToMove()
		}
		if err := w.environment(e); err != nil {
			return err
		}
	}
	if err := s.revokeIn(m.from, id, 0); err != nil {
		return err
	}
	for _, v := range w.sealed {
		s.tx.Set(v.key, v.row, v.ttl)
	}
	return nil
}

// sealingAnew seals the values of environments for another organization, also
// those of past versions.
type sealingAnew struct {
	s      *Session
	m      move
	size   int          // in bytes of what was read
	sealed []sealedAnew // stored at the end: a scan has to sort what was written before it
}

// sealedAnew is a variable, or a past version of one, as it is to be stored.
type sealedAnew struct {
	key, row []byte
	ttl      time.Duration
}

// environment seals what is in an environment. More than a move may have is
// errs.TooLarge.
func (w *sealingAnew) environment(id uint64) error {
	e, err := recall(&w.s.store.rows.environments, w.s.tx, byID(environmentByte, id))
	if err != nil {
		return err
	}
	if e == nil {
		return errs.E(errs.Internal, "environment %d is in a list but not there", id)
	}
	prefix := byID(variableByte, id)
	err = w.scan(prefix, func(rec kv.Record) ([]byte, error) {
		k, _, err := tuple.String(rec.Key[len(prefix):])
		if err != nil {
			return nil, damaged(err)
		}
		var row variableRow
		if err := row.decode(rec.Value); err != nil {
			return nil, err
		}
		plain, err := w.s.openValue(w.m.fromRow, e, k, row.Value)
		if err != nil {
			return nil, err
		}
		row.Value, err = w.seal(e, k, plain)
		return row.encode(), err
	})
	if err != nil {
		return err
	}
	return w.scan(byID(pastByte, id), func(rec kv.Record) ([]byte, error) {
		p, err := decodePast(rec.Value)
		if err != nil {
			return nil, err
		}
		if p.row.Change == changeDeleted {
			return p.encode(), nil
		}
		plain, err := w.s.openValue(w.m.fromRow, e, p.key, p.row.Value)
		if errs.Is(err, errs.Internal) { // damaged long ago, it must not hold up the rest
			return p.encode(), nil
		}
		if err != nil {
			return nil, err
		}
		p.row.Value, err = w.seal(e, p.key, plain)
		return p.encode(), err
	})
}

// scan seals what has a prefix; anew returns what to store of a record.
func (w *sealingAnew) scan(prefix []byte, anew func(kv.Record) ([]byte, error)) error {
	lo, hi := tuple.Span(prefix)
	for rec, err := range w.s.tx.Scan(lo, hi) {
		if err != nil {
			return err
		}
		w.size += len(rec.Value)
		if w.size > maxMoved || len(w.sealed) == maxMovedVersions {
			return errTooMuchToMove()
		}
		row, err := anew(rec)
		if err != nil {
			return err
		}
		w.sealed = append(w.sealed, sealedAnew{bytes.Clone(rec.Key), row, ttlOf(w.s.tx, rec)})
	}
	return nil
}

// seal seals a value for where it goes, and forgets it.
func (w *sealingAnew) seal(e *environmentRow, k string, plain []byte) ([]byte, error) {
	defer clear(plain)
	return w.s.sealValue(w.m.targetRow, e, k, plain)
}

// ttlOf is for how long a record is still kept, 0 for ever.
func ttlOf(tx *kv.Tx, rec kv.Record) time.Duration {
	if rec.Expiry == 0 {
		return 0
	}
	return time.Duration(max(rec.Expiry-tx.Now(), 1)) * time.Millisecond
}

func errTooMuchToMove() error {
	return errs.E(errs.TooLarge, "the project holds more than %d variables, %d versions of them or %d MiB of values, which is too much to move at once", maxCascade, maxMovedVersions, maxMoved>>20)
}
