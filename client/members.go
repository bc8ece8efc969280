package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Membership returns a handle on who is a member of the cluster and who votes,
// for its operator: all calls need the root key. It does not connect. Any node
// takes them.
func (c *Client) Membership() *Membership { return &Membership{operatorAPI{c, "/cluster"}} }

// Membership is the operator's handle on the members, safe for concurrent use. A
// change that would cost the quorum is ErrConflict, with the arithmetic.
type Membership struct{ operatorAPI }

// Votes is the arithmetic of a quorum.
type Votes struct {
	Voters  int `json:"voters"`
	Answers int `json:"answering"` // of Voters
	Needed  int `json:"needed"`    // of Voters, to commit anything
}

// MemberChange is what became of a change of the membership, or would become.
type MemberChange struct {
	Change string `json:"change"` // promote, demote or remove
	Node   string `json:"node"`
	DryRun bool   `json:"dry_run"`
	Done   bool   `json:"done"`
	After  Votes  `json:"after"` // the change
	Text   string `json:"text"`  // what it comes to, for people

	Raw json.RawMessage `json:"-"`
}

// Changing says how a change of the membership is meant.
type Changing struct {
	DryRun bool // only say what would be
	Force  bool // remove a node though it is alive
}

func (o Changing) query() url.Values {
	q := url.Values{}
	if o.DryRun {
		q.Set("dry_run", "true")
	}
	if o.Force {
		q.Set("force", "true")
	}
	return q
}

// Promote lets a non-voter vote now, without the time that it would have to keep
// up for; Demote takes the vote of a member that stays one otherwise, until it is
// promoted.
func (m *Membership) Promote(ctx context.Context, node string, o Changing) (MemberChange, error) {
	return m.member(ctx, operatorCall{op: "promote " + node, method: http.MethodPost, path: "/members" + escapedPath(node) + "/promote", query: o.query()})
}

// Demote is described with Promote.
func (m *Membership) Demote(ctx context.Context, node string, o Changing) (MemberChange, error) {
	return m.member(ctx, operatorCall{op: "demote " + node, method: http.MethodPost, path: "/members" + escapedPath(node) + "/demote", query: o.query()})
}

// Remove takes a node out of the cluster for good: its process ends, or is
// refused when it comes back, unless with an empty data folder.
func (m *Membership) Remove(ctx context.Context, node string, o Changing) (MemberChange, error) {
	return m.member(ctx, operatorCall{op: "remove " + node, method: http.MethodDelete, path: "/members" + escapedPath(node), query: o.query()})
}

// Leave takes the node that answers out of the cluster, if it is the named one;
// else it is ErrConflict. It answers when that is done; then the node's process
// ends.
func (m *Membership) Leave(ctx context.Context, node string, o Changing) (MemberChange, error) {
	q := o.query()
	q.Set("node", node)
	return m.member(ctx, operatorCall{op: "leave the cluster", method: http.MethodPost, path: "/leave", query: q})
}

func (m *Membership) member(ctx context.Context, call operatorCall) (did MemberChange, err error) {
	err = m.change(ctx, call, nil, &did.Raw)
	if err == nil {
		err = json.Unmarshal(did.Raw, &did)
	}
	return did, err
}

// Transfer hands the lead to a voter, or with "" to the one that has caught up
// best, and returns who leads then.
func (m *Membership) Transfer(ctx context.Context, to string) (leader string, err error) {
	return m.lead(ctx, operatorCall{op: "transfer the lead", method: http.MethodPost, path: "/transfer"}, map[string]string{"to": to})
}

// StepDown hands the lead over if the node that answers has it; else it is
// ErrConflict.
func (m *Membership) StepDown(ctx context.Context) (leader string, err error) {
	return m.lead(ctx, operatorCall{op: "step down", method: http.MethodPost, path: "/step-down"}, nil)
}

func (m *Membership) lead(ctx context.Context, call operatorCall, body any) (string, error) {
	var answer struct {
		Leader string `json:"leader"`
	}
	err := m.change(ctx, call, body, &answer)
	return answer.Leader, err
}

// Autopilot is when dead members are removed without an operator.
type Autopilot struct {
	Cleanup     bool  `json:"cleanup"`            // whether it is done at all
	MinQuorum   int   `json:"min_quorum"`         // never fewer voters; 0 = 3
	DeadSeconds int64 `json:"dead_after_seconds"` // that nobody has heard of it; 0 = a day
}

// Autopilot returns what was set last.
func (m *Membership) Autopilot(ctx context.Context) (a Autopilot, err error) {
	err = m.read(ctx, operatorCall{op: "show the autopilot", path: "/settings/autopilot"}, &a)
	return a, err
}

// SetAutopilot sets all of it.
func (m *Membership) SetAutopilot(ctx context.Context, a Autopilot) error {
	return m.change(ctx, operatorCall{op: "set the autopilot", method: http.MethodPut, path: "/settings/autopilot"}, a, nil)
}
