package nest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coveydb/covey/client"
)

// finder finds what lists has, by path.
func finder(t *testing.T, lists map[string]string) Finder {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, ok := lists[r.URL.Path]
		if !ok {
			t.Errorf("%s was asked for", r.URL)
		}
		io.WriteString(w, list)
	}))
	t.Cleanup(s.Close)
	c, err := client.New(client.Config{Endpoints: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Finder{c.Nest("tok")}
}

func TestNamesBecomeIds(t *testing.T) {
	f := finder(t, map[string]string{
		"/api/organizations/": `{"results":[{"id":1,"name":"Acme","user_role":"admin"},{"id":2,"name":"Other","user_role":"viewer"}]}`,
		"/api/projects/": `{"results":[{"id":3,"name":"Web","organization_name":"Acme"},{"id":4,"name":"web","organization_name":"Acme"},
			{"id":5,"name":"Twice","organization_name":"Acme"},{"id":6,"name":"Twice","organization_name":"Other"},{"id":7,"name":"Mobile App","organization_name":"Acme"}]}`,
		"/api/environments/": `{"results":[{"id":8,"name":"production","project_name":"Web"},{"id":9,"name":"staging","project_name":"Web"},
			{"id":14,"name":"live","project_name":"Secret"}]}`,
		"/api/variables/":               `{"results":[{"id":10,"key":"API_KEY_OLD"},{"id":11,"key":"API_KEY"}]}`,
		"/api/organizations/1/members/": `{"members":[{"id":12,"email":"ann@a.example","username":"ann"},{"id":13,"email":"bob@a.example","username":"bob"}]}`,
	})
	ctx := t.Context()
	environment := func(text string) func() (uint64, error) {
		return func() (uint64, error) { return f.Environment(ctx, text) }
	}
	project := func(text string) func() (uint64, error) {
		return func() (uint64, error) { return f.Project(ctx, text) }
	}
	for _, tt := range []struct {
		name string
		find func() (uint64, error)
		want uint64
		says string
	}{
		{"an id", environment("42"), 42, ""},
		{"an environment", environment("Web/production"), 8, ""},
		{"whatever the case", environment("Web/Staging"), 9, ""},
		{"below a project's id", environment("3/staging"), 9, ""},
		{"an environment without its project", environment("production"), 0, "PROJECT/ENVIRONMENT"},
		{"no environment", environment("Web/"), 0, "PROJECT/ENVIRONMENT"},
		{"zero", environment("0"), 0, "PROJECT/ENVIRONMENT"},
		{"of a project that is not seen", environment("Secret/live"), 14, ""},
		{"of a project that is not there", environment("None/live"), 0, `project "None": not found`},
		{"one that is not there", environment("Web/testing"), 0, `environment "testing": not found`},
		{"a project of this very name", project("Web"), 3, ""},
		{"a project in another case", project("mobile app"), 7, ""},
		{"two projects in another case", project("WEB"), 0, "3 (of Acme) or 4 (of Acme)"},
		{"two projects of a name", project("Twice"), 0, "5 (of Acme) or 6 (of Other)"},
		{"no project", project("None"), 0, "not found"},
		{"an organization", func() (uint64, error) { return f.Organization(ctx, "Other") }, 2, ""},
		{"an organization's id", func() (uint64, error) { return f.Organization(ctx, "9") }, 9, ""},
		{"a variable", func() (uint64, error) { v, err := f.Variable(ctx, 8, "API_KEY"); return v.ID, err }, 11, ""},
		{"no variable", func() (uint64, error) { v, err := f.Variable(ctx, 8, "API"); return v.ID, err }, 0, `variable "API": not found`},
		{"a member's address", func() (uint64, error) { return f.Member(ctx, 1, "bob@a.example") }, 13, ""},
		{"a member's name", func() (uint64, error) { return f.Member(ctx, 1, "ann") }, 12, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.find()
			if got != tt.want || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%d, %v; want %d, %q", got, err, tt.want, tt.says)
			}
			var several *AmbiguousError
			if err != nil && errors.Is(err, client.ErrNotFound) == errors.As(err, &several) {
				t.Errorf("%v is neither not found nor ambiguous, or both", err)
			}
		})
	}
}
