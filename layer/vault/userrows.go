package vault

import (
	"strconv"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Ids of rows are stored in decimal, as they are shown.
func encodeID(id uint64) []byte { return strconv.AppendUint(nil, id, 10) }

func decodeID(p []byte) (uint64, error) {
	id, err := strconv.ParseUint(string(p), 10, 64)
	if err != nil || id == 0 {
		return 0, errs.E(errs.Internal, "a stored id is damaged")
	}
	return id, nil
}

// userByID returns the row of a user, which is the caller's, nil if there is
// none.
func (s *Store) userByID(tx *kv.Tx, id uint64) (*userRow, error) {
	return recall(&s.rows.users, tx, byID(userByte, id))
}

// userByEmail returns the user who has an e-mail address, in lower case; 0 and nil if
// there is none.
func (s *Store) userByEmail(tx *kv.Tx, email string) (uint64, *userRow, error) {
	rec, ok, err := tx.Get(byText(emailByte, email))
	if err != nil || !ok {
		return 0, nil, err
	}
	id, err := decodeID(rec.Value)
	if err != nil {
		return 0, nil, err
	}
	row, err := s.userByID(tx, id)
	return id, row, err
}
