package admin

import (
	"context"
	"net/http"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// Members is what the API asks a node to do about the membership, through
// whichever node has to do it. Errors are for operators: errs.Conflict says with
// the arithmetic what would lose the quorum.
type Members interface {
	ChangeMember(ctx context.Context, q cluster.MemberChange) (cluster.MemberChange, error)
	Transfer(ctx context.Context, to string) (leader string, err error)
	StepDown(ctx context.Context) (leader string, err error)
	Leave(ctx context.Context) (cluster.MemberChange, error)
}

// memberPaths are the paths about the membership and what their methods do.
func memberPaths() map[string]verbs {
	const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	const member = "/cluster/members/{node}"
	return map[string]verbs{
		member:                        {del: (*call).removeMember},
		member + "/promote":           {post: (*call).promoteMember},
		member + "/demote":            {post: (*call).demoteMember},
		"/cluster/leave":              {post: (*call).leave},
		"/cluster/transfer":           {post: (*call).transfer},
		"/cluster/step-down":          {post: (*call).stepDown},
		"/cluster/settings/autopilot": {get: (*call).showAutopilot, put: (*call).setAutopilot},
	}
}

func (c *call) removeMember() (any, error)  { return c.changeMember(cluster.DoRemove) }
func (c *call) promoteMember() (any, error) { return c.changeMember(cluster.DoPromote) }
func (c *call) demoteMember() (any, error)  { return c.changeMember(cluster.DoDemote) }

// changeMember answers with a cluster.MemberChange: what was done, or with
// ?dry_run=true what would be, and how many votes there are after it.
func (c *call) changeMember(change string) (any, error) {
	q := cluster.MemberChange{Change: change, Node: c.vars["node"]}
	var err error
	if q.DryRun, err = c.boolean("dry_run"); err != nil {
		return nil, err
	}
	if q.Force, err = c.boolean("force"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.Wait)
	defer cancel()
	return c.Members.ChangeMember(ctx, q)
}

// boolean reads a parameter of the query that is true or false, or absent.
func (c *call) boolean(name string) (bool, error) {
	switch c.query.Value(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, errs.E(errs.Invalid, "%s is neither true nor false", name)
}

// leave takes the node that is asked out of the cluster, with ?dry_run=true only
// in words; ?node= guards against a proxy that asks another one. Its answer is
// the last that the node gives to anybody.
func (c *call) leave() (any, error) {
	dry, err := c.boolean("dry_run")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.Wait)
	defer cancel()
	s, err := c.Cluster.Status(ctx)
	if err != nil {
		return nil, err
	}
	if want, named := c.query.Lookup("node"); named && want != s.ID {
		return nil, errs.E(errs.Conflict, "this is node %s, not %s: ask that one", s.ID, want)
	}
	if dry {
		return c.Members.ChangeMember(ctx, cluster.MemberChange{Change: cluster.DoRemove, Node: s.ID, Leaving: true, DryRun: true})
	}
	// It may be draining meanwhile, which has a time of its own.
	return c.Members.Leave(context.WithoutCancel(c.r.Context()))
}

// leadership is the answer of what moves the lead.
type leadership struct {
	Leader string `json:"leader"` // who leads now, and serves
}

func (c *call) transfer() (any, error) {
	var q struct {
		To string `json:"to"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&q); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.Wait)
	defer cancel()
	leader, err := c.Members.Transfer(ctx, q.To)
	return leadership{leader}, err
}

func (c *call) stepDown() (any, error) {
	ctx, cancel := context.WithTimeout(c.r.Context(), c.Wait)
	defer cancel()
	leader, err := c.Members.StepDown(ctx)
	return leadership{leader}, err
}

func (c *call) showAutopilot() (any, error) {
	var a fleet.Autopilot
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		a, err = fleet.ReadAutopilot(tx)
		return err
	})
	return a, err
}

func (c *call) setAutopilot() (any, error) {
	var a fleet.Autopilot
	if err := c.decode(&a); err != nil {
		return nil, err
	}
	if _, err := c.update(0, func(tx *kv.Tx) error { return fleet.WriteAutopilot(tx, a) }); err != nil {
		return nil, err
	}
	return a, nil
}
