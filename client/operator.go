package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// operatorAPI makes calls with the root key, of paths below base.
type operatorAPI struct {
	c    *Client
	base string
}

// operatorCall is one call of the operator. The method is GET when it reads.
type operatorCall struct {
	op, method, path string
	query            url.Values
}

func (o operatorAPI) read(ctx context.Context, call operatorCall, into any) error {
	query := o.c.readQuery()
	maps.Copy(query, call.query)
	return o.do(ctx, &request{op: call.op, method: http.MethodGet, path: o.base + call.path, query: query, key: o.c.cfg.RootKey}, into)
}

// change sends body, JSON or what becomes JSON, if there is one, and reads the
// answer into into, if that is wanted.
func (o operatorAPI) change(ctx context.Context, call operatorCall, body, into any) error {
	q := &request{op: call.op, method: call.method, path: o.base + call.path, query: call.query, key: o.c.cfg.RootKey}
	if body != nil {
		p, ok := body.([]byte)
		if !ok {
			var err error
			if p, err = json.Marshal(body); err != nil {
				return err
			}
		}
		q.body, q.header = p, http.Header{"Content-Type": {"application/json"}}
	}
	o.c.write(q, "")
	return o.do(ctx, q, into)
}

// pages reads answer after answer; take returns where the next one begins, ""
// at the end.
func (o operatorAPI) pages(ctx context.Context, call operatorCall, take func(*answer) (next string, err error)) error {
	query := o.c.readQuery()
	maps.Copy(query, call.query)
	for {
		q := &request{op: call.op, method: http.MethodGet, path: o.base + call.path, query: query, key: o.c.cfg.RootKey}
		a, err := o.send(ctx, q)
		if err != nil {
			return err
		}
		next, err := take(a)
		switch {
		case err != nil:
			return fmt.Errorf("%s: the answer of %s is not what was asked for: %w", q.op, a.endpoint, err)
		case next == "":
			return nil
		case next <= query.Get("after"):
			return fmt.Errorf("%s: the pages of %s do not go on", q.op, a.endpoint)
		}
		query.Set("after", next)
	}
}

func (o operatorAPI) do(ctx context.Context, q *request, into any) error {
	a, err := o.send(ctx, q)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("%s: the answer of %s is not what was asked for: %w", q.op, a.endpoint, err)
	}
	return nil
}

// send refuses an empty name: without it the path would name something larger.
func (o operatorAPI) send(ctx context.Context, q *request) (*answer, error) {
	if strings.Contains(q.path, "//") || strings.HasSuffix(q.path, "/") {
		return nil, &Error{Op: q.op, Status: http.StatusBadRequest, Endpoint: "the client", Reason: "a name is empty"}
	}
	return o.c.do(ctx, q)
}

// stream reads an answer without a bound, which the caller closes.
func (o operatorAPI) stream(ctx context.Context, call operatorCall) (io.ReadCloser, error) {
	query := o.c.readQuery()
	maps.Copy(query, call.query)
	a, err := o.c.open(ctx, &request{op: call.op, method: http.MethodGet, path: o.base + call.path, query: query, key: o.c.cfg.RootKey})
	if err != nil {
		return nil, err
	}
	return a.rest, nil
}

// escapedPath escapes the parts of a path.
func escapedPath(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(escapeSegment(p))
	}
	return b.String()
}

// escapeSegment escapes a name for one segment of a path, also where a proxy
// would take it for a step up.
func escapeSegment(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}
