package vault

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

// told returns the bodies of what waits for a webhook, without their times.
func (w *world) told(h Webhook) (bodies []string) {
	w.t.Helper()
	const stamp = `"timestamp":"2023-11-14T22:13:20Z",`
	for _, item := range w.waiting(h) {
		var q queuedEvent
		if err := json.Unmarshal(item.Payload, &q); err != nil {
			w.t.Fatal(err)
		}
		body := string(q.Body)
		if !strings.Contains(body, stamp) || !strings.HasPrefix(q.Message, "msg_") {
			w.t.Errorf("message %q: %s", q.Message, body)
		}
		bodies = append(bodies, strings.Replace(body, stamp, "", 1))
	}
	return bodies
}

func TestWhatWebhooksAreTold(t *testing.T) {
	w := newWorld(t)
	ann := w.user("ann")
	org := w.organization(ann, "Acme")
	h := w.hook(ann, org, "*")
	project := w.project(ann, org, "Web")
	env := w.environment(ann, project, "live")
	do := func(fn func(*Session) error) {
		t.Helper()
		w.must(ann, fn)
	}
	const value = "a value that nobody is told"
	var id uint64
	do(func(s *Session) error {
		v, err := s.CreateVariable(VariableFields{Key: ptr("API_KEY"), Value: ptr(value), Environment: &env})
		id = v.ID
		return err
	})
	update := func(fields VariableFields) {
		t.Helper()
		do(func(s *Session) error {
			_, err := s.UpdateVariable(id, fields)
			return err
		})
	}
	update(VariableFields{Value: ptr(value + "!")})
	update(VariableFields{Value: ptr(value + "!")}) // it is that already
	update(VariableFields{Key: ptr("API_TOKEN")})
	content, err := ReadImport(FormatEnv, "API_TOKEN="+value+"\nFRESH=1\n")
	if err != nil {
		t.Fatal(err)
	}
	do(func(s *Session) error {
		_, err := s.Import(env, content, true)
		return err
	})
	do(func(s *Session) error { return s.DeleteVariable(id) })
	do(func(s *Session) error {
		_, err := s.UpdateEnvironment(env, EnvironmentFields{Name: ptr("Production")})
		return err
	})
	do(func(s *Session) error { return s.DeleteEnvironment(env) })
	do(func(s *Session) error {
		_, err := s.UpdateProject(project, ProjectFields{Name: ptr("Site")})
		return err
	})
	do(func(s *Session) error { return s.DeleteProject(project) })
	bob := w.member(ann, org, Viewer, "bob")
	do(func(s *Session) error {
		_, _, err := s.ChangeRole(org, fmt.Sprint(bob), "editor")
		return err
	})
	do(func(s *Session) error {
		_, err := s.RemoveMember(org, fmt.Sprint(bob))
		return err
	})
	want := []string{
		`{"event":"project.created","data":{"project":{"id":1,"name":"Web","organization_id":1,"created_by":"ann@example.com"}}}`,
		`{"event":"environment.created","data":{"environment":{"id":1,"name":"live","project_id":1,"created_by":"ann@example.com"}}}`,
		`{"event":"variable.created","data":{"variable":{"id":1,"key":"API_KEY","environment_id":1,"created_by":"ann@example.com"}}}`,
		`{"event":"variable.updated","data":{"variable":{"id":1,"key":"API_KEY","environment_id":1,"updated_by":"ann@example.com"}}}`,
		`{"event":"variable.updated","data":{"variable":{"id":1,"key":"API_TOKEN","old_key":"API_KEY","environment_id":1,"updated_by":"ann@example.com"}}}`,
		`{"event":"variable.created","data":{"variable":{"id":2,"key":"FRESH","environment_id":1,"created_by":"ann@example.com"}}}`,
		`{"event":"variable.updated","data":{"variable":{"id":1,"key":"API_TOKEN","environment_id":1,"updated_by":"ann@example.com"}}}`,
		`{"event":"variable.deleted","data":{"variable":{"id":1,"key":"API_TOKEN","environment_id":1,"deleted_by":"ann@example.com"}}}`,
		`{"event":"environment.updated","data":{"environment":{"id":1,"name":"production","old_name":"live","project_id":1,"updated_by":"ann@example.com"}}}`,
		`{"event":"environment.deleted","data":{"environment":{"id":1,"name":"production","project_id":1,"deleted_by":"ann@example.com"}}}`,
		`{"event":"project.updated","data":{"project":{"id":1,"name":"Site","old_name":"Web","organization_id":1,"updated_by":"ann@example.com"}}}`,
		`{"event":"project.deleted","data":{"project":{"id":1,"name":"Site","organization_id":1,"deleted_by":"ann@example.com"}}}`,
		`{"event":"member.added","data":{"member":{"user_id":2,"email":"bob@example.com","role":"viewer","organization_id":1,"added_by":"ann@example.com"}}}`,
		`{"event":"member.updated","data":{"member":{"user_id":2,"email":"bob@example.com","role":"editor","old_role":"viewer","organization_id":1,"updated_by":"ann@example.com"}}}`,
		`{"event":"member.removed","data":{"member":{"user_id":2,"email":"bob@example.com","role":"editor","organization_id":1,"removed_by":"ann@example.com"}}}`,
	}
	if diff := cmp.Diff(want, w.told(h)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if n := w.holding(value); n != 0 {
		t.Errorf("%d records hold a value in clear", n)
	}
	// Their numbers, by which they go out, ascend, and each has a message of its own.
	messages := map[string]bool{}
	for i, item := range w.waiting(h) {
		var q queuedEvent
		if err := json.Unmarshal(item.Payload, &q); err != nil || messages[q.Message] || item.ID != itemID(uint64(i+1)) {
			t.Errorf("item %d is %s, message %s: %v", i, item.ID, q.Message, err)
		}
		messages[q.Message] = true
	}
}

// A project that moves is told to those whom it leaves and to those to whom it
// comes.
func TestAMoveIsToldOnBothSides(t *testing.T) {
	w := newWorld(t)
	ann := w.user("ann")
	from, to := w.organization(ann, "From"), w.organization(ann, "To")
	project := w.project(ann, from, "Web")
	hooks := []Webhook{w.hook(ann, from, "project.*"), w.hook(ann, to, "project.updated")}
	w.must(ann, func(s *Session) error {
		_, err := s.UpdateProject(project, ProjectFields{Organization: &to})
		return err
	})
	want := []string{`{"event":"project.updated","data":{"project":{"id":1,"name":"Web","organization_id":2,"updated_by":"ann@example.com"}}}`}
	for _, h := range hooks {
		if diff := cmp.Diff(want, w.told(h)); diff != "" {
			t.Errorf("organization %d (-want +got):\n%s", h.Organization, diff)
		}
	}
}

// A webhook hears of its organization and of its events, and of nothing while it
// is switched off.
func TestWhoIsTold(t *testing.T) {
	w := newWorld(t)
	ann := w.user("ann")
	org, other := w.organization(ann, "Acme"), w.organization(ann, "Other")
	all, members, foreign, off := w.hook(ann, org, "*"), w.hook(ann, org, "member.*", "project.deleted"), w.hook(ann, other, "*"), w.hook(ann, org, "*")
	w.must(ann, func(s *Session) error {
		_, err := s.UpdateWebhook(off.ID, WebhookFields{Active: ptr(false)})
		return err
	})
	project := w.project(ann, org, "Web")
	w.must(ann, func(s *Session) error { return s.DeleteProject(project) })
	for _, tt := range []struct {
		name string
		hook Webhook
		want int
	}{{"all", all, 2}, {"some", members, 1}, {"of another organization", foreign, 0}, {"switched off", off, 0}} {
		if got := w.told(tt.hook); len(got) != tt.want {
			t.Errorf("%s: %v, want %d", tt.name, got, tt.want)
		}
	}
	w.must(ann, func(s *Session) error {
		_, err := s.UpdateWebhook(off.ID, WebhookFields{Active: ptr(true)})
		return err
	})
	w.project(ann, org, "Next")
	if got := w.told(off); len(got) != 1 {
		t.Errorf("switched on again: %v", got)
	}
}

func TestPatternsOfEvents(t *testing.T) {
	for _, tt := range []struct {
		pattern, event string
		want           bool
	}{
		{"*", "variable.created", true}, {"variable.*", "variable.created", true}, {"variable.created", "variable.created", true},
		{"variable.created", "variable.created2", false}, {"variable.*", "variables.created", false}, {"member.*", "variable.created", false},
		{"variable", "variable.created", false}, {"", "variable.created", false},
	} {
		if got := names(tt.pattern, tt.event); got != tt.want {
			t.Errorf("%q names %s: %t", tt.pattern, tt.event, got)
		}
	}
	for _, name := range EventNames() {
		family, _, _ := strings.Cut(name, ".")
		for _, pattern := range []string{name, family + ".*", "*"} {
			if !validPattern(pattern) || !names(pattern, name) {
				t.Errorf("%q does not stand for %s", pattern, name)
			}
		}
	}
}

// A change that conflicts is told once, and one that fails not at all.
func TestAChangeIsToldIfAndOnlyIfItIsCommitted(t *testing.T) {
	w := newWorld(t)
	ann := w.user("ann")
	org := w.organization(ann, "Acme")
	h := w.hook(ann, org, "*")
	w.ConflictNext(1)
	w.project(ann, org, "Web")
	if got := w.told(h); len(got) != 1 {
		t.Errorf("after a conflict: %v", got)
	}
	w.FailNext(errs.E(errs.Unavailable, "no quorum"))
	if err := w.as(ann, func(s *Session) error {
		_, err := s.CreateProject(ProjectFields{Name: ptr("Lost"), Organization: &org})
		return err
	}); err == nil {
		t.Fatal("the commit was to fail")
	}
	if err := w.as(ann, func(s *Session) error {
		if _, err := s.CreateProject(ProjectFields{Name: ptr("Taken back"), Organization: &org}); err != nil {
			return err
		}
		return errs.E(errs.Invalid, "the rest is wrong")
	}); err == nil {
		t.Fatal("the transaction was to fail")
	}
	if got := w.told(h); len(got) != 1 {
		t.Errorf("after failures: %v", got)
	}
}

// The largest import is told to as many webhooks as there can be; what is too
// much is refused whole.
func TestWhatOneRequestMayTell(t *testing.T) {
	w := newWorld(t)
	ann := w.user("ann")
	org := w.organization(ann, "Acme")
	project := w.project(ann, org, "Web")
	var last Webhook
	for range MaxWebhooks {
		last = w.hook(ann, org, "variable.*")
	}
	importKeys := func(env uint64, key string) error {
		var text strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&text, "%s_%d=x\n", key, i)
		}
		content, err := ReadImport(FormatEnv, text.String())
		if err != nil {
			t.Fatal(err)
		}
		return w.as(ann, func(s *Session) error {
			_, err := s.Import(env, content, true)
			return err
		})
	}
	if err := importKeys(w.environment(ann, project, "one"), strings.Repeat("K", 30)); err != nil {
		t.Fatal(err)
	}
	if got := len(w.waiting(last)); got != 1000 {
		t.Errorf("%d messages", got)
	}
	two := w.environment(ann, project, "two")
	wantKind(t, importKeys(two, strings.Repeat("K", 250)), errs.TooLarge)
	w.must(ann, func(s *Session) error {
		e, err := s.Environment(two)
		if e.Variables != 0 || len(w.waiting(last)) != 1000 {
			t.Errorf("%d variables, %d messages", e.Variables, len(w.waiting(last)))
		}
		return err
	})
}
