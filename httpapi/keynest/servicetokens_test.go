package keynest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/layer/vault"
)

// The address is that of the connection, or the one that a trusted proxy names.
func TestServiceTokensBehindAProxy(t *testing.T) {
	proxies, err := web.ParseProxies("127.0.0.0/8, ::1")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(s *settings) { s.api.Proxies = proxies })
	admin := w.register("ann")
	env := w.environment(admin, w.project(admin, 1, "Web"), "live")
	token, _ := w.service(admin, fmt.Sprintf(`{"name":"ci","environment":%d,"allowed_networks":["192.0.2.0/24"]}`, env))
	const inside, outside = "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 198.51.100.1"
	path := at("environments", env, "variables")
	for _, tt := range []struct {
		trusted bool
		header  string
		code    int
	}{{true, inside, 200}, {true, outside, 403}, {false, inside, 403}} {
		if !tt.trusted {
			w.serve()
		}
		if a := w.get(token, path, tt.header); a.code != tt.code {
			t.Errorf("trusted %t, %s: %d, want %d", tt.trusted, tt.header, a.code, tt.code)
		}
	}
}

// A change that is refused leaves nothing, and what is done is told as the
// token's.
func TestServiceTokenIsToldOf(t *testing.T) {
	s := &serviceWorld{company: newCompany(t)}
	s.fresh()
	token, id := s.service(s.tokens["admin"], s.fill(`{"name":"ci","environment":{env},"read_only":false}`, true))
	s.made(s.send(token, "POST", "/api/variables/", s.fill(`{"key":"NEW","value":"n3w","environment":{env}}`, true)))
	if a := s.get(token, s.fill("/api/environments/{env}/export/", true)); a.code != 200 || !strings.Contains(a.body, "NEW=n3w") {
		t.Fatalf("%d %s", a.code, a.body)
	}
	s.is(200, s.fill(`{"count":2,"next":null,"previous":null,"results":[
		{"id":"*","user_name":"service token ci","user_email":"","service_token":`+id+`,"action":"environment_exported","target_type":"environment","target_id":{env},"ip_address":"*","timestamp":"*","details":"*"},
		{"id":"*","user_name":"service token ci","user_email":"","service_token":`+id+`,"action":"variable_created","target_type":"variable","target_id":"*","ip_address":"*","timestamp":"*","details":"*"}
		]}`, true), s.get(s.tokens["admin"], "/api/audit-logs/?service_token="+id))
	var list struct {
		Results []struct {
			LastUsed *string `json:"last_used_at"`
		}
	}
	s.read(200, s.get(s.tokens["admin"], "/api/service-tokens/"), &list)
	if len(list.Results) != 1 || list.Results[0].LastUsed == nil || *list.Results[0].LastUsed != started {
		t.Errorf("last used: %+v", list.Results)
	}
	// A refused write, of a token that is read-only, and its key.
	reader, _ := s.service(s.tokens["admin"], s.fill(`{"name":"ro","environment":{env}}`, true))
	s.fails(403, "PERMISSION_DENIED", serviceReadOnly, s.send(reader, "DELETE", s.fill("/api/variables/{key}/", true), ""))
	if a := s.get(reader, s.fill("/api/variables/{key}/", true)); a.code != 200 || !strings.Contains(a.body, "s3cr3t too") {
		t.Errorf("after a refused deletion: %d %s", a.code, a.body)
	}
}

func TestServiceTokenCreationOnce(t *testing.T) {
	w := newWorld(t)
	admin := w.register("ann")
	env := w.environment(admin, w.project(admin, 1, "Web"), "live")
	body := fmt.Sprintf(`{"name":"ci","environment":%d}`, env)
	const key = "Idempotency-Key: 0123456789abcdef"
	first := w.send(admin, "POST", "/api/service-tokens/", body, key)
	again := w.send(admin, "POST", "/api/service-tokens/", body, key)
	if first.code != 201 || again.code != 201 || first.body != again.body || again.header.Get("Covey-Replayed") != "true" {
		t.Errorf("got %d, repeated %d (replayed %q), the same answer: %t", first.code, again.code, again.header.Get("Covey-Replayed"), first.body == again.body)
	}
	w.counts(1, 1, w.get(admin, "/api/service-tokens/"))
	// Another request under the key is another one, and makes a token of its own.
	other := w.send(admin, "POST", "/api/service-tokens/", fmt.Sprintf(`{"name":"cd","environment":%d}`, env), key)
	if other.code != 201 || strings.Contains(first.body, other.body[strings.Index(other.body, vault.ServicePrefix):]) {
		t.Errorf("another request: %d", other.code)
	}
	if a := w.send(admin, "DELETE", "/api/service-tokens/1/", ""); a.code != 204 {
		t.Fatal(a.code)
	}
	w.notFound(w.send(admin, "POST", "/api/service-tokens/", body, key))
}

// What may be said in more than one way, and what may not.
func TestServiceTokenBodies(t *testing.T) {
	w := newWorld(t)
	admin := w.register("ann")
	w.environment(admin, w.project(admin, 1, "Web"), "live")
	shown := func(readOnly, expires, networks string) string {
		return `{"id":"*","name":"ci","organization":1,"project":null,"environment":1,"read_only":` + readOnly + `,"created_at":"*","created_by":1,"created_by_name":"*",
			"expires_at":` + expires + `,"allowed_networks":` + networks + `,"last_used_at":null,"is_active":true,"token":"*"}`
	}
	for name, tt := range map[string]struct{ kind, body, want string }{
		"nulls":       {asJSON, `{"name":"ci","environment":1,"project":null,"expires_at":null,"expires_in":null,"allowed_networks":null}`, shown("true", "null", "[]")},
		"texts":       {asJSON, `{"name":"ci","environment":"1","read_only":"false","allowed_networks":"10.0.0.0/8, ::1"}`, shown("false", "null", `["10.0.0.0/8","::1/128"]`)},
		"a time":      {asJSON, `{"name":"ci","environment":1,"expires_at":"2024-01-31T11:30:00+01:00"}`, shown("true", `"2024-01-31T10:30:00Z"`, "[]")},
		"a lifetime":  {asJSON, `{"name":"ci","environment":1,"expires_in":"90m"}`, shown("true", `"2023-11-14T23:43:20Z"`, "[]")},
		"a form":      {asForm, `name=ci&environment=1&read_only=0&expires_in=12h&allowed_networks=192.0.2.1%2C10.0.0.0%2F8`, shown("false", `"2023-11-15T10:13:20Z"`, `["192.0.2.1/32","10.0.0.0/8"]`)},
		"no networks": {asJSON, `{"name":"ci","environment":1,"allowed_networks":[]}`, shown("true", "null", "[]")},
	} {
		t.Run(name, func(t *testing.T) {
			here := *w
			here.t = t
			here.is(201, tt.want, here.do("POST", "/api/service-tokens/", tt.body, as(admin), tt.kind))
		})
	}
	// Nothing that is meant to narrow a token down is passed over.
	for field, bad := range map[string]string{
		`"read_only":"maybe"`: `{"read_only":["Must be a valid boolean."]}`, `"read_only":null`: `{"read_only":["This field may not be null."]}`,
		`"read_only":""`: `{"read_only":["Must be a valid boolean."]}`, `"read_only":2`: `{"read_only":["Must be a valid boolean."]}`,
		`"expires_in":""`: `{"expires_in":["Enter a lifetime such as 90m, 12h, 30d or 1y."]}`, `"expires_in":30`: `{"expires_in":["Enter a lifetime such as 90m, 12h, 30d or 1y."]}`,
		`"expires_at":""`: `{"expires_at":["Enter a valid time, such as 2026-01-31T10:30:00Z."]}`, `"expires_at":"2023-11-14"`: `{"expires_at":["Enter a valid time, such as 2026-01-31T10:30:00Z."]}`,
		`"allowed_networks":[1]`: `{"allowed_networks":["Not a valid string."]}`, `"allowed_networks":{"a":1}`: `{"allowed_networks":["Expected a list of items but got type dict."]}`,
		`"allowed_networks":" "`:  `{"allowed_networks":["This field may not be blank."]}`,
		`"allowed_networks":[""]`: `{"allowed_networks":["\"\" is no address, and no network such as 10.0.0.0/8."]}`,
	} {
		t.Run(field, func(t *testing.T) {
			here := *w
			here.t = t
			here.invalid(bad, here.send(admin, "POST", "/api/service-tokens/", `{"name":"ci","environment":1,`+field+`}`))
		})
	}
}

// Pages may use service tokens, and each token is limited by itself.
func TestServiceTokensInPagesAndLimits(t *testing.T) {
	origins, err := ParseOrigins(DefaultOrigins)
	if err != nil {
		t.Fatal(err)
	}
	user, anonymous, err := ParseRateLimit("2 per minute")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	admin := w.register("ann")
	w.environment(admin, w.project(admin, 1, "Web"), "live")
	first, _ := w.service(admin, `{"name":"first","environment":1}`)
	second, _ := w.service(admin, `{"name":"second","environment":1}`)
	w.serve(func(s *settings) {
		s.api.Origins, s.api.RateLimits = origins, RateLimits{User: user, Anonymous: anonymous}
	})
	const page = "Origin: http://localhost:3000"
	if a := w.do(http.MethodOptions, "/api/service-tokens/1/", "", page); a.code != 200 || a.header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "DELETE") || a.header.Get("Allow") != "DELETE, GET, HEAD, OPTIONS, PATCH" {
		t.Errorf("preflight: %d %v", a.code, a.header)
	}
	for _, token := range []string{first, second, admin} { // from one address, and the ids 1 and 2 are users' too
		for i, want := range []int{200, 200, 429} {
			a := w.get(token, "/api/projects/", page)
			if a.code != want || a.header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" {
				t.Errorf("request %d: %d %.200s", i+1, a.code, a.body)
			}
		}
	}
}

// References lead out of the scope for nobody, and a version tells who made it.
func TestServiceTokensReferencesAndVersions(t *testing.T) {
	s := &serviceWorld{company: newCompany(t)}
	s.fresh()
	admin := s.tokens["admin"]
	narrow, _ := s.service(admin, s.fill(`{"name":"narrow","environment":{env},"read_only":false}`, true))
	wide, _ := s.service(admin, s.fill(`{"name":"wide","project":{project}}`, true))
	id := s.made(s.send(narrow, "POST", "/api/variables/", s.fill(`{"key":"REF","value":"${staging.ONLY}","environment":{env}}`, true)))
	resolved := func(token string) (v struct {
		Value      string `json:"decrypted_value"`
		Unresolved string
	}) {
		s.read(200, s.get(token, at("variables", id)+"?resolve=true"), &v)
		return v
	}
	if got := resolved(narrow); got.Value != "[UNRESOLVED]" || got.Unresolved != "forbidden" {
		t.Errorf("out of the scope: %+v", got)
	}
	if got := resolved(wide); got.Value != "n3xt" {
		t.Errorf("in the scope: %+v", got)
	}
	var versions struct {
		Results []struct {
			By   *uint64 `json:"created_by"`
			Name string  `json:"created_by_name"`
		}
	}
	s.read(200, s.get(wide, at("variables", id, "versions")), &versions)
	if len(versions.Results) != 1 || versions.Results[0].By != nil || versions.Results[0].Name != "service token narrow" {
		t.Errorf("versions %+v", versions.Results)
	}
}
