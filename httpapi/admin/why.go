package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/coveydb/covey/cluster/events"
	"github.com/coveydb/covey/cluster/why"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
)

// Explainer is a node that remembers and explains. Why must work without a
// leader, and end soon after ctx does.
type Explainer interface {
	Why(ctx context.Context, q why.Question) []why.Finding
	Events() []events.Event
}

// mountWhy serves what explains the cluster to its operator.
func (a *api) mountWhy(handle func(path string, h web.Handler)) {
	if a.Explain == nil {
		return
	}
	handle("/cluster/why", a.operator(reading(a.why)))
	handle("/cluster/events", a.operator(reading(a.events)))
}

// why answers with findings, the worst first: about everything, or about
// ?about=leader, writes, voter or stop, the last two with ?node=. ?node= alone
// adds whether that node votes and what happens if it stops.
func (a *api) why(w http.ResponseWriter, r *http.Request) error {
	query := web.SplitPairs(r.URL.RawQuery)
	q := why.Question{About: query.Value("about"), Node: query.Value("node")}
	switch q.About {
	case "", why.Leader, why.Writes:
	case why.Voter, why.Stop:
		if q.Node == "" {
			return errs.E(errs.Invalid, "about=%s needs node=, the id of the node", q.About)
		}
	default:
		return errs.E(errs.Invalid, "about is none of %s", strings.Join([]string{why.Leader, why.Writes, why.Voter, why.Stop}, ", "))
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.Wait)
	defer cancel()
	return writeJSON(w, http.StatusOK, struct {
		Findings []why.Finding `json:"findings"`
	}{a.Explain.Why(ctx, q)})
}

// events answers with the last events of this node, the oldest first.
func (a *api) events(w http.ResponseWriter, _ *http.Request) error {
	list := a.Explain.Events()
	if list == nil {
		list = []events.Event{}
	}
	return writeJSON(w, http.StatusOK, struct {
		Events []events.Event `json:"events"`
	}{list})
}
