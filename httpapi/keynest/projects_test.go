package keynest

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// shared is a world in which ann is the admin of organization 1, eve an editor,
// vic a viewer, and bob, with an organization of his own, no member. Organization
// 1 has project 1 with environment 1, called dev.
type shared struct {
	*world
	ann, eve, vic, bob string // tokens
}

func newShared(t testing.TB, change ...func(*settings)) *shared {
	t.Helper()
	w := &shared{world: newWorld(t, change...)}
	w.ann = w.register("ann")
	w.eve, w.vic, w.bob = w.register("eve"), w.register("vic"), w.register("bob")
	w.invite(w.ann, 1, "eve", "editor")
	w.invite(w.ann, 1, "vic", "viewer")
	w.project(w.ann, 1, "Web")
	w.environment(w.ann, 1, "dev")
	return w
}

// in is the same world for a subtest.
func (w *shared) in(t *testing.T) *shared {
	inner := *w.world
	inner.t = t
	return &shared{&inner, w.ann, w.eve, w.vic, w.bob}
}

// codes checks the statuses that ann, eve, vic, bob and nobody get, in this
// order. body is drawn for each of them.
func (w *shared) codes(want [5]int, method, path string, body func() string) {
	w.t.Helper()
	for i, token := range []string{w.ann, w.eve, w.vic, w.bob, ""} {
		text := ""
		if body != nil {
			text = body()
		}
		if a := w.send(token, method, path, text); a.code != want[i] {
			w.t.Errorf("%s %s by %s: %d %s, want %d", method, path, []string{"the admin", "the editor", "the viewer", "a stranger", "nobody"}[i], a.code, a.body, want[i])
		}
	}
}

// names returns what a list shows of one field, with commas between.
func (w *world) names(field string, a response) string {
	w.t.Helper()
	var v struct{ Results []map[string]any }
	w.read(200, a, &v)
	var names []string
	for _, r := range v.Results {
		names = append(names, fmt.Sprint(r[field]))
	}
	return strings.Join(names, ",")
}

// lists checks what a list shows of one field.
func (w *world) lists(want, field string, a response) {
	w.t.Helper()
	if got := w.names(field, a); got != want {
		w.t.Errorf("listed %q, want %q", got, want)
	}
}

const webProject = `{"id":1,"name":"Web","description":null,"organization":1,"organization_name":"ann's Organization",
	"created_at":"` + started + `","updated_at":"` + started + `","created_by_name":"","environment_count":0}`

func TestAProjectFromItsCreationToItsEnd(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	w.is(201, webProject, w.send(ann, "POST", "/api/projects/", `{"name":" Web ","organization":1,"unknown":true}`))
	w.is(200, webProject, w.get(ann, "/api/projects/1"))
	w.store.Advance(90e9)
	changed := `{"id":1,"name":"Web 2.0","description":"of ünïcode","organization":1,"organization_name":"ann's Organization",
		"created_at":"` + started + `","updated_at":"2023-11-14T22:14:50Z","created_by_name":"","environment_count":0}`
	w.is(200, changed, w.send(ann, "PATCH", "/api/projects/1/", `{"name":"Web 2.0","description":"of ünïcode"}`))
	w.is(200, changed, w.send(ann, "PATCH", "/api/projects/1", `{}`))
	w.is(200, changed, w.do("PUT", "/api/projects/1/", "name=Web+2.0&organization=1", asForm, as(ann)))
	w.is(200, `{"count":1,"next":null,"previous":null,"results":[`+changed+`]}`, w.get(ann, "/api/projects/"))
	if a := w.send(ann, "DELETE", "/api/projects/1/", ""); a.code != 204 || a.body != "" {
		t.Errorf("deleted with %d %q", a.code, a.body)
	}
	w.notFound(w.get(ann, "/api/projects/1/"))
	w.notFound(w.send(ann, "DELETE", "/api/projects/1/", ""))
	if id := w.project(ann, 1, "Next"); id != 2 {
		t.Errorf("the next project has id %d, which one had before or nobody expects", id)
	}
}

func TestWhatIsWrongWithAProject(t *testing.T) {
	w := newShared(t)
	for _, tt := range []struct{ name, body, details string }{
		{"nothing", `{}`, `{"name":["This field is required."],"organization":["This field is required."]}`},
		{"no body", ``, `{"name":["This field is required."],"organization":["This field is required."]}`},
		{"a short name", `{"name":" W ","organization":1}`, `{"name":["Project name must be at least 2 characters long."]}`},
		{"a blank name", `{"name":"  ","organization":1}`, `{"name":["This field may not be blank."]}`},
		{"a name with a tab", `{"name":"a\tb","organization":1}`,
			`{"name":["Project name can only contain letters, numbers, spaces, hyphens, underscores, and dots."]}`},
		{"a long name", `{"name":"` + strings.Repeat("n", 256) + `","organization":1}`, `{"name":["Ensure this field has no more than 255 characters."]}`},
		{"types", `{"name":true,"organization":"x","description":[]}`,
			`{"name":["Not a valid string."],"organization":["Incorrect type. Expected pk value, received str."],"description":["Not a valid string."]}`},
		{"nulls", `{"name":null,"organization":null}`, `{"name":["This field may not be null."],"organization":["This field may not be null."]}`},
		{"an organization that is not there", `{"name":"Web","organization":999}`, `{"organization":["Invalid pk \"999\" - object does not exist."]}`},
		{"somebody else's organization", `{"name":"Web","organization":4}`, `{"organization":["Invalid pk \"4\" - object does not exist."]}`},
		{"organization 0", `{"name":"Web","organization":0}`, `{"organization":["Invalid pk \"0\" - object does not exist."]}`},
		{"a negative organization", `{"name":"Web","organization":-1}`, `{"organization":["Invalid pk \"-1\" - object does not exist."]}`},
		{"an endless organization", `{"name":"Web","organization":99999999999999999999}`,
			`{"organization":["Invalid pk \"99999999999999999999\" - object does not exist."]}`},
		{"half an organization", `{"name":"Web","organization":1.5}`, `{"organization":["Incorrect type. Expected pk value, received float."]}`},
		{"all of it at once", `{"name":"?","organization":999,"description":false}`,
			`{"name":["Project name must be at least 2 characters long."],"organization":["Invalid pk \"999\" - object does not exist."],"description":["Not a valid string."]}`},
		{"a list", `[1]`, `{"non_field_errors":["Invalid data. Expected a dictionary, but got list."]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.invalid(tt.details, w.send(w.ann, "POST", "/api/projects/", tt.body))
		})
	}
	w.counts(1, 1, w.get(w.ann, "/api/projects/"))
	w.invalid(`{"organization":["This field is required."]}`, w.send(w.ann, "PUT", "/api/projects/1/", `{"name":"Web"}`))
	w.invalid(`{"organization":["Invalid pk \"4\" - object does not exist."]}`, w.send(w.ann, "PATCH", "/api/projects/1/", `{"organization":4}`))
	w.is(201, `{"id":2,"name":"55","description":"1.50","organization":1,"organization_name":"*","created_at":"*","updated_at":"*","created_by_name":"","environment_count":0}`,
		w.send(w.ann, "POST", "/api/projects/", `{"name":55,"organization":"1","description":1.50}`))
}

func TestRightsComeBeforeFields(t *testing.T) {
	w := newShared(t)
	bad := func() string { return `{"name":true,"organization":1,"project":1,"environment":1,"key":"?"}` }
	w.codes([5]int{400, 400, 403, 404, 401}, "PATCH", "/api/projects/1/", bad)
	w.codes([5]int{400, 400, 403, 404, 401}, "PUT", "/api/environments/1/", bad)
	w.codes([5]int{400, 400, 403, 400, 401}, "POST", "/api/projects/", bad)
	w.codes([5]int{400, 400, 403, 400, 401}, "POST", "/api/environments/", bad)
	w.codes([5]int{400, 400, 403, 400, 401}, "POST", "/api/variables/", bad)
	w.codes([5]int{404, 404, 404, 404, 401}, "PATCH", "/api/variables/77/", bad)
	w.codes([5]int{400, 400, 400, 400, 401}, "PATCH", "/api/variables/77/", func() string { return "{" })
	w.fails(403, "PERMISSION_DENIED", "You don't have permission to create projects in this organization.",
		w.send(w.vic, "POST", "/api/projects/", `{"name":"Web","organization":1}`))
	w.fails(403, "PERMISSION_DENIED", "You don't have permission to create environments in this project.",
		w.send(w.vic, "POST", "/api/environments/", `{"name":"prod","project":1}`))
	w.fails(403, "PERMISSION_DENIED", "You don't have permission to create variables in this environment.",
		w.send(w.vic, "POST", "/api/variables/", `{"key":"A","environment":1}`))
}

func TestWhoMayDoWhatWithProjects(t *testing.T) {
	w := newShared(t)
	w.codes([5]int{200, 200, 200, 404, 401}, "GET", "/api/projects/1/", nil)
	w.codes([5]int{200, 200, 200, 404, 401}, "GET", "/api/projects/1/environments/", nil)
	w.codes([5]int{200, 200, 403, 404, 401}, "PATCH", "/api/projects/1/", func() string { return `{"name":"Web"}` })
	w.codes([5]int{201, 201, 403, 400, 401}, "POST", "/api/projects/", func() string { return `{"name":"Web","organization":1}` })
	w.forbidden(w.send(w.eve, "DELETE", "/api/projects/1/", ""))
	w.forbidden(w.send(w.vic, "DELETE", "/api/projects/1/", ""))
	w.notFound(w.send(w.bob, "DELETE", "/api/projects/1/", ""))
	w.counts(3, 3, w.get(w.vic, "/api/projects/"))
	w.counts(0, 0, w.get(w.bob, "/api/projects/"))
}

func TestListsOfProjectsNarrowedDown(t *testing.T) {
	w := newShared(t)
	w.project(w.bob, 4, "Elsewhere")
	second := w.organization(w.ann, "Second")
	w.create(w.ann, "/api/projects/", map[string]any{"name": "Billing", "organization": second, "description": "Invoices, web SHOP"})
	for _, tt := range []struct{ query, want string }{
		{"", "Web,Billing"},
		{"organization=1", "Web"},
		{fmt.Sprintf("organization=%d", second), "Billing"},
		{"organization=4", ""}, // bob's
		{"organization=999", ""},
		{"organization=0", ""},
		{"organization=-3", ""},
		{"organization=99999999999999999999999", ""},
		{"organization=abc", "Web,Billing"},
		{"organization=", "Web,Billing"},
		{"search=WEB", "Web,Billing"},
		{"search=shop", "Billing"},
		{"search=shop&organization=1", ""},
		{"search=else", ""},
		{"search=%", ""},
		{"page=last", "Web,Billing"},
		{"page_size=1", "Web"},
		{"page_size=1&page=last", "Billing"},
		{"page_size=0", "Web,Billing"},
		{"page_size=many", "Web,Billing"},
		{"consistency=stale", "Web,Billing"},
	} {
		t.Run(tt.query, func(t *testing.T) {
			w := w.in(t)
			w.lists(tt.want, "name", w.get(w.ann, "/api/projects/?"+tt.query))
		})
	}
	for _, page := range []string{"3", "0", "-1", "x", "99999999999999999999"} {
		w.fails(404, "NOT_FOUND", "Invalid page.", w.get(w.ann, "/api/projects/?page_size=1&page="+page))
	}
}

func TestLinksKeepWhatNarrowsTheListDown(t *testing.T) {
	w := newShared(t)
	for i := range 45 {
		w.project(w.ann, 1, fmt.Sprintf("Site %d", i))
	}
	first := w.get(w.ann, "/api/projects/?search=site&organization=1&page_size=oops")
	w.counts(45, 20, first)
	var page struct{ Next, Previous *string }
	w.read(200, first, &page)
	seen := w.names("name", first)
	for n := 2; page.Next != nil; n++ {
		u, err := url.Parse(*page.Next)
		if err != nil || "http://"+u.Host != w.srv.URL || u.Path != "/api/projects/" {
			t.Fatalf("next is %q (%v)", *page.Next, err)
		}
		if got := u.Query(); got.Get("search") != "site" || got.Get("organization") != "1" || got.Get("page") != fmt.Sprint(n) {
			t.Errorf("page %d is called %q", n, *page.Next)
		}
		a := w.get(w.ann, u.RequestURI())
		seen += "," + w.names("name", a)
		w.read(200, a, &page)
		if previous, _ := url.Parse(*page.Previous); (n == 2) == previous.Query().Has("page") {
			t.Errorf("before page %d comes %q", n, *page.Previous)
		}
	}
	if got := strings.Count(seen, ",") + 1; got != 45 || !strings.HasPrefix(seen, "Site 0,Site 1,") || !strings.HasSuffix(seen, ",Site 44") {
		t.Errorf("going from page to page shows %d projects: %s", got, seen)
	}
}

func TestAMovedProject(t *testing.T) {
	w := newShared(t)
	w.variable(w.ann, 1, "SECRET", " moved \n")
	second := w.organization(w.ann, "Second")
	body := fmt.Sprintf(`{"organization":%d}`, second)
	// An editor here who is nothing there must not learn that it is there.
	w.invalid(fmt.Sprintf(`{"organization":["Invalid pk \"%d\" - object does not exist."]}`, second), w.send(w.eve, "PATCH", "/api/projects/1/", body))
	w.invite(w.ann, second, "eve", "viewer")
	w.fails(403, "PERMISSION_DENIED", "You don't have permission to create projects in this organization.", w.send(w.eve, "PATCH", "/api/projects/1/", body))
	a := w.send(w.ann, "PATCH", "/api/projects/1/", body)
	w.is(200, fmt.Sprintf(`{"id":1,"name":"Web","description":null,"organization":%d,"organization_name":"Second",
		"created_at":"*","updated_at":"*","created_by_name":"","environment_count":1}`, second), a)
	w.notFound(w.get(w.vic, "/api/projects/1/"))
	w.notFound(w.get(w.vic, "/api/environments/1/variables/"))
	w.lists(" moved \n", "decrypted_value", w.get(w.ann, "/api/environments/1/variables/"))
	w.lists("[HIDDEN]", "decrypted_value", w.get(w.eve, "/api/environments/1/variables/"))
	w.lists("", "name", w.get(w.ann, "/api/projects/?organization=1"))
	w.lists("Web", "name", w.get(w.ann, fmt.Sprintf("/api/projects/?organization=%d", second)))
	w.is(200, `{"id":1,"name":"*","description":"*","created_at":"*","updated_at":"*","member_count":3,"project_count":0,"user_role":"admin"}`,
		w.get(w.ann, "/api/organizations/1/"))
}

const onceKey = "Idempotency-Key: 0123456789abcdef"

func TestARepeatedRequestTakesEffectOnce(t *testing.T) {
	w := newShared(t)
	long := `{"name":"Once","organization":1,"description":"` + strings.Repeat("d", 5000) + `"}`
	for _, wantReplayed := range []string{"", "true"} {
		a := w.send(w.ann, "POST", "/api/projects/", long, onceKey)
		if w.made(a) != 2 || a.header.Get("Covey-Replayed") != wantReplayed {
			t.Errorf("made %.200s, replayed %q", a.body, a.header.Get("Covey-Replayed"))
		}
		a = w.send(w.ann, "POST", "/api/variables/", `{"key":"A","value":"v","environment":1}`, onceKey)
		if w.made(a) != 1 || !strings.Contains(a.body, `"decrypted_value":"v"`) {
			t.Errorf("made %s", a.body)
		}
		w.read(200, w.send(w.ann, "PATCH", "/api/projects/2/", `{"name":"Twice"}`, onceKey), &struct{}{})
	}
	w.lists("Web,Twice", "name", w.get(w.ann, "/api/projects/"))
	w.read(200, w.send(w.ann, "PATCH", "/api/projects/2/", `{"name":"Thrice"}`), &struct{}{})
	w.is(200, `{"id":2,"name":"Thrice","description":"*","organization":1,"organization_name":"*","created_at":"*","updated_at":"*","created_by_name":"","environment_count":0}`,
		w.send(w.ann, "PATCH", "/api/projects/2/", `{"name":"Twice"}`, onceKey))
	for range 2 {
		if a := w.send(w.ann, "DELETE", "/api/projects/2/", "", onceKey); a.code != 204 {
			t.Errorf("deleted with %d %s", a.code, a.body)
		}
	}
	w.notFound(w.send(w.ann, "POST", "/api/projects/", long, onceKey))
}
