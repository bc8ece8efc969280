package kot

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// logBook collects what the API logs as JSON lines.
func logBook(level slog.Level) (*bytes.Buffer, func(*Config)) {
	var b bytes.Buffer
	return &b, func(c *Config) {
		c.Log = slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: level}))
	}
}

func TestLogEndpoints(t *testing.T) {
	for level, printed := range map[string]string{"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR", "exception": "ERROR"} {
		t.Run(level, func(t *testing.T) {
			at := time.Date(2026, 11, 22, 19, 12, 54, 681892900, time.UTC)
			book, logged := logBook(slog.LevelInfo)
			if level == "debug" {
				book, logged = logBook(slog.LevelDebug)
			}
			w := newWorld(t, logged, func(c *Config) { c.Now = func() time.Time { return at } })
			path := "/controller/" + level
			done := strings.ToUpper(level[:1]) + level[1:] + " message logged successfully"
			w.says(done, w.post(path, "message", "hé \"x\"\n"))
			a := w.post("/controller/get_all", "database_name", level)
			if a.code != 200 || !regexp.MustCompile(`^\{"`+level+`_writer-1795374774\.6818929-[1-9][0-9]{4}":\[\[\[\],\{\}\],"h\\u00e9 \\"x\\"\\n"\]\}`+"\n$").MatchString(a.body) {
				t.Errorf("reads back as %q", a.body)
			}
			var records map[string][]any
			if err := json.Unmarshal([]byte(a.body), &records); err != nil {
				t.Fatal(err)
			}
			for key := range records {
				w.read(`[[[],{}],"h\u00e9 \"x\"\n"]`, level, key)
				w.data(`[[[],{}],"h\u00e9 \"x\"\n"]`, w.execute("GET "+level+" "+key))
			}
			at = at.Add(time.Second)
			w.says(done, w.post(path))
			at = at.Add(9 * time.Second)
			w.says(done, w.post(path, "message", ""))
			a = w.post("/execute", "query", "GET_ALL "+level)
			if !strings.Contains(a.body, `:[[[],{}],null],"`) || !strings.HasSuffix(a.body, `:[[[],{}],""]}`+"\n") || strings.Count(a.body, "_writer-") != 3 {
				t.Errorf("reads back as %q", a.body)
			}
			w.names(level)
			var messages []any
			for line := range strings.Lines(book.String()) {
				var entry map[string]any
				if err := json.Unmarshal([]byte(line), &entry); err != nil {
					t.Fatal(err)
				}
				if entry["msg"] != "KOT message" {
					continue
				}
				if entry["level"] != printed || entry["endpoint"] != level || entry["bytes"] != nil {
					t.Errorf("printed %s", line)
				}
				messages = append(messages, entry["message"])
			}
			if want := []any{`hé "x"\n`, nil, ""}; !slices.Equal(messages, want) {
				t.Errorf("printed %q, want %q", messages, want)
			}
		})
	}
}

func TestPrintedMessagesAreBoundedAndHarmless(t *testing.T) {
	var b bytes.Buffer
	w := newWorld(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&b, nil)) })
	long := strings.Repeat("é", maxPrinted)
	w.says("Info message logged successfully", w.post("/controller/info", "message", "a"+long))
	if n := strings.Count(b.String(), "é"); n != maxPrinted/2-1 || !strings.Contains(b.String(), " bytes=8193\n") {
		t.Errorf("%d characters printed: %.100s", n, b.String())
	}
	if a := w.post("/controller/get_all", "database_name", "info"); strings.Count(a.body, `\u00e9`) != maxPrinted {
		t.Error("the stored message is cut too")
	}
	b.Reset()
	w.says("Warning message logged successfully", w.post("/controller/warning", "message", "x\nlevel=ERROR msg=forged\r\x1b[2J\u2028\u202e\x7f"))
	if got := strings.Count(b.String(), "\n"); got != 1 || strings.ContainsAny(b.String(), "\r\x1b\u2028\u202e\x7f") {
		t.Errorf("printed %q", b.String())
	}
}

func TestWhatIsNotStoredIsNotPrinted(t *testing.T) {
	book, logged := logBook(slog.LevelInfo)
	w := newWorld(t, logged)
	w.store.FailNext(errs.E(errs.Unavailable, "no leader"))
	w.fails(503, w.post("/controller/error", "message", "m"))
	w.fails(413, w.post("/controller/error", "message", strings.Repeat("\x00", 4<<20)))
	if book.Len() > 0 {
		t.Errorf("printed %.300s", book)
	}
	w.names()
}

// Two records of one moment, or a conflict on the way, lose nothing.
func TestRecordsOfOneMoment(t *testing.T) {
	book, logged := logBook(slog.LevelInfo)
	w := newWorld(t, logged, func(c *Config) { c.Now = func() time.Time { return time.Unix(1_700_000_000, 0) } })
	w.store.ConflictNext(2)
	for range 20 {
		w.says("Info message logged successfully", w.post("/controller/info", "message", "m"))
	}
	if n := strings.Count(w.post("/controller/get_all", "database_name", "info").body, `"m"`); n != 20 {
		t.Errorf("%d records, want 20", n)
	}
	if n := strings.Count(book.String(), "KOT message"); n != 20 {
		t.Errorf("%d lines printed, want 20", n)
	}
}

// But for the messages, whose purpose it is, the log holds nothing of what
// clients send.
func TestNoSecretsInTheLog(t *testing.T) {
	book, logged := logBook(slog.LevelDebug)
	w := newWorld(t, logged)
	w.set("NAME", "KEY", "VALUE", "encryption_key", "CIPHER")
	for _, path := range []string{"/controller/get", "/controller/delete", "/database/delete", "/database/delete", "/database/rename"} {
		for _, more := range []string{"WRONG", ""} {
			a := w.post(path, "database_name", "NAME", "key", "KEY", "value", "VALUE", "encryption_key", more)
			for name, values := range a.header {
				if strings.Contains(strings.Join(values, " "), "WRONG") || strings.Contains(strings.Join(values, " "), "NAME") {
					t.Errorf("%s: header %s: %q", path, name, values)
				}
			}
		}
	}
	w.execute("GET NAME KEY WRONG VALUE")
	w.execute("NONSENSE NAME VALUE")
	w.do("POST", "/controller/set?value=VALUE", "{\"value\":\"VALUE", admitted, objType)
	for _, secret := range []string{"NAME", "KEY", "VALUE", "CIPHER", "WRONG", "NONSENSE", password + "\"", "OjAxMjM="} {
		if strings.Contains(book.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, book)
		}
	}
	if strings.Contains(book.String(), "request broke") || !strings.Contains(book.String(), `"api":"kot"`) {
		t.Errorf("the log: %s", book)
	}
}
