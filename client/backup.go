package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// backupPatience is how long a backup waits for its next piece.
const backupPatience = 2 * time.Minute

// Backup writes a backup of the whole cluster to w, as any one node that answers
// gives it, and returns the version that it holds; it needs the root key. There
// is no time-out for the whole, only ctx. With the consistency "stale" the node's
// own state is taken, for which it needs no leader. After an error what was
// written is no backup; whether it is one shows in the file itself (package
// backup), which the caller must check.
func (c *Client) Backup(ctx context.Context, w io.Writer) (version uint64, err error) {
	r := &request{op: "back up", method: http.MethodGet, path: "/cluster/backup", key: c.cfg.RootKey, patience: backupPatience}
	if c.cfg.Consistency == "stale" {
		r.query = url.Values{"consistency": {"stale"}}
	}
	a, err := c.open(ctx, r)
	if err != nil {
		return 0, err
	}
	defer a.rest.Close()
	if version, err = strconv.ParseUint(a.header.Get("Covey-Version"), 10, 64); err != nil {
		return 0, fmt.Errorf("%s: %s answered without a version", r.op, a.endpoint)
	}
	out := &taking{w: w}
	if n, err := io.Copy(out, a.rest); err != nil {
		if out.err != nil || ctx.Err() != nil {
			return 0, errors.Join(out.err, context.Cause(ctx))
		}
		return 0, &Error{Op: r.op, Endpoint: a.endpoint, Err: fmt.Errorf("it was broken off after %d bytes: %v", n, innermost(err))}
	}
	return version, nil
}

// taking tells an error of the writer from one of the connection.
type taking struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (t *taking) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	if err != nil {
		t.err = err
	}
	return n, err
}

// Restorable is what a restore would replace, as a node sees it.
type Restorable struct {
	ClusterID string `json:"cluster_id"`
	Node      string `json:"node"`
	Leader    string `json:"leader"`
	Version   uint64 `json:"version"`
	Records   uint64 `json:"records"`
	More      bool   `json:"more"` // there are more records than were counted

	// Restoring is how far a restore is that this node does, in bytes; nil if it
	// does none. Total is 0 while the backup is being received.
	Restoring *struct {
		Done  uint64 `json:"done"`
		Total uint64 `json:"total"`
	} `json:"restoring"`
}

// Restorable asks what a restore would replace; it needs the root key.
func (c *Client) Restorable(ctx context.Context) (Restorable, error) {
	return c.restorable(ctx, &request{op: "look at what a restore replaces", method: http.MethodGet, path: "/cluster/restore", key: c.cfg.RootKey})
}

// RestoreProgress asks the leader's node how far its restore is, without
// counting anything.
func (c *Client) RestoreProgress(ctx context.Context) (Restorable, error) {
	return c.restorable(ctx, &request{
		op: "ask how far the restore is", method: http.MethodGet, path: "/cluster/restore", query: url.Values{"count": {"off"}}, key: c.cfg.RootKey,
	})
}

func (c *Client) restorable(ctx context.Context, r *request) (Restorable, error) {
	var doc Restorable
	a, err := c.do(ctx, r)
	if err != nil {
		return doc, err
	}
	if err := json.Unmarshal(a.body, &doc); err != nil {
		return doc, fmt.Errorf("%s: the answer of %s does not decode: %w", r.op, a.endpoint, err)
	}
	return doc, nil
}

// RestoreOptions say how a restore is meant.
type RestoreOptions struct {
	Confirm string // id of the cluster whose data is replaced; "" = it has none
	Force   bool   // take secrets that no key of the cluster opens
	DryRun  bool   // check all, change nothing
}

// Restored is a restore that was done, or a dry run.
type Restored struct {
	Version uint64          `json:"version"` // of the cluster since then; 0 after a dry run
	Records uint64          `json:"records"`
	Backup  json.RawMessage `json:"backup"` // its header
}

// maxLeaders bounds how often a restore goes after a leader that changes.
const maxLeaders = 4

// Restore makes the backup that open gives the state of the whole cluster; it
// needs the root key. open is called for each node that it is sent to, and gives
// the same bytes each time, of which there are size. There is no time-out but
// ctx's. ErrUnknown when it may have been done.
func (c *Client) Restore(ctx context.Context, size int64, open func() (io.ReadCloser, error), o RestoreOptions) (Restored, error) {
	var done Restored
	at := c.endpoints[int(c.preferred.Load())]
	var last *Error
	for try := range maxLeaders + len(c.endpoints) {
		a, fail := c.putRestore(ctx, at, size, open, o)
		if fail == nil {
			if err := json.Unmarshal(a.body, &done); err != nil {
				return done, fmt.Errorf("restore: the answer of %s does not decode: %w", a.endpoint, err)
			}
			return done, nil
		}
		last = fail
		switch {
		case fail.leader != "":
			next, err := parseEndpoint(fail.leader)
			if err != nil {
				return done, fail
			}
			at = next
		case fail.unreachable && !fail.final, fail.Status == http.StatusServiceUnavailable && fail.leader == "":
			at = c.endpoints[try%len(c.endpoints)]
			if !sleep(ctx, 500*time.Millisecond) {
				return done, fail
			}
		default:
			return done, fail
		}
	}
	return done, last
}

func (c *Client) putRestore(ctx context.Context, ep *url.URL, size int64, open func() (io.ReadCloser, error), o RestoreOptions) (*answer, *Error) {
	r := &request{op: "restore", method: http.MethodPut, path: "/cluster/restore", query: url.Values{}, key: c.cfg.RootKey}
	for name, value := range map[string]string{"confirm": o.Confirm, "force": truth(o.Force), "dry_run": truth(o.DryRun)} {
		if value != "" {
			r.query.Set(name, value)
		}
	}
	// A node that refuses says so before the body is sent.
	r.header = http.Header{"Expect": {"100-continue"}, "Content-Type": {"application/octet-stream"}}
	body, err := open()
	if err != nil {
		return nil, &Error{Op: r.op, Endpoint: ep.Host, Err: err, final: true}
	}
	r.stream, r.size = body, size
	resp, fail := c.send(ctx, ep, r)
	if fail != nil {
		return nil, fail
	}
	a, fail := c.read(resp, ep, r)
	if fail != nil && resp.StatusCode == http.StatusMisdirectedRequest {
		fail.leader = resp.Header.Get("Covey-Leader")
	}
	if fail != nil {
		fail.Unknown = fail.Unknown && !o.DryRun
	}
	return a, fail
}

// continueTime is how long a body waits for the node's word that it is wanted.
const continueTime = 20 * time.Second

// slow is a client for a request whose body is sent only when the node wants it,
// and whose answer takes as long as it takes.
func (c *Client) slow() *http.Client {
	slow := *c.http
	if t, ok := slow.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.ResponseHeaderTimeout, t.ExpectContinueTimeout, t.DisableKeepAlives = 0, continueTime, true
		slow.Transport = t
	}
	return &slow
}

func truth(b bool) string {
	if b {
		return "true"
	}
	return ""
}
