package keynest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// line is a line of the contract, as an exchange. In its texts {name} is what
// the walk has kept under that name.
type line struct {
	rule    string   // in the contract's words, with its mark
	as      string   // who of the cast asks, "" for nobody
	call    string   // method and path
	body    string   // JSON, unless headers say otherwise
	headers []string // of the request
	code    int
	want    string   // the answer: JSON where "*" is anything, or "= " and a text; "" for no body
	has     []string // headers of the answer, as "Name: pattern"
	keep    string   // the name for the id of what was made
}

// section is a section of the contract, under its number and title.
type section struct {
	title string
	lines []line
	more  map[string]func(*walk) // rules that take more than an exchange
}

// contract is the whole contract in its order, but for what is no matter of the
// wire or not served by this package.
func contract() []section {
	return slices.Concat(addressing(), authentication(), endpoints(), bodies(), errorTexts(), exports(), imports(), auditLog(), webhooks(), versioning(), serviceTokens(), comparing(), required())
}

// walk is a world with a cast, in which the contract is gone through.
type walk struct {
	*world
	kept map[string]string // by name
}

// cast makes the people and things that the contract's lines are about:
//
//   - ada is admin, eve editor and vic viewer of acme; only ada has names
//   - sam is in none of that; his are sams, foreign, lab and hidden
//   - acme has the project web with the environment production and in it key
func newWalk(t *testing.T, change ...func(*settings)) *walk {
	t.Helper()
	k := &walk{world: newWorld(t, change...), kept: map[string]string{}}
	var ada struct{ Token string }
	k.read(201, k.send("", "POST", "/api/auth/register/", adaRegisters), &ada)
	tokens := map[string]string{"ada": ada.Token, "eve": k.register("eve"), "vic": k.register("vic"), "sam": k.register("sam")}
	for i, name := range []string{"ada", "eve", "vic", "sam"} {
		k.kept[name], k.kept[name+" token"] = strconv.Itoa(i+1), tokens[name]
	}
	keep := func(name string, id uint64) uint64 {
		k.kept[name] = strconv.FormatUint(id, 10)
		return id
	}
	acme := keep("acme", k.organization(ada.Token, "Acme Corp"))
	k.invite(ada.Token, acme, "eve", "editor")
	k.invite(ada.Token, acme, "vic", "viewer")
	web := keep("web", k.project(ada.Token, acme, "Web Application"))
	production := keep("production", k.create(ada.Token, "/api/environments/", map[string]any{
		"name": "production", "project": web, "environment_type": "production", "description": "what customers see",
	}))
	keep("key", k.variable(ada.Token, production, "API_KEY", "sk_live_abcd1234567890"))
	sams := keep("sams", k.organization(tokens["sam"], "Sam's Shop"))
	foreign := keep("foreign", k.project(tokens["sam"], sams, "Foreign"))
	lab := keep("lab", k.environment(tokens["sam"], foreign, "lab"))
	keep("hidden", k.variable(tokens["sam"], lab, "HIDDEN", "nobody else's"))
	k.kept["url"] = k.srv.URL
	return k
}

const adaRegisters = `{"username":"ada","email":"ada@example.com","password":"` + password + `","confirm_password":"` + password + `","first_name":"Ada","last_name":"Lovelace"}`

// Shapes of what the cast is and has, as answers show it.
const (
	adaShown = `{"id":1,"username":"ada","email":"ada@example.com","first_name":"Ada","last_name":"Lovelace","full_name":"Ada Lovelace",
		"date_joined":"` + started + `","last_login":"*","is_active":true}`
	acmeShown = `{"id":{acme},"name":"Acme Corp","description":null,"created_at":"` + started + `","updated_at":"*",
		"member_count":3,"project_count":"*","user_role":"admin"}`
	webShown = `{"id":{web},"name":"Web Application","description":null,"organization":{acme},"organization_name":"Acme Corp",
		"created_at":"` + started + `","updated_at":"*","created_by_name":"Ada Lovelace","environment_count":"*"}`
	productionShown = `{"id":{production},"name":"production","project":{web},"project_name":"Web Application","environment_type":"production",
		"description":"what customers see","created_at":"` + started + `","updated_at":"*","created_by_name":"Ada Lovelace","variable_count":"*","max_versions":10}`
	keyShown = `{"id":{key},"key":"API_KEY","decrypted_value":"sk_live_abcd1234567890","environment":{production},"environment_name":"production",
		"created_at":"` + started + `","updated_at":"*","created_by_name":"Ada Lovelace","version":"*"}`
	keyHidden = `{"id":{key},"key":"API_KEY","decrypted_value":"[HIDDEN]","environment":{production},"environment_name":"production",
		"created_at":"` + started + `","updated_at":"*","created_by_name":"Ada Lovelace","version":"*"}`
)

// pageOfOne is a page with one thing and nothing else.
func pageOfOne(thing string) string {
	return `{"count":1,"next":null,"previous":null,"results":[` + thing + `]}`
}

// somePage is a page of anything.
const somePage = `{"count":"*","next":"*","previous":"*","results":"*"}`

// failure is the envelope of an error. details is JSON.
func failure(code, text, details string) string {
	quoted := string(encode(text))
	return fmt.Sprintf(`{"error":%s,"details":%s,"code":%q,"timestamp":"*","detail":%s}`, quoted, details, code, quoted)
}

// fieldFailure is the envelope for one thing that is wrong with one field.
func fieldFailure(field, text string) string {
	return failure("VALIDATION_ERROR", "Validation failed", string(encode(map[string][]string{field: {text}})))
}

// taken is the envelope for a field whose value something else has.
func taken(field, text string) string {
	return failure("CONFLICT", text, string(encode(map[string][]string{field: {text}})))
}

// Envelopes that many lines have.
var (
	isNotFound  = failure("NOT_FOUND", "Not found.", "null")
	isForbidden = failure("PERMISSION_DENIED", "You do not have permission to perform this action.", "null")
)

// fill puts what was kept into a text.
func (k *walk) fill(text string) string {
	for name, value := range k.kept {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// ask makes the request of a line.
func (k *walk) ask(l line) response {
	k.t.Helper()
	method, path, _ := strings.Cut(k.fill(l.call), " ")
	var headers []string
	for _, h := range l.headers {
		headers = append(headers, k.fill(h))
	}
	if l.as != "" {
		headers = append(headers, as(k.kept[l.as+" token"]))
	}
	if l.body != "" && !strings.Contains(strings.Join(l.headers, "\n"), "Content-Type: ") {
		headers = append(headers, asJSON)
	}
	return k.do(method, path, k.fill(l.body), headers...)
}

func callName(method string, at place) string { return fmt.Sprintf("%s of place %d", method, at) }

// check makes the request of a line and holds the answer against it.
func (k *walk) check(l line) response {
	k.t.Helper()
	a := k.ask(l)
	want := k.fill(l.want)
	switch text, exact := strings.CutPrefix(want, "= "); {
	case want == "any" && l.code == a.code:
	case want == "" && l.code != a.code || want == "" && a.body != "" || exact && (text != a.body || l.code != a.code):
		k.t.Errorf("got %d %.600q\nwant %d %.600q", a.code, a.body, l.code, text)
	case want != "" && !exact:
		k.is(l.code, want, a)
	}
	for _, h := range l.has {
		name, pattern, _ := strings.Cut(h, ": ")
		if got := a.header.Get(name); !regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got) {
			k.t.Errorf("%s is %q, want %s", name, got, pattern)
		}
	}
	if l.keep != "" {
		k.kept[l.keep] = strconv.FormatUint(k.made(a), 10)
	}
	return a
}

// The contract from top to bottom. Each line is a subtest under its section.
func TestTheContract(t *testing.T) {
	origins, err := ParseOrigins(DefaultOrigins)
	if err != nil {
		t.Fatal(err)
	}
	k := newWalk(t, func(s *settings) { s.api.Origins = origins })
	for _, s := range contract() {
		t.Run(s.title, func(t *testing.T) {
			run := func(rule string, do func(*walk)) {
				t.Run(strings.ReplaceAll(rule, "/", "∕"), func(t *testing.T) { // a slash would begin another subtest
					here := *k
					here.world = new(*k.world)
					here.t = t
					do(&here)
				})
			}
			for _, l := range s.lines {
				run(l.rule, func(k *walk) { k.check(l) })
			}
			for _, rule := range slices.Sorted(maps.Keys(s.more)) {
				run(rule, s.more[rule])
			}
		})
	}
}

// Each line says where it comes from, and each call that is served is in one of
// them that succeeds.
func TestTheContractIsWhole(t *testing.T) {
	mark := regexp.MustCompile(`\((spec|real|ours|spec, real|spec, ours|real, ours)\)$`)
	served := map[string]bool{}
	check := func(title, rule string) {
		if !mark.MatchString(rule) {
			t.Errorf("%s: %q has no mark", title, rule)
		}
	}
	for _, s := range contract() {
		for _, l := range s.lines {
			check(s.title, l.rule)
			method, path, _ := strings.Cut(l.call, " ")
			path, _, _ = strings.Cut(regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "1"), "?")
			if l.code < 300 {
				served[callName(method, parseTarget(path).place)] = true
			}
		}
		for rule := range s.more {
			check(s.title, rule)
		}
	}
	for at, to := range newRoutes() {
		for method := range to.work {
			if !served[callName(method, at)] {
				t.Errorf("no line for %s", callName(method, at))
			}
		}
	}
}

// parts is a multipart form with the boundary B: names with values, and after
// file:NAME the content of a file.
func parts(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		name := fmt.Sprintf(`name=%q`, pairs[i])
		if filename, ok := strings.CutPrefix(pairs[i], "file:"); ok {
			name = fmt.Sprintf(`name="file"; filename=%q`, filename)
		}
		b.WriteString("--B\r\nContent-Disposition: form-data; " + name + "\r\n\r\n" + pairs[i+1] + "\r\n")
	}
	return b.String() + "--B--\r\n"
}

const asParts = "Content-Type: multipart/form-data; boundary=B"

// limitsOf reads limits of the form that operators give.
func limitsOf(t testing.TB, all, entry string) RateLimits {
	t.Helper()
	return rateLimits(t, all, entry)
}
