package admin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/mux"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// Fleet is what the API needs to hand out the keys of the cluster itself. All of
// it is required but Trusted.
type Fleet struct {
	Store *fleet.Store

	// Gossip returns the keys that the node gossips with, the one it sends with
	// first; none for clear text.
	Gossip func() [][]byte

	// Trusted returns the CAs that this node trusts to sign other nodes'
	// certificates, as PEM. nil: nodes talk without TLS.
	Trusted func() ([]byte, error)

	// Follow makes the node do at once what the state says of keys, as it does by
	// itself within a second.
	Follow func(context.Context)

	// ClearText lets a node join over plain HTTP from another machine.
	ClearText bool
}

// mountFleet adds the paths about tokens and keys.
func (a *api) mountFleet(routes *mux.Router, plumbing *web.API) {
	const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	if a.Fleet == nil {
		return
	}
	for path, v := range map[string]verbs{
		"/tokens":                {get: (*call).listTokens, post: (*call).createToken},
		"/tokens/{token}":        {del: (*call).revokeToken},
		"/ca":                    {get: (*call).showAuthority, put: (*call).setAuthority, del: (*call).removeAuthority},
		"/gossip-keys":           {get: (*call).listGossipKeys, post: (*call).addGossipKey},
		"/gossip-keys/{key}":     {del: (*call).removeGossipKey},
		"/gossip-keys/{key}/use": {post: (*call).useGossipKey},
		"/root-keys":             {get: (*call).listRootKeys, post: (*call).addRootKey},
		"/root-keys/{key}":       {del: (*call).dropRootKey},
	} {
		routes.Path("/cluster" + path).Handler(plumbing.Handler(a.operator(a.serve(v))))
	}
	// Who joins has no root key: the token is its right.
	routes.Path("/cluster/join").Handler(plumbing.Handler(a.serve(verbs{post: (*call).join})))
}

// standing returns what this node knows of the cluster.
func (c *call) standing() (cluster.Status, error) {
	ctx, cancel := context.WithTimeout(c.r.Context(), c.Wait)
	defer cancel()
	return c.Cluster.Status(ctx)
}

// follow makes this node do at once what was changed.
func (c *call) follow() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), c.Wait)
	defer cancel()
	c.Fleet.Follow(ctx)
}

// secretMaker makes something whose text is shown once: the first time under a
// name of its own, and again under the name that an earlier try of the same
// request gave it.
type secretMaker struct {
	create func(tx *kv.Tx, id, text string) error
	again  func(tx *kv.Tx, id, text string) error
}

// makeSecret returns the name and the text that took effect. When an earlier try
// of the same request took effect, its text went with the answer that was lost:
// then the same thing gets another text.
func (c *call) makeSecret(draw func() string, m secretMaker) (id, text string, err error) {
	id, do := drawID(), m.create
	for try := range maxShown {
		text := draw()
		res, err := c.update(try, func(tx *kv.Tx) error {
			tx.Reply([]byte(id))
			return do(tx, id, text)
		})
		if err != nil {
			return "", "", err
		}
		if !res.Duplicate {
			return id, text, nil
		}
		id, do = string(res.Reply), m.again
	}
	return "", "", errs.E(errs.Conflict, "this request was repeated too often: send a new one")
}

// drawID returns a name that nothing else has.
func drawID() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // documented never to return an error
	return hex.EncodeToString(b[:])
}

// drawSeed returns the randomness that a request seals with.
func drawSeed() (s seal.Seed) {
	_, _ = rand.Read(s[:])
	return s
}

// maybe is millis that leaves out a time that is none.
func maybe(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	return millis(ms)
}

// alive returns the members that gossip sees alive.
func alive(s cluster.Status) []cluster.Member {
	return slices.DeleteFunc(slices.Clone(s.Members), func(m cluster.Member) bool { return !m.Alive || m.Role == cluster.RoleNone })
}

// ids returns the ids of members for which ok holds.
func ids(members []cluster.Member, ok func(cluster.Member) bool) []string {
	out := []string{}
	for _, m := range members {
		if ok(m) {
			out = append(out, m.ID)
		}
	}
	return out
}
