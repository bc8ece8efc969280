package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// RestDB returns a handle on the databases of documents for their operator: all
// its calls need the root key. It does not connect.
func (c *Client) RestDB() *RestDB { return &RestDB{operatorAPI{c, restBase}} }

// RestDB is the operator's handle on the databases of the RestDB API, safe for
// concurrent use. Documents are for the API's own clients; what this handle
// does with them is to take them in and out in bulk.
type RestDB struct{ operatorAPI }

// restBase is where the operator's calls are served.
const restBase = "/cluster/restdb"

// RestDatabaseInfo is one database in the operator's list.
type RestDatabaseInfo struct {
	Name     string     `json:"name"`
	Created  *time.Time `json:"created,omitempty"`  // absent for a default database that nobody has set up
	Dropping bool       `json:"dropping,omitempty"` // DropDatabase was begun and has to be called again
}

// Databases returns all databases in the order of their names.
func (r *RestDB) Databases(ctx context.Context) ([]RestDatabaseInfo, error) {
	var all []RestDatabaseInfo
	err := r.pages(ctx, operatorCall{op: "list databases", path: "/databases"}, func(a *answer) (string, error) {
		var page struct {
			Databases []RestDatabaseInfo `json:"databases"`
			Next      string             `json:"next"`
		}
		err := json.Unmarshal(a.body, &page)
		all = append(all, page.Databases...)
		return page.Next, err
	})
	return all, err
}

// CreateDatabase makes a database; one that is there is ErrConflict.
func (r *RestDB) CreateDatabase(ctx context.Context, name string) error {
	return r.change(ctx, operatorCall{op: "create database " + name, method: http.MethodPost, path: "/databases"}, map[string]string{"name": name}, nil)
}

// DropDatabase deletes a database with its keys, settings and documents.
func (r *RestDB) DropDatabase(ctx context.Context, name string) error {
	return r.change(ctx, operatorCall{op: "drop database " + name, method: http.MethodDelete, path: escapedPath("databases", name)}, nil, nil)
}

// Database returns a handle on one database. It neither connects nor creates.
func (r *RestDB) Database(name string) *RestDatabase {
	return &RestDatabase{r: r, name: name, path: escapedPath("databases", name)}
}

// RestDatabase is the operator's handle on one database, safe for concurrent
// use. A database that does not exist is ErrNotFound.
type RestDatabase struct {
	r    *RestDB
	name string
	path string
}

// Name returns the database's name.
func (d *RestDatabase) Name() string { return d.name }

// AccessScope says what a key may do. The zero value is a full-access key.
type AccessScope struct {
	Web      bool     `json:"web,omitempty"`      // may stand in a page: only what follows, and only from Origins
	Paths    []string `json:"paths,omitempty"`    // globs of what follows /rest/
	Methods  []string `json:"methods,omitempty"`  // GET POST PUT PATCH DELETE
	Origins  []string `json:"origins,omitempty"`  // of pages; a full-access key needs none
	Realtime []string `json:"realtime,omitempty"` // METHOD:collection
	Channels []string `json:"channels,omitempty"`
	ReadOnly bool     `json:"read_only,omitempty"`
	Note     string   `json:"note,omitempty"` // for people
}

// AccessKey is one key in the operator's list. Its text is not kept.
type AccessKey struct {
	ID string `json:"id"`
	AccessScope
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"` // absent = never
}

// NewAccessKey is a key that was just made, with its text, which cannot be read
// again.
type NewAccessKey struct {
	AccessKey
	Key string `json:"key"`
}

// Keys returns the database's keys, oldest first.
func (d *RestDatabase) Keys(ctx context.Context) ([]AccessKey, error) {
	var doc struct {
		Keys []AccessKey `json:"keys"`
	}
	err := d.r.read(ctx, operatorCall{op: "list the keys of database " + d.name, path: d.path + "/keys"}, &doc)
	return doc.Keys, err
}

// CreateKey makes a key that is good for lifetime; 0 = for ever.
func (d *RestDatabase) CreateKey(ctx context.Context, s AccessScope, lifetime time.Duration) (made NewAccessKey, err error) {
	body := struct {
		AccessScope
		ExpiresIn int64 `json:"expires_in,omitempty"` // seconds
	}{s, wholeSeconds(lifetime)}
	err = d.r.change(ctx, operatorCall{op: "create a key of database " + d.name, method: http.MethodPost, path: d.path + "/keys"}, body, &made)
	return made, err
}

// RotateKey makes a key with the rights of the one that has this id, which
// stays good for keep.
func (d *RestDatabase) RotateKey(ctx context.Context, id string, keep time.Duration) (made NewAccessKey, err error) {
	call := operatorCall{op: "rotate key " + id + " of database " + d.name, method: http.MethodPost, path: d.path + escapedPath("keys", id, "rotation")}
	err = d.r.change(ctx, call, map[string]int64{"keep": wholeSeconds(keep)}, &made)
	return made, err
}

// RevokeKey makes the key of that id useless, at once and on all nodes.
func (d *RestDatabase) RevokeKey(ctx context.Context, id string) error {
	return d.r.change(ctx, operatorCall{op: "revoke key " + id + " of database " + d.name, method: http.MethodDelete, path: d.path + escapedPath("keys", id)}, nil, nil)
}

// RestSetting is one setting. The value of a secret is never told.
type RestSetting struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Secret bool   `json:"secret,omitempty"`
	Set    bool   `json:"set"`
}

// Settings returns all settings in the order of their names, those of the whole
// cluster too.
func (d *RestDatabase) Settings(ctx context.Context) ([]RestSetting, error) {
	var doc struct {
		Settings []RestSetting `json:"settings"`
	}
	err := d.r.read(ctx, operatorCall{op: "list the settings of database " + d.name, path: d.path + "/settings"}, &doc)
	return doc.Settings, err
}

// SetSetting sets a setting, or with an empty value takes it away.
func (d *RestDatabase) SetSetting(ctx context.Context, name, value string) error {
	call := operatorCall{op: "set " + name + " of database " + d.name, method: http.MethodPut, path: d.path + escapedPath("settings", name)}
	return d.r.change(ctx, call, map[string]string{"value": value}, nil)
}
