package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"
)

// What stands in the place of a value that is not shown.
const (
	NestHidden     = "[HIDDEN]"           // the role does not allow it
	NestNoAccess   = "[NO_ACCESS]"        // the same
	NestBroken     = "[DECRYPTION_ERROR]" // it does not open
	NestUnresolved = "[UNRESOLVED]"       // it refers to what cannot be resolved
)

// NestVariable is a key with its value.
type NestVariable struct {
	ID              uint64    `json:"id"`
	Key             string    `json:"key"`
	Value           string    `json:"decrypted_value"` // or one of the texts above
	Environment     uint64    `json:"environment"`
	EnvironmentName string    `json:"environment_name"`
	Created         time.Time `json:"created_at"`
	Updated         time.Time `json:"updated_at"`
	CreatedBy       string    `json:"created_by_name"`
	Version         uint64    `json:"version"`

	Unresolved string `json:"unresolved,omitempty"` // why Value is NestUnresolved
}

// NestVariableQuery says how the variables of an environment are wanted.
type NestVariableQuery struct {
	Resolve bool   // with what ${KEY} and ${environment.KEY} stand for
	At      string // as of a time, RFC 3339, or of the end of a day; "" = now
}

func (q NestVariableQuery) values() map[string][]string {
	return filters("resolve", q.Resolve, "at", q.At)
}

// Variables returns all variables of an environment, of one moment. unknown are
// keys of which it is not known any more what they were at query.At.
func (n *Nest) Variables(ctx context.Context, environment uint64, q NestVariableQuery) (all []NestVariable, unknown []string, err error) {
	var doc struct {
		Results []NestVariable `json:"results"`
		Unknown []string       `json:"unknown"`
	}
	err = n.do(ctx, nestCall{
		op: fmt.Sprintf("list the variables of environment %d", environment), path: nestPath("environments", environment, "variables"), query: q.values(),
	}, &doc)
	return doc.Results, doc.Unknown, err
}

// FindVariables returns the variables that the token's holder sees: of one
// environment, or of all with 0; key is part of the key, whatever the case, or "".
func (n *Nest) FindVariables(ctx context.Context, environment uint64, key string) iter.Seq2[NestVariable, error] {
	return nestPages[NestVariable](ctx, n, nestCall{
		op: "list variables", path: "/variables/", query: filters("environment", environment, "key", key),
	})
}

// Variable returns one.
func (n *Nest) Variable(ctx context.Context, id uint64, resolve bool) (v NestVariable, err error) {
	call := nestCall{op: fmt.Sprintf("read variable %d", id), path: nestPath("variables", id), query: filters("resolve", resolve)}
	err = n.do(ctx, call, &v)
	return v, err
}

// CreateVariable makes one; a key that is there is ErrConflict.
func (n *Nest) CreateVariable(ctx context.Context, environment uint64, key, value string) (v NestVariable, err error) {
	body := map[string]any{"environment": environment, "key": key, "value": value}
	err = n.do(ctx, nestCall{op: "create variable " + key, method: http.MethodPost, path: "/variables/", body: body}, &v)
	return v, err
}

// NestVariableChange is what to change of a variable; nil leaves it as it is.
type NestVariableChange struct {
	Key   *string `json:"key,omitempty"`
	Value *string `json:"value,omitempty"`

	Version uint64 `json:"version,omitempty"` // only if this is the current one, else ErrConflict; 0 = whichever it is
}

// UpdateVariable changes one.
func (n *Nest) UpdateVariable(ctx context.Context, id uint64, c NestVariableChange) (v NestVariable, err error) {
	err = n.do(ctx, nestCall{op: fmt.Sprintf("change variable %d", id), method: http.MethodPatch, path: nestPath("variables", id), body: c}, &v)
	return v, err
}

// DeleteVariable deletes one. Its versions are kept for a while.
func (n *Nest) DeleteVariable(ctx context.Context, id uint64) error {
	return n.do(ctx, nestCall{op: fmt.Sprintf("delete variable %d", id), method: http.MethodDelete, path: nestPath("variables", id)}, nil)
}

// NestVersion is what a variable was for a while.
type NestVersion struct {
	Variable    uint64    `json:"id"`
	Version     uint64    `json:"version"`
	Key         string    `json:"key"`
	Value       *string   `json:"decrypted_value"` // nil = it was deleted
	Created     time.Time `json:"created_at"`
	CreatedByID *uint64   `json:"created_by"` // nil = no user, or not known
	CreatedBy   string    `json:"created_by_name"`
	Change      string    `json:"change"` // created, updated, renamed, deleted, imported, rolled_back, copied or promoted
	Current     bool      `json:"is_current"`
}

// Versions returns the versions of a variable that are kept, the newest first.
func (n *Nest) Versions(ctx context.Context, variable uint64) iter.Seq2[NestVersion, error] {
	return nestPages[NestVersion](ctx, n, nestCall{
		op: fmt.Sprintf("list the versions of variable %d", variable), path: nestPath("variables", variable, "versions"),
	})
}

// Version returns one version of a variable.
func (n *Nest) Version(ctx context.Context, variable, version uint64) (v NestVersion, err error) {
	call := nestCall{
		op:   fmt.Sprintf("read version %d of variable %d", version, variable),
		path: nestPath("variables", variable, "versions", strconv.FormatUint(version, 10)),
	}
	err = n.do(ctx, call, &v)
	return v, err
}

// RollBack gives a variable the value of an old version, as a new one.
func (n *Nest) RollBack(ctx context.Context, variable, version uint64) (v NestVariable, err error) {
	call := nestCall{
		op: fmt.Sprintf("roll back variable %d", variable), method: http.MethodPost,
		path: nestPath("variables", variable, "rollback"), body: map[string]uint64{"version": version},
	}
	err = n.do(ctx, call, &v)
	return v, err
}
