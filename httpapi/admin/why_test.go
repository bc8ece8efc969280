package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coveydb/covey/cluster/events"
	"github.com/coveydb/covey/cluster/why"
	"github.com/coveydb/covey/internal/auth"
)

type explainer struct {
	asked  why.Question
	events []events.Event
}

func (e *explainer) Why(_ context.Context, q why.Question) []why.Finding {
	e.asked = q
	return []why.Finding{{Subject: why.Leader, Severity: why.OK, Text: "n1 leads & <serves>"}}
}

func (e *explainer) Events() []events.Event { return e.events }

func TestTheClusterExplainsItself(t *testing.T) {
	const key = "explain-root-key-0123456789"
	e := &explainer{}
	h := New(Config{Explain: e, Root: auth.NewRootKey(key)})
	ask := func(method, path, credential string) (int, string) {
		r := httptest.NewRequest(method, path, nil)
		if credential != "" {
			r.Header.Set("Authorization", "Bearer "+credential)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	for path, want := range map[string]why.Question{
		"/cluster/why":                     {},
		"/cluster/why?node=n2":             {Node: "n2"},
		"/cluster/why?about=leader":        {About: why.Leader},
		"/cluster/why?about=writes":        {About: why.Writes},
		"/cluster/why?about=voter&node=n4": {About: why.Voter, Node: "n4"},
		"/cluster/why?about=stop&node=n1":  {About: why.Stop, Node: "n1"},
	} {
		code, body := ask("GET", path, key)
		if code != 200 || e.asked != want || body != `{"findings":[{"subject":"leader","severity":"ok","text":"n1 leads & <serves>"}]}` {
			t.Errorf("%s: %d %s, asked %+v", path, code, body, e.asked)
		}
	}
	for _, path := range []string{"/cluster/why?about=weather", "/cluster/why?about=stop", "/cluster/why?about=voter"} {
		if code, body := ask("GET", path, key); code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, body := ask("GET", "/cluster/events", key); code != 200 || body != `{"events":[]}` {
		t.Errorf("no events: %d %s", code, body)
	}
	e.events = []events.Event{{Kind: events.Leads, Term: 3, Text: "x"}, {Kind: events.SlowWrite, Parts: &events.Parts{Total: 600, Fsync: 590}}}
	var got struct{ Events []events.Event }
	if code, body := ask("GET", "/cluster/events", key); code != 200 || json.Unmarshal([]byte(body), &got) != nil || len(got.Events) != 2 || got.Events[1].Parts.Fsync != 590 {
		t.Errorf("events: %d %s", code, body)
	}
	for _, path := range []string{"/cluster/why", "/cluster/events"} {
		if code, _ := ask("GET", path, ""); code != http.StatusUnauthorized {
			t.Errorf("%s without the root key: %d", path, code)
		}
		if code, _ := ask("POST", path, key); code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, code)
		}
	}
}
