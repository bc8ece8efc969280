package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

const (
	// rootAge is how old what a node knows of root keys may be where it lets a key
	// in that it knows. Within it no other node is asked.
	rootAge = time.Second
	// rootWait bounds how long a node asks the others about a key that it does not
	// know, and about any before it forgives. For others an election is waited for.
	rootWait = time.Second
)

// leaderless are the paths that operators need most when there is no leader. They
// tell nothing of what is stored.
var leaderless = []string{"/cluster/status", "/cluster/why", "/cluster/events", "/cluster/log-level"}

// operator lets only the holder of the root key pass. Unlike the APIs of
// clients it takes no credential from the query, where it would end up in the
// logs of proxies.
func (a *api) operator(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := a.judge(r); err != nil {
			return err
		}
		return h(w, r)
	}
}

// judge returns nil if r comes from the holder of the root key. A node may be
// behind, and not know yet that a key was dropped or made: it lets in a key only
// by what was true a second ago at most, and refuses one only by what is true
// now. If it cannot learn that in time it is errs.Unavailable, but for a key that
// it knows and a request that is meant for a cluster without a leader.
func (a *api) judge(r *http.Request) error {
	cred := web.Credential(r, nil)
	if cred.None() {
		if a.Root.None() {
			return errNoRoot
		}
		return errs.E(errs.Unauthenticated, "send the cluster's root key as Authorization: Bearer KEY")
	}
	known := a.Root.Match(cred)
	if a.Fleet == nil { // the cluster keeps no root keys
		return verdict(known, a.Root.None())
	}
	var level kv.Consistency
	if known {
		level = kv.Consistency{Stale: true, MaxStale: rootAge}
	}
	wait := a.Wait
	if !known || forgives(r) {
		wait = min(rootWait, wait)
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	var set auth.RootSet
	_, err := a.DB.View(ctx, level, func(tx *kv.Tx) (err error) {
		set, err = fleet.ReadRootKeys(tx)
		return err
	})
	if err != nil {
		if known && forgives(r) {
			return nil
		}
		return errs.E(errs.Unavailable, "this node cannot tell whether the credential is a root key of the cluster: %w", err)
	}
	_, valid := a.Root.WhichUnder(set, cred)
	if valid != known {
		a.Fleet.Follow(ctx)
	}
	return verdict(valid, a.Root.None() && len(set.Valid) == 0)
}

func verdict(valid, noKeys bool) error {
	switch {
	case valid:
		return nil
	case noKeys:
		return errNoRoot
	}
	return errs.E(errs.Unauthenticated, "the credential is not the cluster's root key")
}

var errNoRoot = errs.E(errs.Forbidden, "this node has no root key: start it with --root-key-file, or make one through another node: covey keyring root new")

// forgives reports whether r is for a cluster that may have no leader: it asks
// what is wrong, or for what this node has, however old that is.
func forgives(r *http.Request) bool {
	path := r.URL.Path
	if slices.Contains(leaderless, path) || strings.HasPrefix(path, "/debug/pprof/") {
		return true
	}
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && web.SplitPairs(r.URL.RawQuery).Value("consistency") == "stale"
}
