package keynest

import (
	"fmt"
	"strings"
	"testing"
)

func TestAnEnvironmentFromItsCreationToItsEnd(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	w.project(ann, 1, "Web")
	shape := func(name, kind, description, updated string) string {
		return fmt.Sprintf(`{"id":1,"name":%q,"project":1,"project_name":"Web","environment_type":%q,"description":%s,
			"created_at":%q,"updated_at":%q,"created_by_name":"","variable_count":0,"max_versions":10}`, name, kind, description, started, updated)
	}
	w.is(201, shape("prod-eu_1", "development", "null", started), w.send(ann, "POST", "/api/environments/", `{"name":" Prod-EU_1 ","project":1}`))
	w.is(200, shape("prod-eu_1", "development", "null", started), w.get(ann, "/api/environments/1"))
	w.store.Advance(90e9)
	const later = "2023-11-14T22:14:50Z"
	w.is(200, shape("prod", "production", `"of the shop"`, later),
		w.send(ann, "PATCH", "/api/environments/1/", `{"name":"PROD","environment_type":"production","description":"of the shop"}`))
	w.is(200, shape("prod", "production", `"of the shop"`, later), w.do("PUT", "/api/environments/1", "name=Prod&project=1", asForm, as(ann)))
	w.is(200, shape("prod", "production", `null`, later), w.send(ann, "PATCH", "/api/environments/1/", `{"description":null,"project":1}`))
	w.is(200, `{"count":1,"next":null,"previous":null,"results":[`+shape("prod", "production", "null", later)+`]}`, w.get(ann, "/api/environments/"))
	if a := w.send(ann, "DELETE", "/api/environments/1/", ""); a.code != 204 || a.body != "" {
		t.Errorf("deleted with %d %q", a.code, a.body)
	}
	w.notFound(w.get(ann, "/api/environments/1/"))
	w.notFound(w.get(ann, "/api/environments/1/variables/"))
	if id := w.environment(ann, 1, "prod"); id != 2 {
		t.Errorf("the next environment has id %d", id)
	}
}

func TestWhatIsWrongWithAnEnvironment(t *testing.T) {
	w := newShared(t)
	w.project(w.bob, 4, "Elsewhere")
	const characters = `{"name":["Environment name can only contain letters, numbers, hyphens, and underscores."]}`
	for _, tt := range []struct{ name, body, details string }{
		{"nothing", `{}`, `{"name":["This field is required."],"project":["This field is required."]}`},
		{"a short name", `{"name":"p","project":1}`, `{"name":["Environment name must be at least 2 characters long."]}`},
		{"a blank name", `{"name":"","project":1}`, `{"name":["This field may not be blank."]}`},
		{"a name with a blank", `{"name":"a b","project":1}`, characters},
		{"a name with a line break", `{"name":"a\nB=c","project":1}`, characters},
		{"a name beyond ASCII", `{"name":"prodé","project":1}`, characters},
		{"a long name", `{"name":"` + strings.Repeat("n", 101) + `","project":1}`, `{"name":["Ensure this field has no more than 100 characters."]}`},
		{"a type that there is not", `{"name":"qa","project":1,"environment_type":"qa"}`, `{"environment_type":["\"qa\" is not a valid choice."]}`},
		{"no type", `{"name":"qa","project":1,"environment_type":null}`, `{"environment_type":["This field may not be null."]}`},
		{"an empty type", `{"name":"qa","project":1,"environment_type":""}`, `{"environment_type":["\"\" is not a valid choice."]}`},
		{"a project that is not there", `{"name":"qa","project":999}`, `{"project":["Invalid pk \"999\" - object does not exist."]}`},
		{"somebody else's project", `{"name":"qa","project":2}`, `{"project":["Invalid pk \"2\" - object does not exist."]}`},
		{"a project as an object", `{"name":"qa","project":{"id":1}}`, `{"project":["Incorrect type. Expected pk value, received dict."]}`},
		{"all of it at once", `{"name":"?!","project":true,"environment_type":1}`,
			`{"name":["Environment name can only contain letters, numbers, hyphens, and underscores."],
			"project":["Incorrect type. Expected pk value, received bool."],"environment_type":["\"1\" is not a valid choice."]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.invalid(tt.details, w.send(w.ann, "POST", "/api/environments/", tt.body))
		})
	}
	const taken = "An environment with this name already exists in this project."
	w.faulty(409, "CONFLICT", taken, `{"name":["`+taken+`"]}`, w.send(w.ann, "POST", "/api/environments/", `{"name":"DEV","project":1}`))
	w.environment(w.ann, 1, "staging")
	w.faulty(409, "CONFLICT", taken, `{"name":["`+taken+`"]}`, w.send(w.ann, "PATCH", "/api/environments/2/", `{"name":"dev"}`))
	w.project(w.ann, 1, "Other")
	w.environment(w.ann, 3, "dev") // the name is another project's
	w.invalid(`{"project":["An environment cannot be moved to another project."]}`, w.send(w.ann, "PATCH", "/api/environments/1/", `{"project":3}`))
	w.invalid(`{"project":["Invalid pk \"2\" - object does not exist."]}`, w.send(w.ann, "PATCH", "/api/environments/1/", `{"project":2}`))
	w.invalid(`{"name":["This field is required."],"project":["This field is required."]}`, w.send(w.ann, "PUT", "/api/environments/1/", `{}`))
}

func TestWhoMayDoWhatWithEnvironments(t *testing.T) {
	w := newShared(t)
	w.codes([5]int{200, 200, 200, 404, 401}, "GET", "/api/environments/1/", nil)
	w.codes([5]int{200, 200, 200, 404, 401}, "GET", "/api/environments/1/variables/", nil)
	w.codes([5]int{200, 200, 403, 404, 401}, "PATCH", "/api/environments/1/", func() string { return `{"description":"d"}` })
	n := 0
	w.codes([5]int{201, 201, 403, 400, 401}, "POST", "/api/environments/", func() string {
		n++
		return fmt.Sprintf(`{"name":"env%d","project":1}`, n)
	})
	w.forbidden(w.send(w.eve, "DELETE", "/api/environments/1/", ""))
	w.forbidden(w.send(w.vic, "DELETE", "/api/environments/1/", ""))
	w.notFound(w.send(w.bob, "DELETE", "/api/environments/1/", ""))
	w.counts(3, 3, w.get(w.vic, "/api/environments/"))
	w.counts(0, 0, w.get(w.bob, "/api/environments/"))
}

func TestListsOfEnvironmentsNarrowedDown(t *testing.T) {
	w := newShared(t)
	w.project(w.bob, 4, "Elsewhere")
	w.environment(w.bob, 2, "bobs")
	w.project(w.ann, 1, "Other")
	w.create(w.ann, "/api/environments/", map[string]any{"name": "live", "project": 3, "environment_type": "production"})
	w.create(w.ann, "/api/environments/", map[string]any{"name": "stage", "project": 1, "environment_type": "staging"})
	for _, tt := range []struct{ query, want string }{
		{"", "dev,live,stage"},
		{"project=1", "dev,stage"},
		{"project=3", "live"},
		{"project=2", ""}, // bob's
		{"project=999", ""},
		{"project=0", ""},
		{"project=-1", ""},
		{"project=", "dev,live,stage"},
		{"environment_type=production", "live"},
		{"environment_type=", "dev,live,stage"},
		{"environment_type=testing", ""},
		{"environment_type=staging&project=1", "stage"},
		{"environment_type=staging&project=3", ""},
		{"page_size=2&page=2", "stage"},
	} {
		t.Run(tt.query, func(t *testing.T) {
			w := w.in(t)
			w.lists(tt.want, "name", w.get(w.ann, "/api/environments/?"+tt.query))
		})
	}
	w.invalid(`{"environment_type":["\"qa\" is not a valid choice."]}`, w.get(w.ann, "/api/environments/?environment_type=qa"))
	w.invalid(`{"project":["A valid integer is required."]}`, w.get(w.ann, "/api/environments/?project=web"))
	w.invalid(`{"project":["A valid integer is required."],"environment_type":["\"qa\" is not a valid choice."]}`,
		w.get(w.ann, "/api/environments/?project=web&environment_type=qa"))
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.get(strings.Repeat("0", 40), "/api/environments/?project=web"))
}

// The lists below a project and below an environment hold everything, unless
// pages are asked for.
func TestWholeLists(t *testing.T) {
	w := newShared(t)
	for i := range 24 {
		w.environment(w.ann, 1, fmt.Sprintf("env%d", i))
		w.variable(w.ann, 1, fmt.Sprintf("KEY%d", i), "v")
	}
	w.variable(w.ann, 1, "A_LAST_ONE", "v") // ids order, not keys
	for _, path := range []string{"/api/projects/1/environments/", "/api/environments/1/variables"} {
		a := w.get(w.ann, path)
		w.counts(25, 25, a)
		var page struct{ Next, Previous *string }
		if w.read(200, a, &page); page.Next != nil || page.Previous != nil {
			t.Errorf("%s has pages beside it: %v %v", path, page.Next, page.Previous)
		}
		w.counts(25, 10, w.get(w.ann, path+"?page_size=10"))
		w.counts(25, 5, w.get(w.ann, path+"?page_size=10&page=last"))
		w.counts(25, 20, w.get(w.ann, path+"?page=1"))
		w.fails(404, "NOT_FOUND", "Invalid page.", w.get(w.ann, path+"?page=3"))
		w.notFound(w.get(w.bob, path))
		w.notFound(w.get(w.bob, path+"?page=1"))
	}
	w.notFound(w.get(w.ann, "/api/projects/9/environments/"))
	if names := w.names("key", w.get(w.ann, "/api/environments/1/variables/")); !strings.HasSuffix(names, ",KEY23,A_LAST_ONE") {
		t.Errorf("not in the order of ids: %s", names)
	}
	w.is(200, `{"count":0,"next":null,"previous":null,"results":[]}`, w.get(w.ann, "/api/environments/2/variables/"))
}
