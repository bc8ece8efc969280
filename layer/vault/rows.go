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
	UID         []byte  `json:"uid"`                // random; values are bound to it
	Versions    uint64  `json:"versions,omitempty"` // of each variable that are kept; 0: DefaultVersions, as ever
}

// variableRow is a variable with its sealed value. It is stored in a form of
// its own, because a list reads thousands of them.
type variableRow struct {
	ID      uint64
	Created int64
	Updated int64 // when this version was made
	Creator uint64
	Version uint64 // from 1; 0 is a variable that is not stored yet
	Author  uint64 // of this version; 0 = it was made before versions were kept, nobody knows by whom
	Change  change // what made this version
	Value   []byte // sealed; also an empty one is. Nil where Change is deleted
}

// The stored forms of a variable: the first byte, numbers as uvarints, and the
// sealed value up to the end. A later release that adds something takes another
// first byte. The first form has the id, the times and the creator. The second
// one adds the version, its author and the change.
const (
	variableFormat1 = 1
	variableFormat2 = 2
)

func (v *variableRow) encode() []byte {
	p := append(make([]byte, 0, 1+7*binary.MaxVarintLen64+len(v.Value)), variableFormat2)
	for _, n := range [...]uint64{
		v.ID, uint64(v.Created), uint64(v.Updated), v.Creator, v.Version, v.Author, uint64(v.Change),
	} {
		p = binary.AppendUvarint(p, n)
	}
	return append(p, v.Value...)
}

// decode reads what encode wrote, also what encode wrote before versions were
// kept: that is version 1, and who has changed it since it was created is not
// known. The value is a part of p.
func (v *variableRow) decode(p []byte) error {
	var numbers [7]uint64
	known := len(numbers)
	switch {
	case len(p) > 0 && p[0] == variableFormat1:
		known = 4
	case len(p) == 0 || p[0] != variableFormat2:
		return errs.E(errs.Internal, "the row of a variable is damaged or of a newer format")
	}
	format, p := p[0], p[1:]
	for i := range known {
		n, size := binary.Uvarint(p)
		if size <= 0 {
			return errs.E(errs.Internal, "the row of a variable is damaged")
		}
		numbers[i], p = n, p[size:]
	}
	*v = variableRow{
		ID: numbers[0], Created: int64(numbers[1]), Updated: int64(numbers[2]), Creator: numbers[3], Version: numbers[4],
		Author: numbers[5], Change: change(numbers[6]), Value: p,
	}
	if format == variableFormat1 {
		v.Version, v.Change = 1, changeUpdated
		if v.Created == v.Updated {
			v.Author, v.Change = v.Creator, changeCreated
		}
	}
	if v.Version == 0 {
		return errs.E(errs.Internal, "the row of a variable is damaged")
	}
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
	serviceTokens memo.Rows[serviceTokenRow]
	hooks         memo.Rows[hookRow]
	hookLists     memo.Rows[hookList]
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
