package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Forever as a TTL means that the key never expires; 0 means the bucket's
// default.
const Forever = time.Duration(-1)

// Settings of a new bucket. An empty key is a key that is not set.
type Settings struct {
	ID         string         // a chosen id; needs the root key. "" = the cluster draws one
	SecretKey  string         // owns the bucket; cannot be added later
	WriteKey   string         // needed to write
	ReadKey    string         // needed to read
	SigningKey string         // enables access tokens
	DefaultTTL *time.Duration // nil = the service's default (a week); 0 or Forever = never expire
}

// CreateBucket creates a bucket and returns its id.
func (c *Client) CreateBucket(ctx context.Context, s Settings) (string, error) {
	form := url.Values{}
	for name, value := range map[string]string{
		"id": s.ID, "secret_key": s.SecretKey, "write_key": s.WriteKey,
		"read_key": s.ReadKey, "signing_key": s.SigningKey,
	} {
		if value != "" {
			form.Set(name, value)
		}
	}
	if s.DefaultTTL != nil {
		form.Set("default_ttl", seconds(max(*s.DefaultTTL, 0)))
	}
	r := &request{
		op: "create a bucket", method: http.MethodPost, path: "/",
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		body:   []byte(form.Encode()), key: c.cfg.RootKey,
	}
	if s.ID != "" {
		r.op = "create bucket " + s.ID
	}
	c.write(r, "")
	a, err := c.do(ctx, r)
	if err != nil {
		return "", err
	}
	return string(a.body), nil
}

// Bucket returns a handle on bucket id. key is the bucket's credential: one of
// its keys, an access token, or "" for none. It does not connect.
func (c *Client) Bucket(id, key string) *Bucket { return &Bucket{c: c, id: id, key: key} }

// Bucket is a handle on one bucket, safe for concurrent use.
type Bucket struct {
	c       *Client
	id, key string
}

// ID returns the bucket's id.
func (b *Bucket) ID() string { return b.id }

// Value is what a key holds.
type Value struct {
	Data      []byte
	ETag      string        // for Write.IfMatch; quoted as it came
	Version   uint64        // version of the store that was read
	Staleness time.Duration // how old the view may be; negative when the node did not say
}

// Write says how a key is written. The zero value uses the bucket's default TTL
// and no condition.
type Write struct {
	TTL            time.Duration // 0 = the bucket's default, Forever = never; whole seconds, rounded up
	IfMatch        string        // write only if the key has this ETag, or exists ("*")
	IfNoneMatch    string        // write only if the key has not this ETag, or is absent ("*")
	IdempotencyKey string        // "" = drawn for this call
}

// Get reads key.
func (b *Bucket) Get(ctx context.Context, key string) (Value, error) {
	r := b.request(http.MethodGet, "get", key)
	r.query = b.c.readQuery()
	a, err := b.do(ctx, r, key)
	if err != nil {
		return Value{}, err
	}
	v := Value{Data: a.body, ETag: a.header.Get("ETag"), Version: a.version(), Staleness: -1}
	if ms, err := strconv.ParseInt(a.header.Get("Covey-Staleness-Ms"), 10, 64); err == nil && ms >= 0 {
		v.Staleness = time.Duration(ms) * time.Millisecond
	}
	return v, nil
}

// Set writes value to key and returns the version of the store that has it.
func (b *Bucket) Set(ctx context.Context, key string, value []byte, w Write) (uint64, error) {
	r := b.request(http.MethodPut, "set", key)
	r.body = value
	a, err := b.do(ctx, b.c.prepare(r, w), key)
	if err != nil {
		return 0, err
	}
	return a.version(), nil
}

// Incr adds delta ("+1", "-2.5", "3") to the number at key, a missing key
// counting as 0, and returns the new value as text.
func (b *Bucket) Incr(ctx context.Context, key, delta string, w Write) (string, error) {
	r := b.request(http.MethodPatch, "increment", key)
	r.body = []byte(delta)
	a, err := b.do(ctx, b.c.prepare(r, w), key)
	if err != nil {
		return "", err
	}
	return string(a.body), nil
}

// Delete removes key; an absent key is no error.
func (b *Bucket) Delete(ctx context.Context, key string, w Write) error {
	w.TTL = 0
	_, err := b.do(ctx, b.c.prepare(b.request(http.MethodDelete, "delete", key), w), key)
	return err
}

// Op is one step of a transaction: a set, or a delete.
type Op struct {
	Key    string
	Value  string        // for a set
	TTL    time.Duration // for a set: 0 = the bucket's default, Forever = never
	Delete bool
}

// Txn does all of ops in order, or none of them.
func (b *Bucket) Txn(ctx context.Context, ops []Op) error {
	type op struct {
		Set    *string `json:"set,omitempty"`
		Value  *string `json:"value,omitempty"`
		TTL    *int64  `json:"ttl,omitempty"`
		Delete *string `json:"delete,omitempty"`
	}
	doc := struct {
		Txn []op `json:"txn"`
	}{Txn: make([]op, len(ops))}
	for i, o := range ops {
		if o.Delete {
			doc.Txn[i] = op{Delete: &o.Key}
			continue
		}
		doc.Txn[i] = op{Set: &o.Key, Value: &o.Value}
		if o.TTL != 0 {
			s := wholeSeconds(max(o.TTL, 0))
			doc.Txn[i].TTL = &s
		}
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	r := &request{
		op: fmt.Sprintf("transaction of %d in bucket %s", len(ops), b.id), method: http.MethodPost,
		path: "/" + url.PathEscape(b.id) + "/", body: body, key: b.key,
		header: http.Header{"Content-Type": {"application/json"}},
	}
	b.c.write(r, "")
	_, err = b.do(ctx, r, "-")
	return err
}

// Drop deletes the bucket with everything in it.
func (b *Bucket) Drop(ctx context.Context) error {
	r := &request{op: "delete bucket " + b.id, method: http.MethodDelete, path: "/" + url.PathEscape(b.id) + "/", key: b.key}
	b.c.write(r, "")
	_, err := b.do(ctx, r, "-")
	return err
}

// ListQuery selects keys of a bucket, in byte order.
type ListQuery struct {
	Prefix  string
	Regex   string // Go RE2 syntax, unanchored; "" = all
	Skip    int
	Limit   int // 0 = the service's cap
	Reverse bool
	Values  bool // return values too
}

// Item is one key of a list.
type Item struct {
	Key   string
	Value json.RawMessage // nil without values; a JSON number, string or other value
}

// Text returns the value as the bytes that were stored, as far as JSON can
// carry them (bytes that are not UTF-8 cannot).
func (i Item) Text() string {
	var s string
	if json.Unmarshal(i.Value, &s) == nil {
		return s
	}
	return string(i.Value)
}

// List returns the selected keys, from one consistent view.
func (b *Bucket) List(ctx context.Context, q ListQuery) ([]Item, error) {
	query := b.c.readQuery()
	query.Set("format", "json")
	for name, value := range map[string]string{"prefix": q.Prefix, "regex": q.Regex} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if q.Skip > 0 {
		query.Set("skip", strconv.Itoa(q.Skip))
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Reverse {
		query.Set("reverse", "true")
	}
	if q.Values {
		query.Set("values", "true")
	}
	r := &request{op: "list bucket " + b.id, method: http.MethodGet, path: "/" + url.PathEscape(b.id) + "/", query: query, key: b.key}
	a, err := b.do(ctx, r, "-")
	if err != nil {
		return nil, err
	}
	items, err := parseList(a.body, q.Values)
	if err != nil {
		return nil, fmt.Errorf("%s: the answer of %s is not a list: %w", r.op, a.endpoint, err)
	}
	return items, nil
}

func parseList(body []byte, values bool) ([]Item, error) {
	if !values {
		var keys []string
		if err := json.Unmarshal(body, &keys); err != nil {
			return nil, err
		}
		items := make([]Item, len(keys))
		for i, k := range keys {
			items[i].Key = k
		}
		return items, nil
	}
	var pairs [][2]json.RawMessage
	if err := json.Unmarshal(body, &pairs); err != nil {
		return nil, err
	}
	items := make([]Item, len(pairs))
	for i, p := range pairs {
		if err := json.Unmarshal(p[0], &items[i].Key); err != nil {
			return nil, err
		}
		items[i].Value = p[1]
	}
	return items, nil
}

func (b *Bucket) request(method, verb, key string) *request {
	return &request{
		op: fmt.Sprintf("%s key %s in bucket %s", verb, key, b.id), method: method,
		path: "/" + url.PathEscape(b.id) + "/" + escapeKey(key), key: b.key,
	}
}

// do sends r, unless a name is empty: without one the path would name the whole
// bucket, and a delete of no key would delete it.
func (b *Bucket) do(ctx context.Context, r *request, key string) (*answer, error) {
	if b.id == "" || key == "" {
		return nil, &Error{Op: r.op, Status: http.StatusBadRequest, Endpoint: "the client", Reason: "the bucket id or the key is empty"}
	}
	return b.c.do(ctx, r)
}

// prepare makes r the write that w describes.
func (c *Client) prepare(r *request, w Write) *request {
	c.write(r, w.IdempotencyKey)
	if w.IfMatch != "" {
		r.header.Set("If-Match", w.IfMatch)
	}
	if w.IfNoneMatch != "" {
		r.header.Set("If-None-Match", w.IfNoneMatch)
	}
	if w.TTL != 0 {
		r.query = url.Values{"ttl": {seconds(max(w.TTL, 0))}}
	}
	return r
}

func (c *Client) readQuery() url.Values {
	q := url.Values{}
	if c.cfg.Consistency == "stale" {
		q.Set("consistency", "stale")
	}
	return q
}

func (a *answer) version() uint64 {
	v, _ := strconv.ParseUint(a.header.Get("Covey-Version"), 10, 64) // absent: 0
	return v
}

// wholeSeconds rounds d up, so that a short TTL does not become 0, which means
// for ever.
func wholeSeconds(d time.Duration) int64 {
	n := int64(d / time.Second)
	if d%time.Second > 0 {
		n++
	}
	return n
}

func seconds(d time.Duration) string { return strconv.FormatInt(wholeSeconds(d), 10) }

// escapeKey percent-encodes key for the rest of a path. Slashes stay, as the
// service expects them; dots are escaped where a proxy or client library would
// clean them away.
func escapeKey(key string) string {
	parts := strings.Split(key, "/")
	for i, p := range parts {
		switch p {
		case ".", "..":
			parts[i] = strings.ReplaceAll(p, ".", "%2E")
		default:
			parts[i] = url.PathEscape(p)
		}
	}
	return strings.Join(parts, "/")
}
