package vault

import (
	"encoding/binary"
	"encoding/json"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/memo"
)

// Rows are JSON, but for variables. Times are unix seconds, as the wire shows
// them.
//
// A later release may add fields: a row that lacks one reads as before, and a
// field that is not known here is passed over. It is lost, though, when an
// older node writes the row; what must not be lost belongs in a row of its own
// or may only be used when all nodes know it. What a field means never changes.

// userRow is an account.
type userRow struct {
	Username  string `json:"username"`
	Email     string `json:"email"` // lower case
	First     string `json:"first,omitempty"`
	Last      string `json:"last,omitempty"`
	Password  string `json:"password"` // argon2id, in its usual text form
	Joined    int64  `json:"joined"`
	LastLogin int64  `json:"last_login,omitempty"`
	Disabled  bool   `json:"disabled,omitempty"`
	UID       []byte `json:"uid"`             // random; what the token is sealed for
	Token     []byte `json:"token,omitempty"` // sealed; nil after a logout
	TokenHash []byte `json:"token_hash,omitempty"`
}

// organizationRow is an organization with its data keys.
type organizationRow struct {
	Name        string    `json:"name"`
	Description *string   `json:"description,omitempty"`
	Created     int64     `json:"created"`
	Updated     int64     `json:"updated"`
	UID         []byte    `json:"uid"`  // random; values are bound to it
	Keys        []dataKey `json:"keys"` // the last one seals
}

// dataKey seals the values of an organization.
type dataKey struct {
	ID      uint32 `json:"id"`
	Wrapped []byte `json:"wrapped"` // by the cluster's keyring
}

// membershipRow is a user's part in an organization.
type membershipRow struct {
	Role   Role  `json:"role"`
	Joined int64 `json:"joined"`
}

// projectRow is a project.
type projectRow struct {
	Organization uint64  `json:"organization"`
	Name         string  `json:"name"`
	Description  *string `json:"description,omitempty"`
	Created      int64   `json:"created"`
	Updated      int64   `json:"updated"`
	Creator      uint64  `json:"creator"` // user's id
}

// environmentRow is an environment.
type environmentRow struct {
	Project     uint64  `json:"project"`
	Name        string  `json:"name"`
	Type        string  `json:"type"`
	Description *string `json:"description,omitempty"`
	Created     int64   `json:"created"`
	Updated     int64   `json:"updated"`
	Creator     uint64  `json:"creator"`
	UID         []byte  `json:"uid"` // random; values are bound to it
}

// variableRow is a variable with its sealed value. It is stored in a form of
// its own, because a list reads thousands of them.
type variableRow struct {
	ID      uint64
	Created int64
	Updated int64
	Creator uint64
	Value   []byte // sealed; also an empty one is
}

// variableFormat1 begins the stored form of a variable: the id, the times and
// the creator as uvarints, and the sealed value up to the end. A later release
// that adds something takes another first byte.
const variableFormat1 = 1

func (v *variableRow) encode() []byte {
	p := append(make([]byte, 0, 1+4*binary.MaxVarintLen64+len(v.Value)), variableFormat1)
	for _, n := range [...]uint64{v.ID, uint64(v.Created), uint64(v.Updated), v.Creator} {
		p = binary.AppendUvarint(p, n)
	}
	return append(p, v.Value...)
}

// decode reads what encode wrote. The value is a part of p.
func (v *variableRow) decode(p []byte) error {
	if len(p) == 0 || p[0] != variableFormat1 {
		return errs.E(errs.Internal, "the row of a variable is damaged or of a newer format")
	}
	p = p[1:]
	var head [4]uint64
	for i := range head {
		n, size := binary.Uvarint(p)
		if size <= 0 {
			return errs.E(errs.Internal, "the row of a variable is damaged")
		}
		head[i], p = n, p[size:]
	}
	*v = variableRow{ID: head[0], Created: int64(head[1]), Updated: int64(head[2]), Creator: head[3], Value: p}
	return nil
}

// readVariable returns the variable under key, and nil if there is none.
func readVariable(tx *kv.Tx, key []byte) (*variableRow, error) {
	rec, ok, err := tx.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	row := new(variableRow)
	return row, row.decode(rec.Value)
}

// remembered is the rows that most requests read.
type remembered struct {
	users         memo.Rows[userRow]
	organizations memo.Rows[organizationRow]
	memberships   memo.Rows[membershipRow]
	projects      memo.Rows[projectRow]
	environments  memo.Rows[environmentRow]
}

// recall is readRow by way of what is remembered. The row is the caller's to
// change, but what its slices and pointers lead to is not.
func recall[T any](rows *memo.Rows[T], tx *kv.Tx, key []byte) (*T, error) {
	shared, _, err := rows.Get(tx, key, decode)
	if err != nil || shared == nil {
		return nil, err
	}
	row := *shared
	return &row, nil
}

func encode(row any) []byte {
	p, err := json.Marshal(row)
	if err != nil {
		panic(err) // texts, numbers and bytes
	}
	return p
}

func decode[T any](p []byte) (*T, error) {
	row := new(T)
	if err := json.Unmarshal(p, row); err != nil {
		return nil, &errs.Error{Kind: errs.Internal, Msg: "a stored row is damaged", Err: err}
	}
	return row, nil
}
