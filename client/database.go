package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"
)

// Databases returns a handle on the databases of the KOT API. password is the
// one that the nodes were started with. It does not connect.
func (c *Client) Databases(password string) *Databases {
	return &Databases{c: c, credential: "Basic " + base64.StdEncoding.EncodeToString([]byte(":"+password))}
}

// Databases is a handle on the databases of the KOT API, safe for concurrent
// use. A node without a KOT password answers every call with ErrOff.
type Databases struct {
	c          *Client
	credential string
}

// List returns the names of all databases in order.
func (d *Databases) List(ctx context.Context) ([]string, error) {
	r := d.request("list databases", "/database/list", nil)
	r.method, r.reads = http.MethodGet, true
	a, err := d.do(ctx, r)
	if err != nil {
		return nil, err
	}
	var paths map[string]string
	if err := json.Unmarshal(a.body, &paths); err != nil {
		return nil, fmt.Errorf("%s: the answer of %s is not a list of databases: %w", r.op, a.endpoint, err)
	}
	return slices.Sorted(maps.Keys(paths)), nil
}

// Database returns a handle on one database. It neither connects nor creates;
// any text in UTF-8 is a name, also an empty one.
func (d *Databases) Database(name string) *Database { return &Database{all: d, name: name} }

// Database is a handle on one database, safe for concurrent use. Set, Get,
// Delete and Dump create a database that does not exist.
type Database struct {
	all  *Databases
	name string
}

// Name returns the database's name.
func (d *Database) Name() string { return d.name }

// Get reads key; encryptionKey is "" for a value that is not encrypted. The
// Item's value is a JSON string, or the JSON of a log record. A key that does
// not exist, or holds null, is ErrNotFound.
func (d *Database) Get(ctx context.Context, key, encryptionKey string) (Item, error) {
	r := d.request("get key "+key+" in", "/controller/get", field{"key", key}, optional("encryption_key", encryptionKey))
	r.reads = true
	a, err := d.all.do(ctx, r)
	if err != nil {
		return Item{}, err
	}
	value := json.RawMessage(bytes.TrimSpace(a.body))
	switch {
	case !json.Valid(value):
		return Item{}, fmt.Errorf("%s: the answer of %s is not a value", r.op, a.endpoint)
	case string(value) == "null":
		return Item{}, &Error{Op: r.op, Endpoint: a.endpoint, Status: a.status, Reason: "there is no such key, or it holds null", missing: true}
	}
	return Item{Key: key, Value: value}, nil
}

// SetOptions say how a value is kept.
type SetOptions struct {
	EncryptionKey string // "" = not encrypted; whoever reads it has to give the same
	Compress      bool
}

// Set writes value, which is text in UTF-8, to key.
func (d *Database) Set(ctx context.Context, key, value string, o SetOptions) error {
	compress := ""
	if o.Compress {
		compress = "true"
	}
	_, err := d.all.do(ctx, d.request("set key "+key+" in", "/controller/set", field{"key", key}, field{"value", value},
		optional("encryption_key", o.EncryptionKey), optional("compress", compress)))
	return err
}

// Delete removes key; an absent key is no error.
func (d *Database) Delete(ctx context.Context, key string) error {
	_, err := d.all.do(ctx, d.request("delete key "+key+" in", "/controller/delete", field{"key", key}))
	return err
}

// Pop removes all keys and leaves the database in the list. An unknown one is
// no error.
func (d *Database) Pop(ctx context.Context) error {
	_, err := d.all.do(ctx, d.request("empty", "/database/pop"))
	return err
}

// Rename gives the database another name. As the KOT API has it, nothing
// happens and nothing is said when there is one of that name already, and an
// empty database of the new name appears when there is none of the old.
func (d *Database) Rename(ctx context.Context, to string) error {
	_, err := d.all.do(ctx, d.request("rename", "/database/rename", field{"new_database_name", to}))
	return err
}

// Drop removes the database with everything in it. An unknown one is
// ErrNotFound.
//
// A repeat of a try that took effect unseen is refused like the deletion of an
// unknown database. Which of them a refusal means, the list tells: who wanted
// the database gone has that when it is gone.
func (d *Database) Drop(ctx context.Context) error {
	r := d.request("delete", "/database/delete")
	_, err := d.all.do(ctx, r)
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusInternalServerError {
		return err
	}
	names, listErr := d.all.List(ctx)
	switch {
	case listErr != nil || slices.Contains(names, d.name):
		return err
	case e.Unknown:
		return nil
	}
	return &Error{Op: r.op, Endpoint: e.Endpoint, Status: e.Status, Reason: "there is no such database", missing: true}
}

// Dump returns all entries of one view of the database, in order, without
// holding more than one in memory. Without an encryption key encrypted values
// are left out, with one all but those that it opens. An error ends the
// sequence: what came before it is not the whole.
func (d *Database) Dump(ctx context.Context, encryptionKey string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		r := d.request("read all of", "/controller/get_all", optional("encryption_key", encryptionKey))
		r.reads = true
		if err := r.checkText(); err != nil {
			yield(Item{}, err)
			return
		}
		a, err := d.all.c.open(ctx, &r.request)
		if err != nil {
			yield(Item{}, explain(err))
			return
		}
		defer a.rest.Close()
		for item, err := range Entries(a.rest) {
			if err != nil {
				err = &Error{Op: r.op, Endpoint: a.endpoint, Err: fmt.Errorf("the answer broke off %w", err)}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// field is one of a form; absent ones are not sent.
type field struct{ name, value string }

// optional is a field that an empty value leaves out.
func optional(name, value string) field {
	if value == "" {
		return field{}
	}
	return field{name, value}
}

// formRequest is a request with the fields of its form.
type formRequest struct {
	request
	fields []field
}

func (d *Database) request(verb, path string, fields ...field) *formRequest {
	return d.all.request(verb+" database "+d.name, path, append([]field{{"database_name", d.name}}, fields...))
}

func (d *Databases) request(op, path string, fields []field) *formRequest {
	fields = slices.DeleteFunc(fields, func(f field) bool { return f.name == "" })
	r := &formRequest{fields: fields, request: request{
		op: op, method: http.MethodPost, path: path, header: http.Header{"Authorization": {d.credential}},
	}}
	if d.c.cfg.Consistency == "stale" {
		r.header.Set("Covey-Consistency", "stale")
	}
	if len(fields) > 0 {
		r.encode()
	}
	return r
}

// longForm is the size at which a form is sent in parts: percent-encoding
// could triple a large value and take it over the service's limit.
const longForm = 1 << 20

// encode makes the body of the form's fields.
func (r *formRequest) encode() {
	size := 0
	for _, f := range r.fields {
		size += len(f.value)
	}
	if size < longForm {
		form := url.Values{}
		for _, f := range r.fields {
			form.Set(f.name, f.value)
		}
		r.body = []byte(form.Encode())
		r.header.Set("Content-Type", "application/x-www-form-urlencoded")
		return
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range r.fields {
		_ = w.WriteField(f.name, f.value) // a Buffer takes everything
	}
	_ = w.Close()
	r.body = b.Bytes()
	r.header.Set("Content-Type", w.FormDataContentType())
}

// checkText refuses what would not come back as it was sent.
func (r *formRequest) checkText() error {
	for _, f := range r.fields {
		if !utf8.ValidString(f.value) {
			return &Error{Op: r.op, Status: http.StatusBadRequest, Endpoint: "the client", Reason: f.name + " is not text in UTF-8, and nothing else can be kept"}
		}
	}
	return nil
}

func (d *Databases) do(ctx context.Context, r *formRequest) (*answer, error) {
	if err := r.checkText(); err != nil {
		return nil, err
	}
	a, err := d.c.do(ctx, &r.request)
	return a, explain(err)
}

// explain gives statuses the meaning that they have in this API alone.
func explain(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Status {
	case http.StatusNotFound:
		e.off, e.Reason = true, "the KOT API is off on this node"
	case http.StatusUnauthorized:
		e.Reason = "the KOT password is missing or wrong"
	}
	return err
}
