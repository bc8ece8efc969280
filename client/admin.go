package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Status is what a node says about the cluster. Raw holds the whole answer.
type Status struct {
	ID        string   `json:"id"`
	ClusterID string   `json:"cluster_id"`
	Leader    string   `json:"leader"`
	State     string   `json:"state"`
	Term      uint64   `json:"term"`
	Index     uint64   `json:"index"`
	Version   uint64   `json:"version"`
	Quorum    bool     `json:"quorum"`
	Reason    string   `json:"reason"`
	Release   string   `json:"release"`
	Members   []Member `json:"members"`

	Raw json.RawMessage `json:"-"`
}

// Member is one node as the answering node sees it.
type Member struct {
	ID            string `json:"id"`
	PeerAddr      string `json:"peer_addr"`
	HTTPAddr      string `json:"http_addr"`
	GossipAddr    string `json:"gossip_addr"`
	Role          string `json:"role"`
	Leader        bool   `json:"leader"`
	Alive         bool   `json:"alive"`
	Draining      bool   `json:"draining"` // it is about to stop
	Wish          string `json:"wish"`     // of an operator: "", non-voter or removed
	LastContactMS int64  `json:"last_contact_ms"`
	AppliedIndex  uint64 `json:"applied_index"`
	AppliedLag    uint64 `json:"applied_lag"`
	Release       string `json:"release"`
}

// Status asks a node about the cluster; it needs the root key.
func (c *Client) Status(ctx context.Context) (Status, error) {
	r := &request{op: "cluster status", method: http.MethodGet, path: "/cluster/status", key: c.cfg.RootKey}
	a, err := c.do(ctx, r)
	if err != nil {
		return Status{}, err
	}
	var s Status
	if err := json.Unmarshal(a.body, &s); err != nil {
		return Status{}, fmt.Errorf("%s: the answer of %s is not a status: %w", r.op, a.endpoint, err)
	}
	s.Raw = a.body
	return s, nil
}

// Ready asks the first endpoint once whether it can serve requests. The error
// says why not.
func (c *Client) Ready(ctx context.Context) error {
	r := &request{op: "readiness", method: http.MethodGet, path: "/readyz"}
	if _, err := c.once(ctx, c.endpoints[0], r); err != nil {
		return err
	}
	return nil
}

// Metrics asks the first endpoint once for its metrics text.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	a, err := c.once(ctx, c.endpoints[0], &request{op: "read metrics", method: http.MethodGet, path: "/metrics"})
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// BucketInfo is one bucket in the operator's list.
type BucketInfo struct {
	ID         string    `json:"id"`
	Created    time.Time `json:"created"`
	DefaultTTL int64     `json:"default_ttl"` // seconds, 0 = keys never expire
	Keys       []string  `json:"keys"`        // which of secret, write, read, signing are set
}

// Buckets returns up to limit bucket ids after the given one, in order; it
// needs the root key. limit 0 = the service's page size. next is "" at the end.
func (c *Client) Buckets(ctx context.Context, after string, limit int) (page []BucketInfo, next string, err error) {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	r := &request{op: "list buckets", method: http.MethodGet, path: "/cluster/buckets", query: q, key: c.cfg.RootKey}
	a, err := c.do(ctx, r)
	if err != nil {
		return nil, "", err
	}
	var doc struct {
		Buckets []BucketInfo `json:"buckets"`
		Next    string       `json:"next"`
	}
	if err := json.Unmarshal(a.body, &doc); err != nil {
		return nil, "", fmt.Errorf("%s: the answer of %s is not a list of buckets: %w", r.op, a.endpoint, err)
	}
	return doc.Buckets, doc.Next, nil
}
