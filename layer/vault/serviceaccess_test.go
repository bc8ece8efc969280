package vault

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault/dotenv"
)

// What a method of a Session is for a service token.
type verdict string

const (
	never  verdict = "errs.Forbidden, whatever it is about" // begins with needUser
	opens  verdict = "opens what it is about for an Action" // by organization, project or environment
	lists  verdict = "lists what is in the scope"
	itself verdict = "is about the session, and tells nothing of others"
)

// verdicts has every method of a Session: who adds one has to decide.
var verdicts = map[string]verdict{
	"Tx": itself, "User": itself, "Author": itself, "Itself": itself, "Use": itself, "Readings": itself, "ResolveReferences": itself,

	"Candidate": never, "Logout": never, "UpdateProfile": never, "ChangePassword": never,
	"Organizations": never, "CreateOrganization": never, "CreateProject": never, "CreateEnvironment": never,
	"AuditLog": never, "AuditHeads": never, "AuditPart": never,
	"CreateServiceToken": never, "ServiceTokens": never, "ServiceToken": never, "RenameServiceToken": never, "RevokeServiceToken": never,
	"SealServiceToken": never, "OpenServiceToken": never,
	"CreateWebhook": never, "Webhooks": never,

	"Organization": opens, "UpdateOrganization": opens, "DeleteOrganization": opens,
	"Members": opens, "Invite": opens, "ChangeRole": opens, "RemoveMember": opens,
	"Project": opens, "UpdateProject": opens, "DeleteProject": opens, "ProjectEnvironments": opens,
	"Environment": opens, "UpdateEnvironment": opens, "DeleteEnvironment": opens, "EnvironmentVariables": opens, "EnvironmentAt": opens,
	"Export": opens, "Import": opens, "Compare": opens, "Copy": opens, "Promote": opens, "RollBackEnvironment": opens,
	"Allowed": opens, "AllowedVariable": opens,
	"CreateVariable": opens, "Variable": opens, "UpdateVariable": opens, "DeleteVariable": opens,
	"Version": opens, "Versions": opens, "RollBackVariable": opens,
	"Webhook": opens, "WebhookWithSecret": opens, "UpdateWebhook": opens, "DeleteWebhook": opens,
	"Deliveries": opens, "Delivery": opens, "Redeliver": opens, "TestWebhook": opens,

	"Projects": lists, "Environments": lists, "Variables": lists,
}

// Every method is decided about, and the ones that are for users only refuse a
// service token with zero arguments too: before anything else.
func TestEveryMethodDecidesForServiceTokens(t *testing.T) {
	r := newRig(t)
	_, text := r.issue(r.admin, ofProject(1))
	of := reflect.TypeFor[*Session]()
	known := map[string]bool{}
	for i := range of.NumMethod() {
		name := of.Method(i).Name
		known[name] = true
		v, ok := verdicts[name]
		if !ok {
			t.Errorf("nobody has decided what Session.%s is for a service token", name)
		}
		if v != never && v != opens {
			continue
		}
		err := r.by(text, "", func(s *Session) error {
			method := reflect.ValueOf(s).MethodByName(name)
			in := make([]reflect.Value, method.Type().NumIn())
			for i := range in {
				in[i] = reflect.Zero(method.Type().In(i))
			}
			out := method.Call(in)
			err, _ := out[len(out)-1].Interface().(error)
			return err
		})
		switch {
		case v == never:
			wantError(t, err, errs.Forbidden, textServiceCannot)
		case !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Invalid): // there is no thing 0
			t.Errorf("Session.%s with zero arguments: %v", name, err)
		}
	}
	for name := range verdicts {
		if !known[name] {
			t.Errorf("Session has no method %s", name)
		}
	}
}

// Each action in each place: what is not named here is refused.
func TestServiceTokenActions(t *testing.T) {
	r := newRig(t)
	reads := []Action{ReadOrganization, ReadValue, Export}
	writes := []Action{CreateVariable, UpdateVariable, DeleteVariable, Import, RollBack}
	staging := r.environment(r.admin, 1, "staging")
	other := r.environment(r.admin, r.project(r.admin, r.organization, "Other"), "production")
	foreign := r.environment(r.stranger, r.project(r.stranger, r.world.organization(r.stranger, "Evil"), "Web"), "production")
	for name, tt := range map[string]struct {
		scope []func(*ServiceTokenFields)
		write bool
		in    map[uint64]bool // by environment
	}{
		"environment, read-only": {nil, false, map[uint64]bool{r.env: true, staging: false, other: false, foreign: false}},
		"environment":            {nil, true, map[uint64]bool{r.env: true, staging: false, other: false, foreign: false}},
		"project, read-only":     {[]func(*ServiceTokenFields){ofProject(1)}, false, map[uint64]bool{r.env: true, staging: true, other: false, foreign: false}},
		"project":                {[]func(*ServiceTokenFields){ofProject(1)}, true, map[uint64]bool{r.env: true, staging: true, other: false, foreign: false}},
	} {
		t.Run(name, func(t *testing.T) {
			_, text := r.issue(r.admin, append(tt.scope, func(f *ServiceTokenFields) { f.Write = tt.write })...)
			for _, a := range Actions() {
				for env, in := range tt.in {
					err := r.by(text, "", func(s *Session) error { return s.Allowed(env, a) })
					switch {
					case !in:
						wantError(t, err, errs.NotFound, "Not found.")
					case slices.Contains(reads, a) || tt.write && slices.Contains(writes, a):
						if err != nil {
							t.Errorf("%s: %v", a, err)
						}
					case slices.Contains(writes, a):
						wantError(t, err, errs.Forbidden, textReadOnly)
					default:
						wantError(t, err, errs.Forbidden, textServiceCannot)
					}
				}
				// Of its project it may look at, and no more; of its organization nothing.
				for project, in := range map[uint64]bool{1: len(tt.scope) > 0, 2: false} {
					err := r.by(text, "", func(s *Session) error { _, _, err := s.project(project, a); return err })
					switch {
					case !in:
						wantError(t, err, errs.NotFound, "Not found.")
					case a == ReadOrganization && err != nil:
						t.Errorf("project, %s: %v", a, err)
					case a != ReadOrganization:
						wantError(t, err, errs.Forbidden, textServiceCannot)
					}
				}
				for organization, kind := range map[uint64]errs.Kind{r.organization: errs.Forbidden, 2: errs.NotFound, 99: errs.NotFound} {
					err := r.by(text, "", func(s *Session) error { _, _, err := s.organization(organization, a); return err })
					wantKind(t, err, kind)
				}
			}
		})
	}
}

func TestServiceTokenLists(t *testing.T) {
	r := newRig(t)
	r.mustCreate("A", "x")
	staging := r.environment(r.admin, 1, "staging")
	r.environment(r.admin, r.project(r.admin, r.organization, "Other"), "production")
	_, narrow := r.issue(r.admin)
	_, wide := r.issue(r.admin, ofProject(1))
	type seen struct{ Projects, Environments, Variables []uint64 }
	see := func(text string, organization, project, env uint64) (got seen) {
		err := r.by(text, "", func(s *Session) error {
			p, err1 := s.Projects(ProjectFilter{Organization: organization}, Paging{})
			e, err2 := s.Environments(EnvironmentFilter{Project: project}, Paging{})
			v, err3 := s.Variables(VariableFilter{Environment: env}, Paging{})
			got = seen{}
			for _, item := range p.Items {
				got.Projects = append(got.Projects, item.ID)
			}
			for _, item := range e.Items {
				got.Environments = append(got.Environments, item.ID)
			}
			for _, item := range v.Items {
				got.Variables = append(got.Variables, item.ID)
				if item.Value != "x" {
					t.Errorf("the value is shown as %q", item.Value)
				}
			}
			return errors.Join(err1, err2, err3)
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for name, tt := range map[string]struct {
		text                       string
		organization, project, env uint64
		want                       seen
	}{
		"environment, all":           {narrow, 0, 0, 0, seen{nil, []uint64{r.env}, []uint64{1}}},
		"environment, its own":       {narrow, r.organization, 1, r.env, seen{nil, []uint64{r.env}, []uint64{1}}},
		"environment, its neighbour": {narrow, r.organization, 2, staging, seen{}},
		"project, all":               {wide, 0, 0, 0, seen{[]uint64{1}, []uint64{r.env, staging}, []uint64{1}}},
		"project, its own":           {wide, r.organization, 1, r.env, seen{[]uint64{1}, []uint64{r.env, staging}, []uint64{1}}},
		"project, its neighbour":     {wide, 2, 2, 3, seen{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, see(tt.text, tt.organization, tt.project, tt.env)); diff != "" {
				t.Errorf("seen (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceTokenAtTheDoor(t *testing.T) {
	r := newRig(t)
	_, plain := r.issue(r.admin)
	_, short := r.issue(r.admin, func(f *ServiceTokenFields) { f.ExpiresIn = ptr("1h") })
	_, inside := r.issue(r.admin, func(f *ServiceTokenFields) { f.Networks = []string{"10.0.0.0/8", "2001:db8::1"} })
	other := strings.Map(func(c rune) rune { // another digit for each, but for the prefix
		if c >= '0' && c <= '8' {
			return c + 1
		}
		return c
	}, plain)
	for name, tt := range map[string]struct {
		token, ip string
		kind      errs.Kind
		text      string // "": let in
	}{
		"as it is":              {plain, "192.0.2.1", 0, ""},
		"in capitals":           {ServicePrefix + strings.ToUpper(plain[4:]), "", 0, ""},
		"unknown":               {other, "", errs.Unauthenticated, textInvalidToken},
		"cut short":             {plain[:43], "", errs.Unauthenticated, textInvalidToken},
		"too long":              {plain + "00", "", errs.Unauthenticated, textInvalidToken},
		"no digits":             {ServicePrefix + strings.Repeat("x", 40), "", errs.Unauthenticated, textInvalidToken},
		"the prefix alone":      {ServicePrefix, "", errs.Unauthenticated, textInvalidToken},
		"without its prefix":    {plain[4:], "", errs.Unauthenticated, textInvalidToken},
		"not yet expired":       {short, "", 0, ""},
		"in the network":        {inside, "10.255.0.1", 0, ""},
		"the address":           {inside, "2001:db8::1", 0, ""},
		"IPv4 in IPv6":          {inside, "::ffff:10.0.0.1", 0, ""},
		"the next address":      {inside, "2001:db8::2", errs.Forbidden, textForeign},
		"outside":               {inside, "11.0.0.1", errs.Forbidden, textForeign},
		"from an unknown place": {inside, "", errs.Forbidden, textForeign},
	} {
		t.Run(name, func(t *testing.T) {
			err := bare(r.enters(tt.token, tt.ip))
			if tt.text == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tt.text != "" {
				wantError(t, err, tt.kind, tt.text)
			}
		})
	}
	r.Advance(time.Hour)
	wantError(t, bare(r.enters(short, "")), errs.Unauthenticated, textExpired)
	r.must(r.admin, func(s *Session) error {
		shown, err := s.ServiceToken(2)
		if shown.Active {
			t.Error("an expired token is shown as active")
		}
		return err
	})
}

// What a service token does is recorded as its deed.
func TestServiceTokenInTheAuditLog(t *testing.T) {
	r := newRig(t)
	_, text := r.issue(r.admin)
	var readings []Reading
	err := r.by(text, "192.0.2.7", func(s *Session) error {
		v, err := s.CreateVariable(VariableFields{Key: ptr("A"), Value: ptr("x"), Environment: &r.env})
		if err != nil {
			return err
		}
		if v.CreatorName != "service token ci" {
			t.Errorf("the variable's creator is %q", v.CreatorName)
		}
		_, err = s.Export(r.env, FormatEnv, dotenv.Default)
		readings = s.Readings()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	recorder := NewRecorder(r.DB)
	defer recorder.Close()
	if err := recorder.Record(t.Context(), readings); err != nil {
		t.Fatal(err)
	}
	var got []AuditEntry
	for _, e := range r.entries() {
		if e.ServiceToken == 0 {
			continue
		}
		got = append(got, AuditEntry{User: e.User, UserName: e.UserName, UserEmail: e.UserEmail, ServiceToken: e.ServiceToken, Action: e.Action, IPAddress: e.IPAddress})
	}
	by := AuditEntry{UserName: "service token ci", ServiceToken: 1, IPAddress: "192.0.2.7"}
	created, exported := by, by
	created.Action, exported.Action = "variable_created", "environment_exported"
	if diff := cmp.Diff([]AuditEntry{created, exported}, got); diff != "" {
		t.Errorf("its entries (-want +got):\n%s", diff)
	}
	r.must(r.admin, func(s *Session) error { return s.RevokeServiceToken(1) })
	r.Advance(keptRevoked + time.Second)
	r.must(r.admin, func(s *Session) error {
		v, err := s.Variable(1)
		if v.CreatorName != "" {
			t.Errorf("the creator of a variable, forgotten long ago, is %q", v.CreatorName)
		}
		return err
	})
}
