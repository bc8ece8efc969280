package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// nestCalled is a call that a server of the KeyNest API got.
type nestCalled struct{ method, target, auth, body string }

// nest answers in turn, with the last answer for all that follow.
func nest(t *testing.T, answers ...http.HandlerFunc) (*Nest, func() []nestCalled) {
	t.Helper()
	var mu sync.Mutex
	var calls []nestCalled
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		calls = append(calls, nestCalled{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), strings.TrimSpace(string(body))})
		turn := min(len(calls), len(answers)) - 1
		mu.Unlock()
		answers[turn](w, r)
	})
	return open(t, Config{Endpoints: []string{url}, Timeout: 5 * time.Second}).Nest("tok"), func() []nestCalled {
		mu.Lock()
		defer mu.Unlock()
		return calls
	}
}

func TestCallsOfAUserAreThoseOfTheAPI(t *testing.T) {
	ctx := t.Context()
	name, empty := "N", ""
	const u, list = "Bearer tok", "?page=1&page_size=100"
	tests := []struct {
		name string
		call func(n *Nest) error
		want nestCalled
	}{
		{"register", func(n *Nest) error {
			_, err := n.Register(ctx, NewUser{Email: "a@b.c", Username: "ann", Password: "p"})
			return err
		}, nestCalled{"POST", "/auth/register/", "", `{"email":"a@b.c","username":"ann","password":"p"}`}},
		{"login", func(n *Nest) error { _, err := n.Login(ctx, "a@b.c", "<&>"); return err },
			nestCalled{"POST", "/auth/login/", "", `{"email":"a@b.c","password":"<&>"}`}},
		{"logout", func(n *Nest) error { return n.Logout(ctx) }, nestCalled{"POST", "/auth/logout/", u, ""}},
		{"profile", func(n *Nest) error { _, err := n.Profile(ctx); return err }, nestCalled{"GET", "/auth/profile/", u, ""}},
		{"names", func(n *Nest) error { _, err := n.UpdateProfile(ctx, nil, &empty); return err },
			nestCalled{"PATCH", "/auth/profile/", u, `{"last_name":""}`}},
		{"password", func(n *Nest) error { _, err := n.ChangePassword(ctx, "old", "new"); return err },
			nestCalled{"POST", "/auth/password/", u, `{"confirm_new_password":"new","current_password":"old","new_password":"new"}`}},
		{"organizations", func(n *Nest) error { return drained(n.Organizations(ctx)) }, nestCalled{"GET", "/organizations/" + list, u, ""}},
		{"organization", func(n *Nest) error { _, err := n.Organization(ctx, 7); return err }, nestCalled{"GET", "/organizations/7/", u, ""}},
		{"new organization", func(n *Nest) error { _, err := n.CreateOrganization(ctx, NestText{Name: &name}); return err },
			nestCalled{"POST", "/organizations/", u, `{"name":"N"}`}},
		{"change organization", func(n *Nest) error { _, err := n.UpdateOrganization(ctx, 7, NestText{Description: &empty}); return err },
			nestCalled{"PATCH", "/organizations/7/", u, `{"description":""}`}},
		{"delete organization", func(n *Nest) error { return n.DeleteOrganization(ctx, 7) }, nestCalled{"DELETE", "/organizations/7/", u, ""}},
		{"members", func(n *Nest) error { _, err := n.Members(ctx, 7); return err }, nestCalled{"GET", "/organizations/7/members/", u, ""}},
		{"invite", func(n *Nest) error { _, err := n.Invite(ctx, 7, "b@b.c", "editor"); return err },
			nestCalled{"POST", "/organizations/7/invite_member/", u, `{"email":"b@b.c","role":"editor"}`}},
		{"role", func(n *Nest) error { _, err := n.SetRole(ctx, 7, 2, "viewer"); return err },
			nestCalled{"PATCH", "/organizations/7/update_member_role/", u, `{"role":"viewer","user_id":2}`}},
		{"remove", func(n *Nest) error { return n.RemoveMember(ctx, 7, 2) },
			nestCalled{"DELETE", "/organizations/7/remove_member/", u, `{"user_id":2}`}},
		{"projects", func(n *Nest) error { return drained(n.Projects(ctx, 7, "a b")) },
			nestCalled{"GET", "/projects/?organization=7&page=1&page_size=100&search=a+b", u, ""}},
		{"new project", func(n *Nest) error { _, err := n.CreateProject(ctx, 7, NestText{Name: &name}); return err },
			nestCalled{"POST", "/projects/", u, `{"name":"N","organization":7}`}},
		{"move project", func(n *Nest) error { _, err := n.UpdateProject(ctx, 3, 8, NestText{}); return err },
			nestCalled{"PATCH", "/projects/3/", u, `{"organization":8}`}},
		{"project", func(n *Nest) error { _, err := n.Project(ctx, 3); return err }, nestCalled{"GET", "/projects/3/", u, ""}},
		{"delete project", func(n *Nest) error { return n.DeleteProject(ctx, 3) }, nestCalled{"DELETE", "/projects/3/", u, ""}},
		{"environments", func(n *Nest) error { return drained(n.Environments(ctx, 3, "staging")) },
			nestCalled{"GET", "/environments/?environment_type=staging&page=1&page_size=100&project=3", u, ""}},
		{"environment", func(n *Nest) error { _, err := n.Environment(ctx, 4); return err }, nestCalled{"GET", "/environments/4/", u, ""}},
		{"new environment", func(n *Nest) error {
			_, err := n.CreateEnvironment(ctx, 3, NestEnvironmentFields{NestText: NestText{Name: &name}})
			return err
		},
			nestCalled{"POST", "/environments/", u, `{"name":"N","project":3}`}},
		{"change environment", func(n *Nest) error {
			_, err := n.UpdateEnvironment(ctx, 4, NestEnvironmentFields{Type: "testing"})
			return err
		},
			nestCalled{"PATCH", "/environments/4/", u, `{"environment_type":"testing"}`}},
		{"delete environment", func(n *Nest) error { return n.DeleteEnvironment(ctx, 4) }, nestCalled{"DELETE", "/environments/4/", u, ""}},
		{"export", func(n *Nest) error {
			_, err := n.Export(ctx, 4, NestExport{Format: "json", Style: "shell", Resolve: true})
			return err
		}, nestCalled{"GET", "/environments/4/export/?format=json&resolve=true&style=shell", u, ""}},
		{"diff", func(n *Nest) error { _, err := n.Diff(ctx, 4, 5, true); return err },
			nestCalled{"GET", "/environments/4/diff/?values=true&with=5", u, ""}},
		{"copy", func(n *Nest) error { _, err := n.Copy(ctx, 4, NestCopy{To: 5, Overwrite: true}); return err },
			nestCalled{"POST", "/environments/4/copy/", u, `{"to":5,"overwrite":true}`}},
		{"promote", func(n *Nest) error {
			_, err := n.Promote(ctx, 4, NestCopy{To: 5, Keys: []string{"A"}, RemoveMissing: true, DryRun: true})
			return err
		}, nestCalled{"POST", "/environments/4/promote/", u, `{"to":5,"keys":["A"],"dry_run":true,"remove_missing":true}`}},
		{"roll back environment", func(n *Nest) error { _, err := n.RollBackEnvironment(ctx, 4, "2026-01-31", true); return err },
			nestCalled{"POST", "/environments/4/rollback/", u, `{"at":"2026-01-31","dry_run":true}`}},
		{"variables", func(n *Nest) error {
			_, _, err := n.Variables(ctx, 4, NestVariableQuery{Resolve: true, At: "2026-01-31"})
			return err
		}, nestCalled{"GET", "/environments/4/variables/?at=2026-01-31&resolve=true", u, ""}},
		{"find variables", func(n *Nest) error { return drained(n.FindVariables(ctx, 4, "API")) },
			nestCalled{"GET", "/variables/?environment=4&key=API&page=1&page_size=100", u, ""}},
		{"variable", func(n *Nest) error { _, err := n.Variable(ctx, 9, true); return err }, nestCalled{"GET", "/variables/9/?resolve=true", u, ""}},
		{"new variable", func(n *Nest) error { _, err := n.CreateVariable(ctx, 4, "A", " x "); return err },
			nestCalled{"POST", "/variables/", u, `{"environment":4,"key":"A","value":" x "}`}},
		{"change variable", func(n *Nest) error {
			_, err := n.UpdateVariable(ctx, 9, NestVariableChange{Value: &empty, Version: 3})
			return err
		},
			nestCalled{"PATCH", "/variables/9/", u, `{"value":"","version":3}`}},
		{"delete variable", func(n *Nest) error { return n.DeleteVariable(ctx, 9) }, nestCalled{"DELETE", "/variables/9/", u, ""}},
		{"versions", func(n *Nest) error { return drained(n.Versions(ctx, 9)) }, nestCalled{"GET", "/variables/9/versions/" + list, u, ""}},
		{"version", func(n *Nest) error { _, err := n.Version(ctx, 9, 2); return err }, nestCalled{"GET", "/variables/9/versions/2/", u, ""}},
		{"roll back", func(n *Nest) error { _, err := n.RollBack(ctx, 9, 2); return err },
			nestCalled{"POST", "/variables/9/rollback/", u, `{"version":2}`}},
		{"audit", func(n *Nest) error {
			return drained(n.AuditLog(ctx, NestAuditQuery{User: 1, Action: "create", TargetType: "variable", DateFrom: "2026-01-01", DateTo: "2026-01-02"}))
		}, nestCalled{"GET", "/audit-logs/?action=create&date_from=2026-01-01&date_to=2026-01-02&page=1&page_size=100&target_type=variable&user=1", u, ""}},
		{"service tokens", func(n *Nest) error { return drained(n.ServiceTokens(ctx, 7, 3, 4)) },
			nestCalled{"GET", "/service-tokens/?environment=4&organization=7&page=1&page_size=100&project=3", u, ""}},
		{"new service token", func(n *Nest) error {
			_, err := n.CreateServiceToken(ctx, NewServiceToken{Name: "ci", Environment: 4, ExpiresIn: "30d", Networks: []string{"10.0.0.0/8"}})
			return err
		}, nestCalled{"POST", "/service-tokens/", u, `{"name":"ci","environment":4,"read_only":false,"expires_in":"30d","allowed_networks":["10.0.0.0/8"]}`}},
		{"revoke", func(n *Nest) error { return n.RevokeServiceToken(ctx, 2) }, nestCalled{"DELETE", "/service-tokens/2/", u, ""}},
		{"webhooks", func(n *Nest) error { return drained(n.Webhooks(ctx, 0)) }, nestCalled{"GET", "/webhooks/" + list, u, ""}},
		{"new webhook", func(n *Nest) error {
			_, err := n.CreateWebhook(ctx, NewNestWebhook{URL: "https://h/", Events: []string{"*"}, Organization: 7})
			return err
		}, nestCalled{"POST", "/webhooks/", u, `{"url":"https://h/","events":["*"],"organization":7}`}},
		{"change webhook", func(n *Nest) error {
			off := false
			_, err := n.UpdateWebhook(ctx, "webhook_1", NestWebhookChange{Active: &off, Secret: &empty})
			return err
		}, nestCalled{"PATCH", "/webhooks/webhook_1/", u, `{"is_active":false,"secret":""}`}},
		{"delete webhook", func(n *Nest) error { return n.DeleteWebhook(ctx, "a/b") }, nestCalled{"DELETE", "/webhooks/a%2Fb/", u, ""}},
		{"deliveries", func(n *Nest) error { return drained(n.Deliveries(ctx, "webhook_1")) },
			nestCalled{"GET", "/webhooks/webhook_1/deliveries/" + list, u, ""}},
		{"redeliver", func(n *Nest) error { _, err := n.Redeliver(ctx, "webhook_1", 5); return err },
			nestCalled{"POST", "/webhooks/webhook_1/deliveries/5/redeliver/", u, ""}},
		{"test webhook", func(n *Nest) error { _, err := n.TestWebhook(ctx, "webhook_1"); return err },
			nestCalled{"POST", "/webhooks/webhook_1/test/", u, ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, calls := nest(t, func(w http.ResponseWriter, r *http.Request) {
				open := r.URL.Path == "/api/auth/register/" || r.URL.Path == "/api/auth/login/"
				if wants := r.Method != http.MethodGet && !open; wants != (r.Header.Get("Idempotency-Key") != "") {
					t.Errorf("Idempotency-Key is %q", r.Header.Get("Idempotency-Key"))
				}
				io.WriteString(w, "{}")
			})
			if err := tt.call(n); err != nil {
				t.Fatal(err)
			}
			tt.want.target = "/api" + tt.want.target
			if diff := cmp.Diff([]nestCalled{tt.want}, calls(), cmp.AllowUnexported(nestCalled{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// drained returns the error that ends a sequence.
func drained[T any](all func(func(T, error) bool)) (failed error) {
	for _, err := range all {
		failed = err
	}
	return failed
}

func TestPagesAreReadToTheEnd(t *testing.T) {
	page := func(next string, ids ...int) http.HandlerFunc {
		var items []string
		for _, id := range ids {
			items = append(items, fmt.Sprintf(`{"id":%d}`, id))
		}
		return says(200, `{"count":9,"next":`+next+`,"results":[`+strings.Join(items, ",")+`]}`)
	}
	more, end := `"http://elsewhere/"`, "null"
	for _, tt := range []struct {
		name    string
		answers []http.HandlerFunc
		want    []uint64
		pages   int
		err     error
	}{
		{"one", []http.HandlerFunc{page(end, 1, 2)}, []uint64{1, 2}, 1, nil},
		{"several", []http.HandlerFunc{page(more, 1, 2), page(more, 3), page(end, 4)}, []uint64{1, 2, 3, 4}, 3, nil},
		{"shorter meanwhile", []http.HandlerFunc{page(more, 1, 2), says(404, `{"error":"Invalid page.","code":"NOT_FOUND"}`)}, []uint64{1, 2}, 2, nil},
		{"not there", []http.HandlerFunc{says(404, `{"error":"Not found.","code":"NOT_FOUND"}`)}, nil, 1, ErrNotFound},
		{"refused half way", []http.HandlerFunc{page(more, 1), says(401, `{"error":"Invalid token.","code":"INVALID_TOKEN"}`)}, []uint64{1}, 2, ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, calls := nest(t, tt.answers...)
			var got []uint64
			var failed error
			for o, err := range n.Organizations(t.Context()) {
				if failed = err; err == nil {
					got = append(got, o.ID)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(failed, tt.err) || len(calls()) != tt.pages {
				t.Errorf("%v after %d calls\n%s", failed, len(calls()), diff)
			}
		})
	}
	n, calls := nest(t, page(more, 1, 2))
	for range n.Organizations(t.Context()) {
		break
	}
	if len(calls()) != 1 {
		t.Errorf("%d calls, and only the first thing was wanted", len(calls()))
	}
}

func TestARefusalTellsAllThatTheServerSaid(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		status     int
		kind       error
		says       string
	}{
		{"fields", `{"error":"Validation failed","details":{"name":["Too short."],"key":["Bad.","Long."]},"code":"VALIDATION_ERROR"}`, 400, ErrInvalid,
			"key: Bad. Long.; name: Too short."},
		{"a list", `{"error":"Invalid environment data","details":["Key cannot be empty"],"code":"VALIDATION_ERROR"}`, 400, ErrInvalid,
			"Invalid environment data: Key cannot be empty"},
		{"a text", `{"error":"Service unavailable","details":"no leader","code":"UNAVAILABLE"}`, 503, ErrUnavailable, "Service unavailable: no leader"},
		{"nothing more", `{"error":"Not found.","details":null,"code":"NOT_FOUND"}`, 404, ErrNotFound, "Not found."},
		{"conflicts", `{"error":"Conflicting variables found","details":null,"code":"CONFLICT","conflicts":["A","B"]}`, 409, ErrConflict,
			"Conflicting variables found: A, B"},
		{"a duplicate", `{"error":"It exists.","details":{"key":["It exists."]},"code":"CONFLICT"}`, 409, ErrConflict, "key: It exists."},
		{"references", `{"error":"References cannot be resolved.","code":"VALIDATION_ERROR","references":{"B":"unknown","A":"cycle"}}`, 400, ErrInvalid,
			"References cannot be resolved: A (cycle), B (unknown)"},
		{"rights", `{"error":"No.","details":null,"code":"PERMISSION_DENIED"}`, 403, ErrDenied, "No."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, says(tt.status, tt.body))
			n := open(t, Config{Endpoints: []string{url}, Timeout: time.Second}).Nest("tok")
			_, err := n.Environment(t.Context(), 1)
			var r *NestRefusal
			if !errors.Is(err, tt.kind) || !errors.As(err, &r) || r.Error() != tt.says || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, %+v; want %q", err, r, tt.says)
			}
		})
	}
	n, _ := nest(t, says(409, `{"error":"The variable has changed.","code":"CONFLICT","version":4}`))
	_, err := n.UpdateVariable(t.Context(), 1, NestVariableChange{Version: 3})
	var r *NestRefusal
	if !errors.As(err, &r) || r.Version != 4 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestARepeatIsTheSameRequest(t *testing.T) {
	t.Parallel()      // it waits
	var mu sync.Mutex // a handler whose answer is lost is not waited for
	var keys []string
	note := func(then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			mu.Unlock()
			then(w, r)
		}
	}
	limited := note(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	lost := note(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	busy := note(says(503, `{"error":"Service unavailable","code":"UNAVAILABLE"}`))
	n, calls := nest(t, limited, lost, busy, note(says(201, `{"id":5}`)))
	v, err := n.CreateVariable(t.Context(), 4, "A", "x")
	if err != nil || v.ID != 5 {
		t.Fatalf("%+v, %v", v, err)
	}
	got := calls()
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 4 || len(keys) != 4 || keys[0] == "" {
		t.Fatalf("%d calls, keys %q", len(got), keys)
	}
	for i := range got {
		if got[i] != got[0] || keys[i] != keys[0] {
			t.Errorf("try %d differs: %+v, %q", i+1, got[i], keys[i])
		}
	}
	keys = nil
	n, _ = nest(t, note(says(200, "{}")))
	for _, n := range []*Nest{n.Once("my-own-key-0123456789"), n, n} {
		mu.Unlock()
		err := n.DeleteVariable(t.Context(), 1)
		mu.Lock()
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(keys) != 3 || keys[0] != "my-own-key-0123456789" || keys[1] == keys[2] || keys[1] == keys[0] {
		t.Errorf("keys %q", keys)
	}
}

func TestALimitLongerThanTheTimeOfACallIsAnError(t *testing.T) {
	n, calls := nest(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, err := n.Login(t.Context(), "a@b.c", "the-password")
	var e *Error
	if !errors.Is(err, ErrLimited) || !errors.As(err, &e) || e.RetryAfter != time.Minute || len(calls()) != 1 || strings.Contains(err.Error(), "the-password") {
		t.Errorf("%v after %d calls", err, len(calls()))
	}
}

func TestAnImportIsAFormWithTheBytesOfTheFile(t *testing.T) {
	data := "A=\xff\r\n--boundary"
	n, _ := nest(t, says(200, `{"summary":{"imported":1,"updated":2},"failed_imports":[{"line":3,"key":"K","error":"bad"}]}`))
	done, err := n.Import(t.Context(), 4, NestImport{Data: []byte(data), Format: "env", Keep: true})
	if want := (NestImported{1, 2, []NestFailedLine{{3, "K", "bad"}}}); err != nil || !cmp.Equal(done, want) {
		t.Errorf("%+v, %v", done, err)
	}
	body, err := importBody(NestImport{Data: []byte(data), Format: "env", Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	_, p, err := mime.ParseMediaType(body.contentType)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	form := multipart.NewReader(strings.NewReader(string(body.data)), p["boundary"])
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		got[part.FormName()] = string(text)
	}
	if diff := cmp.Diff(map[string]string{"file": data, "format": "env", "overwrite": "false"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAProfileIsAUsersOrAServiceTokens(t *testing.T) {
	n, _ := nest(t, says(200, `{"id":1,"email":"a@b.c","is_active":true}`), says(200, `{"type":"service_token","id":2,"name":"ci","environment":3}`), says(200, `[]`))
	if p, err := n.Profile(t.Context()); err != nil || p.User == nil || p.User.Email != "a@b.c" || p.ServiceToken != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := n.Profile(t.Context()); err != nil || p.ServiceToken == nil || p.ServiceToken.Name != "ci" || *p.ServiceToken.Environment != 3 || p.User != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := n.Profile(t.Context()); err == nil {
		t.Errorf("%+v", p)
	}
}

func FuzzNestRefusal(f *testing.F) {
	f.Add([]byte(`{"error":"E","code":"C","details":{"a":["b"]}}`))
	f.Add([]byte(`{"error":"E","code":"C","details":["b"],"conflicts":["K"],"references":{"A":"cycle"}}`))
	f.Add([]byte(`{"error":{"message":"m"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := nestRefusal(body)
		if r == nil {
			return
		}
		if !json.Valid(body) || r.Text == "" || r.Code == "" || r.Error() == "" {
			t.Errorf("%q: %+v", body, r)
		}
	})
}
