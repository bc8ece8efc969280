package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// KeyNest returns a handle on the KeyNest API for the cluster's operator: all
// its calls need the root key. It does not connect.
func (c *Client) KeyNest() *KeyNest { return &KeyNest{operatorAPI{c, "/cluster/keynest"}} }

// KeyNest is the operator's handle on the users and the audit log of the KeyNest
// API, safe for concurrent use. Users are named by e-mail address; one without an
// account is ErrNotFound.
type KeyNest struct{ operatorAPI }

// User is an account of the KeyNest API.
type User struct {
	ID            uint64         `json:"id"`
	Email         string         `json:"email"`
	Username      string         `json:"username"`
	FirstName     string         `json:"first_name"`
	LastName      string         `json:"last_name"`
	Active        bool           `json:"active"`
	Joined        time.Time      `json:"joined"`
	LastLogin     *time.Time     `json:"last_login,omitempty"` // nil = never
	Organizations []Organization `json:"organizations"`        // in the order of their ids
}

// Organization is an organization that a user is a member of.
type Organization struct {
	ID     uint64    `json:"id"`
	Name   string    `json:"name"`
	Role   string    `json:"role"` // admin, editor or viewer
	Joined time.Time `json:"joined"`
}

// NewUser is what an account is made of. The names may be empty.
type NewUser struct {
	Email     string `json:"email"`
	Username  string `json:"username"`
	Password  string `json:"password"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
}

// CreateUser makes an account with a personal organization, also where
// registration is closed. An address or a username that is taken is ErrConflict.
func (k *KeyNest) CreateUser(ctx context.Context, u NewUser) (made User, err error) {
	err = k.change(ctx, operatorCall{op: "create user " + u.Email, method: http.MethodPost, path: "/users"}, u, &made)
	return made, err
}

// User returns an account.
func (k *KeyNest) User(ctx context.Context, email string) (u User, err error) {
	err = k.read(ctx, operatorCall{op: "look up user " + email, path: escapedPath("users", email)}, &u)
	return u, err
}

// DisableUser closes an account: its token is revoked, and nobody can log in.
func (k *KeyNest) DisableUser(ctx context.Context, email string) error {
	return k.change(ctx, operatorCall{op: "disable user " + email, method: http.MethodPost, path: escapedPath("users", email, "disable")}, nil, nil)
}

// EnableUser opens an account that was disabled.
func (k *KeyNest) EnableUser(ctx context.Context, email string) error {
	return k.change(ctx, operatorCall{op: "enable user " + email, method: http.MethodPost, path: escapedPath("users", email, "enable")}, nil, nil)
}

// ResetPassword gives a user another password, and revokes the token.
func (k *KeyNest) ResetPassword(ctx context.Context, email, password string) error {
	call := operatorCall{op: "reset the password of user " + email, method: http.MethodPut, path: escapedPath("users", email, "password")}
	return k.change(ctx, call, map[string]string{"password": password}, nil)
}

// AuditScope says of whom the audit log is. The zero value is all: each
// organization and each account has a chain of entries.
type AuditScope struct {
	Organization uint64 // the id, also of one that was deleted
	Account      string // an e-mail address
}

func (s AuditScope) query() url.Values {
	q := url.Values{}
	if s.Organization != 0 {
		q.Set("organization", strconv.FormatUint(s.Organization, 10))
	}
	if s.Account != "" {
		q.Set("account", s.Account)
	}
	return q
}

// AuditHead names the last entry of a chain of the audit log: o and the
// organization's id, or u and the user's.
type AuditHead struct {
	Chain  string `json:"chain"`
	Number uint64 `json:"number"` // how many entries there are
	Hash   string `json:"hash"`
}

// ExportAudit returns the audit log in a format, jsonl or csv, to be read while
// it arrives and to be closed. It is of one state. An export that breaks off ends
// in an error, not in io.EOF.
func (k *KeyNest) ExportAudit(ctx context.Context, s AuditScope, format string) (io.ReadCloser, error) {
	q := s.query()
	q.Set("format", format)
	return k.stream(ctx, operatorCall{op: "export the audit log", path: "/audit/export", query: q})
}

// AuditHeads returns the heads of the chains that s names, those of all
// organizations before those of all accounts, each in the order of their ids. They
// are of one state. An error ends the sequence.
func (k *KeyNest) AuditHeads(ctx context.Context, s AuditScope) iter.Seq2[AuditHead, error] {
	return func(yield func(AuditHead, error) bool) {
		call := operatorCall{op: "read the heads of the audit log", path: "/audit/heads", query: s.query()}
		body, err := k.stream(ctx, call)
		if err != nil {
			yield(AuditHead{}, err)
			return
		}
		defer body.Close()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxHeads)
		for lines.Scan() {
			var line struct {
				Heads []AuditHead `json:"audit_heads"`
			}
			err := json.Unmarshal(lines.Bytes(), &line)
			if broken := lines.Err(); broken != nil {
				err = broken // and this is half a line
			}
			if err != nil {
				yield(AuditHead{}, fmt.Errorf("%s: the answer is not what was asked for: %w", call.op, err))
				return
			}
			for _, h := range line.Heads {
				if !yield(h, nil) {
					return
				}
			}
		}
		if err := lines.Err(); err != nil {
			yield(AuditHead{}, fmt.Errorf("%s: %w", call.op, err))
		}
	}
}

// maxHeads bounds a line of heads in bytes.
const maxHeads = 1 << 20
