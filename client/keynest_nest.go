package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Nest returns a handle on the KeyNest API for the holder of a token, that of a
// user or a service token; "" is nobody, who can register and log in. It does
// not connect.
func (c *Client) Nest(token string) *Nest { return &Nest{c: c, token: token} }

// Nest is a user's handle on the KeyNest API, safe for concurrent use. Its calls
// do what the token's holder may; what is not there for them is ErrNotFound, what
// their role does not allow ErrDenied. Why a call was refused is a *NestRefusal
// that errors.As finds in the error.
//
// Every write carries an Idempotency-Key that is the same for all its tries, but
// for Register and Login, which know none. A call over the rate limit is tried
// again when the node says, as long as Config.Timeout lasts.
type Nest struct {
	c     *Client
	token string
	once  string // Idempotency-Key of writes, "" = a new one for each
}

// Once returns a handle for a single write that the caller may repeat: every try,
// also in another process, has the effect of one as long as key (16 to 128
// visible ASCII characters, see NewIdempotencyKey) and arguments are the same.
func (n *Nest) Once(key string) *Nest { return &Nest{c: n.c, token: n.token, once: key} }

// NestRefusal is why the KeyNest API refused a call.
type NestRefusal struct {
	Text string // such as "Not found."
	Code string // such as NOT_FOUND

	Fields     map[string][]string // what is wrong with which field
	Details    []string            // what else is wrong
	Conflicts  []string            // keys that are there already
	References map[string]string   // keys whose references cannot be resolved, and why not
	Version    uint64              // the current version of the variable, where another was stated
}

// Error returns all that the server said.
func (r *NestRefusal) Error() string {
	var more []string
	for _, field := range slices.Sorted(maps.Keys(r.Fields)) {
		more = append(more, field+": "+strings.Join(r.Fields[field], " "))
	}
	for _, d := range r.Details {
		if !strings.Contains(r.Text, d) {
			more = append(more, d)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.References)) {
		more = append(more, key+" ("+r.References[key]+")")
	}
	more = append(more, r.Conflicts...)
	if len(more) == 0 {
		return r.Text
	}
	if len(r.Fields) > 0 && (r.Code == "CONFLICT" || r.Text == "Validation failed") {
		return strings.Join(more, "; ") // the text repeats it or says nothing
	}
	return strings.TrimSuffix(r.Text, ".") + ": " + strings.Join(more, ", ")
}

// nestRefusal reads the envelope of an error, nil if body is none.
func nestRefusal(body []byte) *NestRefusal {
	var doc struct {
		Error      string            `json:"error"`
		Code       string            `json:"code"`
		Details    json.RawMessage   `json:"details"`
		Conflicts  []string          `json:"conflicts"`
		References map[string]string `json:"references"`
		Version    uint64            `json:"version"`
	}
	if json.Unmarshal(body, &doc) != nil || doc.Error == "" || doc.Code == "" {
		return nil
	}
	r := &NestRefusal{Text: doc.Error, Code: doc.Code, Conflicts: doc.Conflicts, References: doc.References, Version: doc.Version}
	var text string
	switch {
	case len(doc.Details) == 0:
	case json.Unmarshal(doc.Details, &r.Fields) == nil: // null too
	case json.Unmarshal(doc.Details, &r.Details) == nil:
	case json.Unmarshal(doc.Details, &text) == nil:
		r.Details = []string{text}
	}
	return r
}

// nestCall is one call. The method is GET when it is empty.
type nestCall struct {
	op, method, path string
	query            url.Values
	body             any // what becomes JSON, or an upload; nil = none
	open             bool
}

// upload is a body that is no JSON.
type upload struct {
	contentType string
	data        []byte
}

// do makes a call and reads the answer into into, unless that is nil.
func (n *Nest) do(ctx context.Context, call nestCall, into any) error {
	a, err := n.send(ctx, call)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("%s: the answer of %s is not what was asked for: %w", call.op, a.endpoint, err)
	}
	return nil
}

func (n *Nest) send(ctx context.Context, call nestCall) (*answer, error) {
	r, err := n.request(call)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.c.cfg.Timeout)
	defer cancel()
	for {
		a, err := n.c.try(ctx, r, n.c.once)
		var e *Error
		if err == nil || !errors.As(err, &e) || e.Status != http.StatusTooManyRequests || !sleep(ctx, max(e.RetryAfter, time.Second)) {
			return a, err
		}
	}
}

func (n *Nest) request(call nestCall) (*request, error) {
	r := &request{op: call.op, method: call.method, path: "/api" + call.path, query: call.query, key: n.token}
	if r.method == "" {
		r.method, r.query = http.MethodGet, n.c.readQuery()
		for name, values := range call.query {
			r.query[name] = values
		}
	}
	if call.open {
		r.key = ""
	} else if r.changes() {
		n.c.write(r, n.once)
	}
	switch body := call.body.(type) {
	case nil:
		return r, nil
	case upload:
		setHeader(r, "Content-Type", body.contentType)
		r.body = body.data
		return r, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(call.body); err != nil {
		return nil, fmt.Errorf("%s: %w", call.op, err)
	}
	setHeader(r, "Content-Type", "application/json")
	r.body = b.Bytes()
	return r, nil
}

func setHeader(r *request, name, value string) {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(name, value)
}

// nestPage is how many things a page of a list holds: the most there can be.
const nestPage = 100

// nestPages goes through the pages of a list. What is created or deleted
// meanwhile may be missed or told twice. An error ends the sequence.
func nestPages[T any](ctx context.Context, n *Nest, call nestCall) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		query := url.Values{"page_size": {strconv.Itoa(nestPage)}}
		for name, values := range call.query {
			query[name] = values
		}
		call.query = query
		for number := 1; ; number++ {
			var page struct {
				Next    *string `json:"next"`
				Results []T     `json:"results"`
			}
			query.Set("page", strconv.Itoa(number))
			err := n.do(ctx, call, &page)
			if number > 1 && errors.Is(err, ErrNotFound) {
				return // the list has become shorter
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Results {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == nil {
				return
			}
		}
	}
}

// filters makes a query of what is not empty; a number 0 is empty.
func filters(pairs ...any) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i].(string)
		switch v := pairs[i+1].(type) {
		case string:
			if v != "" {
				q.Set(name, v)
			}
		case uint64:
			if v != 0 {
				q.Set(name, strconv.FormatUint(v, 10))
			}
		case bool:
			if v {
				q.Set(name, "true")
			}
		case time.Time:
			if !v.IsZero() {
				q.Set(name, v.UTC().Format(time.RFC3339Nano))
			}
		}
	}
	return q
}

// nestPath returns the path of a thing, with what follows its id.
func nestPath(kind string, id uint64, more ...string) string {
	p := "/" + kind + "/" + strconv.FormatUint(id, 10) + "/"
	for _, m := range more {
		p += m + "/"
	}
	return p
}
