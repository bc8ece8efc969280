package admin

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/auth"
)

// debugger is the API of a node whose log has a level that can be changed.
func debugger(level *slog.LevelVar, log *strings.Builder) func(method, path, key, body string) *httptest.ResponseRecorder {
	h := New(Config{Root: auth.NewRootKey("root-key-of-the-test"), LogLevel: level, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))})
	return func(method, path, key, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
}

func TestTheLevelOfTheLogIsChangedWhileItRuns(t *testing.T) {
	var level slog.LevelVar
	var log strings.Builder
	do := debugger(&level, &log)
	const path, key = "/cluster/log-level", "root-key-of-the-test"
	if w := do("GET", path, key, ""); w.Code != 200 || w.Body.String() != "{\"level\":\"info\"}\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, to := range []string{"debug", "error", "warn"} {
		if w := do("PUT", path, key, `{"level":"`+to+`"}`); w.Code != 200 || strings.ToLower(level.Level().String()) != to {
			t.Errorf("to %s: %d %s, it is %s", to, w.Code, w.Body, level.Level())
		}
	}
	if n := strings.Count(log.String(), "an operator changes"); n != 3 {
		t.Errorf("%d of 3 changes are in the log:\n%s", n, &log)
	}
	for name, body := range map[string]string{"no level": `{}`, "another": `{"level":"loud"}`, "an offset": `{"level":"INFO+3"}`, "no JSON": `debug`, "more": `{"level":"info","x":1}`} {
		if w := do("PUT", path, key, body); w.Code != 400 || level.Level() != slog.LevelWarn {
			t.Errorf("%s: %d %s, it is %s", name, w.Code, w.Body, level.Level())
		}
	}
	if w := do("POST", path, key, ""); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestDebuggingNeedsTheRootKey(t *testing.T) {
	var level slog.LevelVar
	do := debugger(&level, new(strings.Builder))
	for path, want := range map[string]int{
		"/cluster/log-level": 200, "/debug/pprof/": 200, "/debug/pprof/goroutine": 200, "/debug/pprof/cmdline": 200, "/debug/pprof/symbol": 200,
		"/debug/pprof/none": 404, "/debug/pprof/trace?seconds=0.01": 200, "/debug/pprof/profile?seconds=1": 200, "/debug/pprof": 404, "/debug": 404,
	} {
		if w := do("GET", path, "root-key-of-the-test", ""); w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
		if want == 404 {
			continue
		}
		for _, key := range []string{"", "another"} {
			if w := do("GET", path, key, ""); w.Code != http.StatusUnauthorized {
				t.Errorf("%s with the key %q: %d", path, key, w.Code)
			}
		}
	}
	if w := do("PUT", "/cluster/log-level", "", `{"level":"debug"}`); w.Code != 401 || level.Level() != slog.LevelInfo {
		t.Errorf("without a key: %d, it is %s", w.Code, level.Level())
	}
}
