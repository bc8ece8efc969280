package cluster

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// expected are parts of memberlist's warnings and errors that only say that
// some node is down, restarted, moved or foreign. Gossip logs those itself,
// once; here they are for debugging.
var expected = []string{
	"Refuting", "Conflicting address", "ignoring alive message", "Push/Pull with", "Failed fallback TCP ping",
	"failed to resolve", "Failed to send", "Failed to push local state", "Failed to read remote state",
	"Failed push/pull merge", "Got ping for unexpected", "Failed to decode ping", "Failed to forward ack",
}

// quiet is for how long a warning is not repeated.
const quiet = time.Minute

// bridge returns a logger for memberlist that writes to l.
func bridge(l *slog.Logger) *log.Logger {
	return log.New(&bridged{to: l, last: make(map[string]time.Time)}, "", 0)
}

// bridged takes lines such as "[WARN] memberlist: text".
type bridged struct {
	to *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // when a sort of warning was last given
}

// Write logs one line.
func (b *bridged) Write(line []byte) (int, error) {
	level, text := parseLine(string(bytes.TrimSpace(line)))
	if level > slog.LevelInfo && b.repeated(text, time.Now()) {
		level = slog.LevelDebug
	}
	b.to.Log(context.Background(), level, text, "from", "memberlist")
	return len(line), nil
}

// repeated reports whether a warning of this sort was given within the last
// minute. Two warnings are of one sort if they agree up to the first number.
func (b *bridged) repeated(text string, now time.Time) bool {
	if i := strings.IndexAny(text, "0123456789"); i >= 0 {
		text = text[:i]
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if last, ok := b.last[text]; ok && now.Sub(last) < quiet {
		return true
	}
	if len(b.last) >= 64 {
		clear(b.last)
	}
	b.last[text] = now
	return false
}

// parseLine takes the level and memberlist's name from a line. What memberlist
// calls information is about its inner life, and for debugging.
func parseLine(line string) (slog.Level, string) {
	level := slog.LevelWarn
	if tag, rest, ok := strings.Cut(line, "] "); ok && strings.HasPrefix(tag, "[") {
		switch tag[1:] {
		case "DEBUG", "INFO":
			level = slog.LevelDebug
		case "ERR", "ERROR":
			level = slog.LevelError
		}
		line = rest
	}
	for _, e := range expected {
		if strings.Contains(line, e) {
			level = slog.LevelDebug
		}
	}
	return level, strings.TrimPrefix(line, "memberlist: ")
}
