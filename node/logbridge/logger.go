package logbridge

import (
	"context"
	"io"
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// levelTrace is where hclog's Trace lands: below slog's Debug.
const levelTrace = slog.LevelDebug - 4

// component is the attribute that carries a logger's name.
const component = "component"

// demoted lists lines whose writers sound the alarm at what is everyday life in
// a cluster. That a member cannot be reached, say, Raft reports as "failed to
// contact" a few times and then holds its peace; the heartbeats and appends that
// find the same would fill the log for as long as the member is away.
var demoted = map[string]slog.Level{
	"aborting pipeline replication":                              slog.LevelDebug,
	"appendEntries rejected, sending older logs":                 slog.LevelInfo,
	"compacting logs":                                            slog.LevelDebug,
	"duplicate requestVote for same term":                        slog.LevelDebug,
	"failed to appendEntries to":                                 slog.LevelDebug,
	"failed to decode incoming command":                          slog.LevelInfo,
	"failed to flush response":                                   slog.LevelInfo,
	"failed to get previous log":                                 slog.LevelInfo,
	"failed to heartbeat to":                                     slog.LevelDebug,
	"failed to make requestVote RPC":                             slog.LevelInfo,
	"heartbeat timeout reached, starting election":               slog.LevelInfo,
	"no known peers, aborting election":                          slog.LevelInfo,
	"no logs to truncate":                                        slog.LevelDebug,
	"peer has newer term, stopping replication":                  slog.LevelInfo,
	"pipelining replication":                                     slog.LevelDebug,
	"previous log term mis-match":                                slog.LevelInfo,
	"rejecting pre-vote request since our last index is greater": slog.LevelInfo,
	"rejecting pre-vote request since our last term is greater":  slog.LevelInfo,
	"rejecting pre-vote request since we have a leader":          slog.LevelInfo,
	"rejecting vote request since our last index is greater":     slog.LevelInfo,
	"rejecting vote request since our last term is greater":      slog.LevelInfo,
	"rejecting vote request since we have a leader":              slog.LevelInfo,
	"unable to get address for server, using fallback address":   slog.LevelDebug,
}

// Logger is an hclog.Logger in front of a slog.Handler. It is safe for
// concurrent use. SetLevel does nothing: the handler decides.
type Logger struct {
	handler slog.Handler
	name    string
	implied []any // hclog's pairs, for ImpliedArgs; the handler below has them too
	base    slog.Handler
}

// New returns a logger without a name that writes to l. With nil it writes to
// slog.Default().
func New(l *slog.Logger) *Logger {
	if l == nil {
		l = slog.Default()
	}
	return &Logger{handler: l.Handler(), base: l.Handler()}
}

// Log writes one line; args are pairs of key and value.
func (l *Logger) Log(level hclog.Level, msg string, args ...any) {
	if level == hclog.Off {
		return
	}
	at := slogLevel(level)
	if to, ok := demoted[msg]; ok && to < at {
		at = to
	}
	ctx := context.Background()
	if !l.handler.Enabled(ctx, at) {
		return
	}
	r := slog.NewRecord(time.Now(), at, msg, 0)
	r.AddAttrs(attrs(args)...)
	// A handler that cannot write has nowhere to say so.
	_ = l.handler.Handle(ctx, r)
}

func (l *Logger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *Logger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *Logger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *Logger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *Logger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *Logger) IsTrace() bool { return l.enabled(hclog.Trace) }
func (l *Logger) IsDebug() bool { return l.enabled(hclog.Debug) }
func (l *Logger) IsInfo() bool  { return l.enabled(hclog.Info) }
func (l *Logger) IsWarn() bool  { return l.enabled(hclog.Warn) }
func (l *Logger) IsError() bool { return l.enabled(hclog.Error) }

func (l *Logger) enabled(level hclog.Level) bool {
	return l.handler.Enabled(context.Background(), slogLevel(level))
}

// GetLevel returns the lowest level that is written.
func (l *Logger) GetLevel() hclog.Level {
	for level := hclog.Trace; level <= hclog.Error; level++ {
		if l.enabled(level) {
			return level
		}
	}
	return hclog.Off
}

// SetLevel does nothing.
func (l *Logger) SetLevel(hclog.Level) {}

// With returns a logger that adds the pairs to each line.
func (l *Logger) With(args ...any) hclog.Logger {
	implied := append(append([]any(nil), l.implied...), args...)
	return l.derive(l.name, implied)
}

// ImpliedArgs returns the pairs given to With.
func (l *Logger) ImpliedArgs() []any { return l.implied }

// Name returns the name that Named and ResetNamed have set.
func (l *Logger) Name() string { return l.name }

// Named returns a logger whose name has another part behind a dot.
func (l *Logger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.derive(name, l.implied)
}

// ResetNamed returns a logger of that name.
func (l *Logger) ResetNamed(name string) hclog.Logger { return l.derive(name, l.implied) }

func (l *Logger) derive(name string, implied []any) *Logger {
	h := l.base
	if name != "" {
		h = h.WithAttrs([]slog.Attr{slog.String(component, name)})
	}
	if len(implied) > 0 {
		h = h.WithAttrs(attrs(implied))
	}
	return &Logger{handler: h, base: l.base, name: name, implied: implied}
}

// StandardLogger returns a log.Logger whose lines end here; see StandardWriter.
func (l *Logger) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(o), "", 0)
}

// StandardWriter returns a writer that takes each Write for a line. With
// InferLevels a prefix such as "[WARN]" sets the level; without, it is Info.
// InferLevelsWithTimestamp is taken for InferLevels: StandardLogger has no
// timestamps.
func (l *Logger) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	if o == nil {
		o = &hclog.StandardLoggerOptions{}
	}
	return &lines{l: l, o: *o}
}

type lines struct {
	l *Logger
	o hclog.StandardLoggerOptions
}

func (w *lines) Write(p []byte) (int, error) {
	level, msg := splitLevel(strings.TrimRight(string(p), " \t\n"))
	switch {
	case w.o.ForceLevel != hclog.NoLevel:
		level = w.o.ForceLevel
	case !w.o.InferLevels:
		level = hclog.Info
	}
	w.l.Log(level, msg)
	return len(p), nil
}

// splitLevel cuts a prefix such as "[ERR] " off a line.
func splitLevel(line string) (hclog.Level, string) {
	word, rest, ok := strings.Cut(line, "]")
	if !ok || !strings.HasPrefix(word, "[") {
		return hclog.Info, line
	}
	name := word[1:]
	if name == "ERR" {
		name = "ERROR"
	}
	level := hclog.LevelFromString(name)
	if level == hclog.NoLevel || level == hclog.Off {
		return hclog.Info, line
	}
	return level, strings.TrimSpace(rest)
}

func slogLevel(level hclog.Level) slog.Level {
	switch level {
	case hclog.Trace:
		return levelTrace
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	}
	return slog.LevelInfo
}
