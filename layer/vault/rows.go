package vault

import (
	"encoding/json"

	"github.com/coveydb/covey/internal/errs"
)

// Rows are JSON. Times are unix seconds, as the wire shows them.

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

// variableRow is a variable with its sealed value.
type variableRow struct {
	ID      uint64 `json:"id"`
	Value   []byte `json:"value"` // sealed; also an empty one is
	Created int64  `json:"created"`
	Updated int64  `json:"updated"`
	Creator uint64 `json:"creator"`
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
