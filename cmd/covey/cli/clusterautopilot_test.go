package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAutopilotAloneShowsWhatIsSet(t *testing.T) {
	w := newCrew(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/cluster/settings/autopilot" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		_, _ = w.Write([]byte(`{"cleanup":true,"min_quorum":5,"dead_after_seconds":3600}`))
	}))
	t.Cleanup(api.Close)
	for _, args := range [][]string{{"cluster", "autopilot"}, {"cluster", "autopilot", "get"}} {
		if got, want := w.verb(0, append(args, "--endpoint", api.URL)...), "on\t5\t1h0m0s"; got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
	if o := w.asRoot("cluster", "autopilot", "gett", "--endpoint", api.URL); o.code != 2 || !strings.Contains(o.errOut, `did you mean "get"`) {
		t.Errorf("a verb that there is not: %+v", o)
	}
}
