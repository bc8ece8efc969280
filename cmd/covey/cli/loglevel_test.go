package cli

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coveydb/covey/httpapi/admin"
)

func TestTheLogLevelOfNodesIsShownAndChanged(t *testing.T) {
	w := newCrew(t)
	node := func() (url string, level *slog.LevelVar) {
		level = new(slog.LevelVar)
		s := httptest.NewServer(admin.New(admin.Config{Cluster: w, DB: w.store.DB, Root: w.root, LogLevel: level, Log: slog.New(slog.DiscardHandler)}))
		t.Cleanup(s.Close)
		return s.URL, level
	}
	one, first := node()
	two, second := node()
	both := one + "," + two
	if got, want := w.verb(0, "cluster", "log-level", "--endpoint", both), one+"\tinfo\n"+two+"\tinfo"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.verb(0, "cluster", "log-level", "DEBUG", "--endpoint", both)
	if first.Level() != slog.LevelDebug || second.Level() != slog.LevelDebug {
		t.Errorf("the levels are %v and %v", first, second)
	}
	w.verb(2, "cluster", "log-level", "loud", "--endpoint", both)
	w.verb(2, "cluster", "log-level", "info", "-o", "nonsense", "--endpoint", both)
	w.verb(6, "cluster", "log-level", "--endpoint", "http://127.0.0.1:1")
	if o := w.asRoot("cluster", "log-level", "warn", "--endpoint", one+",http://127.0.0.1:1"); o.code != 8 || o.out != one+"\twarn\n" || !strings.Contains(o.errOut, "1 of 2") {
		t.Errorf("with a node that is down: %+v", o)
	}
	if o := w.run("cluster", "log-level", "error", "--endpoint", both); o.code != 4 || first.Level() != slog.LevelWarn {
		t.Errorf("without the root key: %+v", o)
	}
	if o := w.asRoot("cluster", "log-level", "--endpoint", w.url); o.code != 3 {
		t.Errorf("a node whose log has no level: %+v", o)
	}
}
