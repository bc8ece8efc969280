package cluster

import (
	"log/slog"
	"testing"
	"time"
)

func TestMemberlistsLogHasOurLevels(t *testing.T) {
	for line, want := range map[string]struct {
		level slog.Level
		text  string
	}{
		"[DEBUG] memberlist: Stream connection from=1.2.3.4": {slog.LevelDebug, "Stream connection from=1.2.3.4"},
		"[INFO] memberlist: Marking n3 as failed":            {slog.LevelDebug, "Marking n3 as failed"},
		"[WARN] memberlist: Binding to public address":       {slog.LevelWarn, "Binding to public address"},
		"[ERR] memberlist: Decrypt packet failed: x":         {slog.LevelError, "Decrypt packet failed: x"},
		"[ERR] memberlist: Push/Pull with n3 failed: x":      {slog.LevelDebug, "Push/Pull with n3 failed: x"},
		"[WARN] memberlist: Refuting a suspect message":      {slog.LevelDebug, "Refuting a suspect message"},
		"something else": {slog.LevelWarn, "something else"},
		"":               {slog.LevelWarn, ""},
	} {
		if level, text := parseLine(line); level != want.level || text != want.text {
			t.Errorf("%q: got %v %q, want %v %q", line, level, text, want.level, want.text)
		}
	}
}

func TestAWarningIsNotRepeatedAtOnce(t *testing.T) {
	b := &bridged{last: map[string]time.Time{}}
	now := time.Unix(1e9, 0)
	for i, c := range []struct {
		text  string
		after time.Duration
		want  bool
	}{
		{"Decrypt packet failed: from=1.2.3.4:5", 0, false}, {"Decrypt packet failed: from=9.9.9.9:7", time.Second, true},
		{"Other", 2 * time.Second, false}, {"Decrypt packet failed: from=1.2.3.4:5", 61 * time.Second, false},
	} {
		if got := b.repeated(c.text, now.Add(c.after)); got != c.want {
			t.Errorf("%d: %q: repeated = %v, want %v", i, c.text, got, c.want)
		}
	}
}
