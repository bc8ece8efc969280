package vault

import (
	"bytes"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
)

// maxMoved bounds the sealed values that one move seals anew, in bytes: half of
// what a command may have.
const maxMoved = 16 << 20

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
	left, size := maxCascade, 0
	var sealed []sealedAnew // stored at the end: a scan has to sort what was written before it
	for _, e := range environments {
		n, err := readCount(s.tx, countVariables, e)
		if err != nil {
			return err
		}
		if left -= n; left < 0 {
			return errTooMuchToMove()
		}
		more, n, err := s.sealAnew(e, m, maxMoved-size)
		if err != nil {
			return err
		}
		sealed, size = append(sealed, more...), size+n
	}
	for _, v := range sealed {
		s.tx.Set(v.key, v.row, 0)
	}
	return nil
}

// sealedAnew is a variable as it is to be stored.
type sealedAnew struct{ key, row []byte }

// sealAnew seals the values of an environment for another organization and
// returns how many bytes that is; more than limit are errs.TooLarge.
func (s *Session) sealAnew(environment uint64, m move, limit int) (anew []sealedAnew, size int, err error) {
	e, err := recall(&s.store.rows.environments, s.tx, byID(environmentByte, environment))
	if err != nil {
		return nil, 0, err
	}
	if e == nil {
		return nil, 0, errs.E(errs.Internal, "environment %d is in a list but not there", environment)
	}
	prefix := byID(variableByte, environment)
	lo, hi := tuple.Span(prefix)
	for rec, err := range s.tx.Scan(lo, hi) {
		if err != nil {
			return nil, 0, err
		}
		if size += len(rec.Value); size > limit {
			return nil, 0, errTooMuchToMove()
		}
		k, _, err := tuple.String(rec.Key[len(prefix):])
		if err != nil {
			return nil, 0, damaged(err)
		}
		var row variableRow
		if err := row.decode(rec.Value); err != nil {
			return nil, 0, err
		}
		plain, err := s.openValue(m.fromRow, e, k, row.Value)
		if err != nil {
			return nil, 0, err
		}
		row.Value, err = s.sealValue(m.targetRow, e, k, plain)
		clear(plain)
		if err != nil {
			return nil, 0, err
		}
		anew = append(anew, sealedAnew{bytes.Clone(rec.Key), row.encode()})
	}
	return anew, size, nil
}

func errTooMuchToMove() error {
	return errs.E(errs.TooLarge, "the project holds more than %d variables or %d MiB of values, which is too much to move at once", maxCascade, maxMoved>>20)
}
