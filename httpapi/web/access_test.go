package web

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

func TestPathsAreLoggedWithoutData(t *testing.T) {
	words := Words("/rest/{collection}/_meta", "auth/jwt")
	for path, want := range map[string]string{
		"":                         "/",
		"/":                        "/",
		"/rest/people":             "/rest/{}",
		"/rest/people/_meta":       "/rest/{}/_meta",
		"/rest/people/5f/":         "/rest/{}/{}/",
		"/auth/jwt":                "/auth/jwt",
		"/Auth/jwt":                "/{}/jwt",
		"//x":                      "//{}",
		"/rest%2fpeople":           "/{}",
		"/rest/{collection}":       "/rest/{}",
		strings.Repeat("/x", 100):  strings.Repeat("/{}", maxSegments) + "/...",
		"/bucket/key\x1b[31m\nred": "/{}/{}",
	} {
		if got := shape(path, words); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}

// logging serves one request and returns what was logged.
func logging(t *testing.T, level slog.Level, access Access, h Handler) string {
	t.Helper()
	var log bytes.Buffer
	api := &API{Name: "test", Answer: plain, Access: access, Words: Words("open"), Uploads: NewUploads(),
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))}
	r := httptest.NewRequest("PUT", "/open/secret-bucket?key=secret-query", strings.NewReader("secret-body"))
	r.Header.Set("Authorization", "Bearer secret-token")
	r.RemoteAddr = "192.0.2.7:1"
	api.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log holds a secret:\n%s", &log)
	}
	return log.String()
}

func TestWhichRequestsAreLogged(t *testing.T) {
	fast := func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.WriteString(w, "fine")
		return err
	}
	refused := func(http.ResponseWriter, *http.Request) error {
		return errs.E(errs.Forbidden, "bucket secret-bucket is not yours")
	}
	slowly := func(w http.ResponseWriter, r *http.Request) error {
		time.Sleep(2 * time.Millisecond)
		return fast(w, r)
	}
	stream := func(w http.ResponseWriter, r *http.Request) error {
		time.Sleep(2 * time.Millisecond)
		_, err := NewEventStream(w, r)
		return err
	}
	for name, tt := range map[string]struct {
		level  slog.Level
		access Access
		h      Handler
		want   string // "" = nothing
	}{
		"by default none":            {slog.LevelInfo, Access{}, fast, ""},
		"at debug all":               {slog.LevelDebug, Access{}, fast, "level=DEBUG msg=request api=test"},
		"on demand all":              {slog.LevelInfo, Access{All: true}, fast, "level=INFO msg=request api=test"},
		"refusals by their kind":     {slog.LevelInfo, Access{All: true}, refused, "failed=forbidden"},
		"slow ones":                  {slog.LevelInfo, Access{Slow: time.Millisecond}, slowly, `level=WARN msg="slow request" api=test`},
		"slow ones once":             {slog.LevelInfo, Access{All: true, Slow: time.Millisecond}, slowly, "slow request"},
		"none that is fast enough":   {slog.LevelInfo, Access{Slow: time.Hour}, slowly, ""},
		"streams are never slow":     {slog.LevelInfo, Access{Slow: time.Millisecond}, stream, ""},
		"no warnings where no level": {slog.LevelError, Access{All: true, Slow: time.Millisecond}, slowly, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := logging(t, tt.level, tt.access, tt.h)
			if tt.want == "" {
				if got != "" {
					t.Errorf("logged: %s", got)
				}
				return
			}
			for _, want := range []string{tt.want, "path=/open/{}", "method=PUT", "client=192.0.2.7", "took_ms="} {
				if !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
					t.Errorf("got %s, want one line with %s", got, want)
				}
			}
		})
	}
}

// slowBody gives its bytes late.
type slowBody struct{ io.Reader }

func (b slowBody) Read(p []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return b.Reader.Read(p)
}

func TestASlowRequestTellsWhereItsTimeWent(t *testing.T) {
	var log bytes.Buffer
	uploads := NewUploads()
	api := &API{Name: "test", Answer: plain, Access: Access{Slow: time.Millisecond}, Uploads: uploads, Log: slog.New(slog.NewTextHandler(&log, nil))}
	h := api.Handler(func(w http.ResponseWriter, r *http.Request) error {
		_, err := ReadBody(r, 8<<20)
		return err
	})
	if err := uploads.room.Acquire(t.Context(), largeBodies); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(5*time.Millisecond, func() { uploads.room.Release(largeBodies) })
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", slowBody{bytes.NewReader(make([]byte, 2<<20))}))
	line := log.String()
	for _, part := range []string{"waiting_ms=", "receiving_ms="} {
		_, value, ok := strings.Cut(line, part)
		text, _, _ := strings.Cut(value, " ")
		if ms, err := strconv.ParseFloat(strings.TrimSpace(text), 64); !ok || err != nil || ms <= 0 {
			t.Errorf("%s%s (%v) in: %s", part, text, err, line)
		}
	}
}
