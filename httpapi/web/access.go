package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Access says which requests get a line in the log. Such a line never holds a
// query, a header or a body, and of the path only the words that its API has:
// everything else in it is data, and may be all that protects a bucket.
type Access struct {
	All  bool          // every request; otherwise at debug level only
	Slow time.Duration // those that take at least so long, as warnings; 0 = none. Streams last as long as their clients like
}

// maxSegments bounds what is logged of a path.
const maxSegments = 12

// shape returns an escaped path in which everything but words of the API is {}.
func shape(escaped string, words map[string]bool) string {
	var b strings.Builder
	segments := 0
	for part := range strings.SplitSeq(strings.TrimPrefix(escaped, "/"), "/") {
		if segments++; segments > maxSegments {
			return b.String() + "/..."
		}
		b.WriteByte('/')
		switch {
		case words[part]:
			b.WriteString(part)
		case part != "":
			b.WriteString("{}")
		}
	}
	return b.String()
}

// Words returns the segments of paths, or of templates of paths in which parts
// in braces stand for data. It is for API.Words.
func Words(paths ...string) map[string]bool {
	words := make(map[string]bool)
	for _, p := range paths {
		for part := range strings.SplitSeq(p, "/") {
			if part != "" && !strings.ContainsAny(part, "{}") {
				words[part] = true
			}
		}
	}
	return words
}

// log writes the lines that a request is to have.
func (a *API) log(w *response, r *http.Request, took time.Duration) {
	ctx := r.Context()
	level := slog.LevelDebug
	if a.Access.All {
		level = slog.LevelInfo
	}
	slow := a.Access.Slow > 0 && took >= a.Access.Slow && !w.stream
	if !slow && !a.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("api", a.Name), slog.String("request", w.id), slog.String("method", method(r.Method)),
		slog.String("path", shape(r.URL.EscapedPath(), a.Words)), slog.Int("status", w.status), slog.Int64("bytes", w.bytes),
		millis("took_ms", took), slog.String("client", a.Proxies.Client(r).String()),
	}
	if w.failed != "" {
		attrs = append(attrs, slog.String("failed", w.failed))
	}
	if slow {
		// The rest of the time was the server's: its own work, and the commit.
		attrs = append(attrs, millis("waiting_ms", w.waited), millis("receiving_ms", w.body.took))
		a.Log.LogAttrs(context.WithoutCancel(ctx), slog.LevelWarn, "slow request", attrs...)
		return
	}
	a.Log.LogAttrs(ctx, level, "request", attrs...)
}

// millis is a time as a number that any reader of the log understands.
func millis(name string, d time.Duration) slog.Attr {
	return slog.Float64(name, float64(d.Microseconds())/1000)
}

// method is a request's method for the log: a client may send any text as one.
func method(text string) string {
	for _, m := range methodLabels {
		if m == text {
			return m
		}
	}
	return methodLabels[len(methodLabels)-1]
}

// timedBody measures how long the client takes to send what is read of a body.
type timedBody struct {
	io.ReadCloser
	took time.Duration
}

func (b *timedBody) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := b.ReadCloser.Read(p)
	b.took += time.Since(began)
	return n, err
}
