package admin

import (
	"bytes"
	"context"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
)

// fakeMembers remembers what it was asked for.
type fakeMembers struct {
	asked  []cluster.MemberChange
	to     []string
	leader string
	left   bool
	err    error
}

func (f *fakeMembers) ChangeMember(_ context.Context, q cluster.MemberChange) (cluster.MemberChange, error) {
	f.asked = append(f.asked, q)
	q.Done, q.Text, q.Votes = !q.DryRun, "arithmetic", cluster.Votes{Voters: 2, Answers: 2, Needed: 2}
	return q, f.err
}

func (f *fakeMembers) Transfer(_ context.Context, to string) (string, error) {
	f.to = append(f.to, to)
	return f.leader, f.err
}

func (f *fakeMembers) StepDown(context.Context) (string, error) { return f.leader, f.err }

func (f *fakeMembers) Leave(context.Context) (cluster.MemberChange, error) {
	f.left = true
	return cluster.MemberChange{Change: cluster.DoRemove, Node: "n1", Done: true}, f.err
}

func newMembersWorld(t *testing.T) (*world, *fakeMembers) {
	w, f := newWorld(t), &fakeMembers{leader: "n2"}
	w.config.Members, w.cluster.status = f, cluster.Status{ID: "n1"}
	return w, f
}

// operate makes a request as the operator.
func (w *world) operate(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	r.Header.Set("Authorization", "Bearer "+rootKey)
	rec := httptest.NewRecorder()
	New(w.config).ServeHTTP(rec, r)
	return rec
}

func TestTheMembershipIsTheOperators(t *testing.T) {
	w, f := newMembersWorld(t)
	for _, call := range [][2]string{
		{"DELETE", "/cluster/members/n2"}, {"POST", "/cluster/members/n2/promote"}, {"POST", "/cluster/members/n2/demote"}, {"POST", "/cluster/leave"},
		{"POST", "/cluster/transfer"}, {"POST", "/cluster/step-down"}, {"GET", "/cluster/settings/autopilot"}, {"PUT", "/cluster/settings/autopilot"},
	} {
		w.failed(401, "unauthenticated", call[0], call[1])
		w.failed(401, "unauthenticated", call[0], call[1], "Authorization: Bearer another-key")
	}
	if len(f.asked) > 0 || len(f.to) > 0 || f.left {
		t.Errorf("it was done all the same: %+v", f)
	}
}

func TestChangesOfMembersReachTheNode(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		code         int
		want         cluster.MemberChange
	}{
		{"POST", "/cluster/members/n2/promote", 201, cluster.MemberChange{Change: "promote", Node: "n2"}},
		{"POST", "/cluster/members/n2/demote?dry_run=true", 201, cluster.MemberChange{Change: "demote", Node: "n2", DryRun: true}},
		{"DELETE", "/cluster/members/n.2-a", 200, cluster.MemberChange{Change: "remove", Node: "n.2-a"}},
		{"DELETE", "/cluster/members/n2?force=true&dry_run=false", 200, cluster.MemberChange{Change: "remove", Node: "n2", Force: true}},
		{"POST", "/cluster/leave?dry_run=true&node=n1", 201, cluster.MemberChange{Change: "remove", Node: "n1", Leaving: true, DryRun: true}},
	} {
		w, f := newMembersWorld(t)
		rec := w.operate(tt.method, tt.path, "")
		if diff := cmp.Diff([]cluster.MemberChange{tt.want}, f.asked); diff != "" || rec.Code != tt.code {
			t.Errorf("%s %s: %d, (-want +got):\n%s", tt.method, tt.path, rec.Code, diff)
		}
		if got := rec.Body.String(); !bytes.Contains(rec.Body.Bytes(), []byte(`"after":{"voters":2,"answering":2,"needed":2},"text":"arithmetic"`)) {
			t.Errorf("%s %s: %s", tt.method, tt.path, got)
		}
	}
}

func TestARefusalCarriesTheArithmetic(t *testing.T) {
	w, f := newMembersWorld(t)
	const text = "removing n2 would leave 2 voters of which 1 answers; 2 are needed"
	f.err = errs.E(errs.Conflict, "%s", text)
	if rec := w.operate("DELETE", "/cluster/members/n2", ""); rec.Code != 409 && rec.Code != 412 || !bytes.Contains(rec.Body.Bytes(), []byte(text)) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestBadQueriesChangeNothing(t *testing.T) {
	w, f := newMembersWorld(t)
	for _, path := range []string{"/cluster/members/n2?force=yes", "/cluster/members/n2?dry_run=1"} {
		if rec := w.operate("DELETE", path, ""); rec.Code != 400 {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	if rec := w.operate("POST", "/cluster/leave?dry_run=maybe", ""); rec.Code != 400 {
		t.Errorf("leave: %d %s", rec.Code, rec.Body)
	}
	if rec := w.operate("POST", "/cluster/leave?node=n2", ""); rec.Code == 201 || f.left {
		t.Errorf("another node left: %d %s", rec.Code, rec.Body)
	}
	if rec := w.operate("POST", "/cluster/transfer", `{"too":"n2"}`); rec.Code != 400 || len(f.to) > 0 {
		t.Errorf("transfer: %d %s", rec.Code, rec.Body)
	}
	if len(f.asked) > 0 {
		t.Errorf("asked %+v", f.asked)
	}
}

func TestTheLeadMoves(t *testing.T) {
	w, f := newMembersWorld(t)
	for _, body := range []string{"", `{}`, `{"to":"n3"}`} {
		if rec := w.operate("POST", "/cluster/transfer", body); rec.Code != 201 || rec.Body.String() != `{"leader":"n2"}`+"\n" {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
	if diff := cmp.Diff([]string{"", "", "n3"}, f.to); diff != "" {
		t.Error(diff)
	}
	if rec := w.operate("POST", "/cluster/step-down", ""); rec.Code != 201 || rec.Body.String() != `{"leader":"n2"}`+"\n" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.operate("POST", "/cluster/leave?node=n1", ""); rec.Code != 201 || !f.left {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestTheAutopilotIsSetWhole(t *testing.T) {
	w, _ := newMembersWorld(t)
	const set = `{"cleanup":true,"min_quorum":3,"dead_after_seconds":3600}`
	if rec := w.operate("GET", "/cluster/settings/autopilot", ""); rec.Code != 200 || rec.Body.String() != `{"cleanup":false,"min_quorum":0,"dead_after_seconds":0}`+"\n" {
		t.Errorf("at first: %d %s", rec.Code, rec.Body)
	}
	if rec := w.operate("PUT", "/cluster/settings/autopilot", set); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	for _, bad := range []string{`{"cleanup":true,"min_quorum":1}`, `{"cleanup":true,"dead_after_seconds":1}`, `{"cleanup":"on"}`, `{"quorum":3}`, ``} {
		if rec := w.operate("PUT", "/cluster/settings/autopilot", bad); rec.Code != 400 {
			t.Errorf("%s: %d %s", bad, rec.Code, rec.Body)
		}
	}
	if rec := w.operate("GET", "/cluster/settings/autopilot", ""); rec.Body.String() != set+"\n" {
		t.Errorf("then: %s", rec.Body)
	}
}
