package logbridge

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

// recorder returns a logger and what it has written, without the times.
func recorder(level slog.Level) (*Logger, func() string) {
	var buf bytes.Buffer
	h := slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}})
	return New(slog.New(h)), func() string { defer buf.Reset(); return strings.TrimSuffix(buf.String(), "\n") }
}

type named struct{ name string }

func (n *named) String() string { return "named " + n.name }

type pair struct{ A, B int }

func TestValuesAreResolved(t *testing.T) {
	tests := map[string]struct {
		value any
		want  string
	}{
		"a format":            {hclog.Fmt("%d/%s", 1, "x"), `1/x`},
		"an empty format":     {hclog.Format{}, `""`},
		"a format of no text": {hclog.Format{1, 2}, `"1 2"`},
		"a stringer":          {&named{"n1"}, `"named n1"`},
		"a nil stringer":      {(*named)(nil), `<nil>`},
		"an error":            {errors.New("no"), `no`},
		"a wrapped error":     {fmt.Errorf("a: %w", errors.New("b")), `"a: b"`},
		"a duration":          {3 * time.Second, `3s`},
		"hex":                 {hclog.Hex(255), `0xff`},
		"octal":               {hclog.Octal(8), `010`},
		"binary":              {hclog.Binary(5), `0b101`},
		"a quote":             {hclog.Quote("a\n"), `"\"a\\n\""`},
		"a struct":            {pair{1, 2}, `"{A:1 B:2}"`},
		"a list of structs":   {[]pair{{1, 2}}, `"[{A:1 B:2}]"`},
		"a number":            {uint64(7), `7`},
		"nil":                 {nil, `<nil>`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l, written := recorder(slog.LevelInfo)
			l.Info("m", "k", tt.value)
			if got, want := written(), "level=INFO msg=m k="+tt.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestValuesAreNotTouchedBelowTheLevel(t *testing.T) {
	l, written := recorder(slog.LevelWarn)
	l.Info("m", "k", trap{t})
	l.Error("failed to heartbeat to", "k", trap{t}) // demoted to below the level
	if got := written(); got != "" {
		t.Errorf("written: %s", got)
	}
}

type trap struct{ t *testing.T }

func (p trap) String() string { p.t.Error("a value was turned to text"); return "" }

func TestLevels(t *testing.T) {
	l, written := recorder(levelTrace)
	l.Trace("m")
	l.Debug("m")
	l.Info("m")
	l.Warn("m")
	l.Error("m")
	l.Log(hclog.NoLevel, "m")
	l.Log(hclog.Off, "m")
	l.Error("failed to heartbeat to")
	l.Info("failed to get previous log")
	l.Debug("failed to get previous log")
	want := strings.Join([]string{"DEBUG-4", "DEBUG", "INFO", "WARN", "ERROR", "INFO", "DEBUG", "INFO", "DEBUG"}, " ")
	var got []string
	for _, line := range strings.Split(written(), "\n") {
		got = append(got, strings.TrimPrefix(strings.Fields(line)[0], "level="))
	}
	if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
		t.Error(diff)
	}
	for level, want := range map[slog.Level]hclog.Level{
		levelTrace: hclog.Trace, slog.LevelDebug: hclog.Debug, slog.LevelInfo: hclog.Info,
		slog.LevelWarn: hclog.Warn, slog.LevelError: hclog.Error, slog.LevelError + 4: hclog.Off,
	} {
		l, _ := recorder(level)
		l.SetLevel(hclog.Trace) // the handler decides
		if got := l.GetLevel(); got != want {
			t.Errorf("GetLevel = %v, want %v", got, want)
		}
		is := []bool{l.IsTrace(), l.IsDebug(), l.IsInfo(), l.IsWarn(), l.IsError()}
		for i, on := range is {
			if on != (hclog.Level(i+1) >= want && want != hclog.Off) {
				t.Errorf("at %v: level %v enabled: %v", want, hclog.Level(i+1), on)
			}
		}
	}
}

func TestNamesAndImpliedPairs(t *testing.T) {
	l, written := recorder(slog.LevelInfo)
	a := l.Named("raft").With("id", "n1")
	b := a.Named("snapshot").With("index", 7)
	a.Info("m", "k", 1)
	b.Info("m")
	b.ResetNamed("other").Info("m", "odd")
	l.Info("m")
	want := strings.Join([]string{
		"level=INFO msg=m component=raft id=n1 k=1",
		"level=INFO msg=m component=raft.snapshot id=n1 index=7",
		"level=INFO msg=m component=other id=n1 index=7 EXTRA_VALUE_AT_END=odd",
		"level=INFO msg=m",
	}, "\n")
	if diff := cmp.Diff(want, written()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"id", "n1", "index", 7}, b.ImpliedArgs()); diff != "" {
		t.Error(diff)
	}
	if b.Name() != "raft.snapshot" {
		t.Errorf("name %q", b.Name())
	}
}

func TestLinesOfAStandardLogger(t *testing.T) {
	l, written := recorder(slog.LevelDebug)
	infer := l.StandardLogger(&hclog.StandardLoggerOptions{InferLevels: true})
	infer.Print("[ERR] memberlist: a")
	infer.Print("[WARN] b")
	infer.Print("[DEBUG] c")
	infer.Print("[off] d")
	infer.Print("no level] e")
	l.StandardLogger(nil).Print("[ERR] f")
	l.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}).Print("[ERR] g")
	want := strings.Join([]string{
		`level=ERROR msg="memberlist: a"`,
		`level=WARN msg=b`,
		`level=DEBUG msg=c`,
		`level=INFO msg="[off] d"`,
		`level=INFO msg="no level] e"`,
		`level=INFO msg=f`,
		`level=DEBUG msg=g`,
	}, "\n")
	if diff := cmp.Diff(want, written()); diff != "" {
		t.Error(diff)
	}
}

func FuzzSplitLevel(f *testing.F) {
	for _, s := range []string{"", "[", "]", "[]", "[ERR]", "[ERR] x", "[x] y", "a [WARN] b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		level, msg := splitLevel(line)
		if !strings.HasSuffix(strings.TrimSpace(line), msg) && msg != line {
			t.Errorf("%q became %q", line, msg)
		}
		if level < hclog.Trace || level > hclog.Error {
			t.Errorf("level %v", level)
		}
	})
}
