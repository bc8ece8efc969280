package webhook

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/coveydb/covey/internal/errs"
)

// serve starts a target.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func poster(t *testing.T, p *Poster) *Poster {
	t.Cleanup(p.Close)
	return p
}

func message(t *testing.T, target string) Message {
	t.Helper()
	secret, err := ParseSecret(NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	return Message{URL: target, ID: "msg_1", At: time.Now(), Body: []byte(`{"a": 1 }` + "\n"), Secret: secret}
}

func TestAMessageArrivesAsTheSpecificationSays(t *testing.T) {
	text := NewSecret()
	secret, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("{\"z\":1,\n \"ä\": [ ]}")
	at := time.Now().Add(-time.Minute)
	var posts atomic.Int64
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != string(body) {
			t.Errorf("body %q, %v", got, err)
		}
		verifier, err := standardwebhooks.NewWebhook(text)
		if err != nil {
			t.Error(err)
			return
		}
		if err := verifier.Verify(got, r.Header); err != nil {
			t.Errorf("verify: %v", err)
		}
		got[0]++
		if err := verifier.Verify(got, r.Header); err == nil {
			t.Error("another body is verified too")
		}
		for name, want := range map[string]string{
			"Webhook-Id": "msg_1", "Webhook-Timestamp": timestamp(at), "Content-Type": "application/json",
			"User-Agent": "Covey-Webhook/1", "X-Extra": "kept", "Cookie": "", "Referer": "", "Connection": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if r.Method != http.MethodPost || r.RequestURI != "/hook?x=1" || r.Host == "elsewhere" || r.ContentLength != int64(len(body)) {
			t.Errorf("%s %s at %s, %d bytes", r.Method, r.RequestURI, r.Host, r.ContentLength)
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		w.WriteHeader(http.StatusAccepted)
	})
	p := poster(t, &Poster{AllowPrivate: true})
	m := Message{URL: target + "/hook?x=1", ID: "msg_1", At: at, Body: body, Secret: secret, Headers: http.Header{
		"x-extra": {"kept"}, "Webhook-Id": {"forged"}, "Host": {"elsewhere"}, "Connection": {"close"}, "content-type": {"text/plain"},
	}}
	for range 2 {
		if err := p.Post(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if posts.Load() != 2 {
		t.Errorf("%d posts arrived", posts.Load())
	}
}

func TestAnswersHaveTheirMeaning(t *testing.T) {
	for code, want := range map[int]string{
		200: "", 201: "", 204: "", 299: "",
		302: "the target answered 302 Found: redirects are not followed",
		304: "the target answered 304 Not Modified: redirects are not followed",
		400: "the target answered 400 Bad Request",
		401: "the target answered 401 Unauthorized",
		404: "the target answered 404 Not Found",
		410: "the target answered 410 Gone: it wants no more messages",
		429: "the target answered 429 Too Many Requests",
		500: "the target answered 500 Internal Server Error",
		599: "the target answered 599",
	} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			p := poster(t, &Poster{AllowPrivate: true})
			err := p.Post(t.Context(), message(t, serve(t, status(code))))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if gone := errors.Is(err, ErrGone); gone != (code == 410) {
				t.Errorf("gone is %v", gone)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Bool
	private := serve(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	for _, location := range []string{private + "/secret", "https://169.254.169.254/", "://broken?token=hidden", ""} {
		target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		err := poster(t, &Poster{AllowPrivate: true}).Post(t.Context(), message(t, target))
		var answer *StatusError
		if !errors.As(err, &answer) || answer.Status != http.StatusTemporaryRedirect || strings.Contains(err.Error(), "hidden") {
			t.Errorf("redirect to %q: %v", location, err)
		}
	}
	if reached.Load() {
		t.Error("a redirect was followed")
	}
}

func TestATargetMayAskForTime(t *testing.T) {
	for name, tt := range map[string]struct {
		code     int
		header   string
		min, max time.Duration // from now; 0 = it has not asked
	}{
		"seconds":               {429, "120", 110 * time.Second, 121 * time.Second},
		"a date":                {503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 59 * time.Minute, 61 * time.Minute},
		"very long":             {503, "999999999", 23 * time.Hour, 25 * time.Hour},
		"a date far away":       {503, "Fri, 01 Jan 2999 00:00:00 GMT", 23 * time.Hour, 25 * time.Hour},
		"in the past":           {429, "Fri, 01 Jan 1999 00:00:00 GMT", 0, 0},
		"nonsense":              {429, "soon", 0, 0},
		"negative":              {429, "-5", 0, 0},
		"nothing":               {429, "", 0, 0},
		"with another status":   {500, "120", 0, 0},
		"a number out of range": {429, "99999999999999999999", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				w.WriteHeader(tt.code)
			})
			err := poster(t, &Poster{AllowPrivate: true}).Post(t.Context(), message(t, target))
			var asked interface{ RetryAfter() time.Time }
			if !errors.As(err, &asked) {
				t.Fatal(err)
			}
			after := asked.RetryAfter()
			if wait := time.Until(after); after.IsZero() != (tt.max == 0) || tt.max != 0 && (wait < tt.min || wait > tt.max) {
				t.Errorf("asked for %v, want %v to %v", wait, tt.min, tt.max)
			}
		})
	}
}

func TestATargetThatHangsIsLeft(t *testing.T) {
	release := make(chan struct{})
	target := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	p := poster(t, &Poster{AllowPrivate: true, Timeout: 20 * time.Millisecond})
	err := p.Post(t.Context(), message(t, target))
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "did not answer within 20ms") {
		t.Errorf("a target that hangs: %v", err)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the node no longer leads")
	time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	if err := poster(t, &Poster{AllowPrivate: true}).Post(ctx, message(t, target)); !errors.Is(err, cause) {
		t.Errorf("a caller who leaves: %v, want %v", err, cause)
	}
}

// Once the status is there the message is delivered, whatever the body does.
func TestTheBodyOfAnAnswerDoesNotMatter(t *testing.T) {
	for name, write := range map[string]func(w http.ResponseWriter, r *http.Request){
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for p := make([]byte, 4096); r.Context().Err() == nil; {
				if _, err := w.Write(p); err != nil {
					return
				}
			}
		},
		"slow": func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusOK)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := poster(t, &Poster{AllowPrivate: true, Timeout: 200 * time.Millisecond})
			if err := p.Post(t.Context(), message(t, serve(t, write))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPrivateAddressesAreRefusedAtTheDoor(t *testing.T) {
	p := poster(t, &Poster{})
	for _, text := range []string{"https://localhost.", "https://127.0.0.1/", "http://example.com/"} {
		if err := p.Post(t.Context(), message(t, text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A name passes the check of the URL, whatever it stands for; the guard judges
// the address.
func TestANameThatStandsForAPrivateAddressIsNotDialled(t *testing.T) {
	for _, address := range []string{"localhost:443", "127.0.0.1:80", "10.0.0.1:443", "169.254.169.254:80"} {
		t.Run(address, func(t *testing.T) {
			p := poster(t, &Poster{Timeout: 5 * time.Second})
			p.once.Do(p.open)
			dialer := p.transport.DialContext
			p.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer(ctx, network, address)
			}
			err := p.Post(t.Context(), message(t, "https://hooks.example.com/hook?token=hidden"))
			if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "the target is not on the public internet") || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "hooks.example.com") {
				t.Errorf("post: %v", err)
			}
		})
	}
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	closed := httptest.NewServer(status(200))
	closed.Close()
	garbage := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "echo "+r.RequestURI+strings.Repeat("x", 1000)+"\r\n\r\n")
		_ = conn.Close()
	})
	for name, base := range map[string]string{"nobody listens": closed.URL, "no HTTP": garbage, "an unknown name": "http://nowhere.invalid"} {
		t.Run(name, func(t *testing.T) {
			m := message(t, base+"/path?token=hidden")
			m.Secret = []byte("the secret of the hook")
			err := poster(t, &Poster{AllowPrivate: true, Timeout: 5 * time.Second}).Post(t.Context(), m)
			if !errs.Is(err, errs.Unavailable) || len(err.Error()) > 400 {
				t.Errorf("post: %v", err)
			}
			for _, secret := range []string{"hidden", "token", "the secret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds %q: %v", secret, err)
				}
			}
		})
	}
}

func TestAMessageThatCanNeverBePosted(t *testing.T) {
	p := poster(t, &Poster{AllowPrivate: true})
	for name, edit := range map[string]func(m *Message){
		"no URL":    func(m *Message) { m.URL = "" },
		"no id":     func(m *Message) { m.ID = "" },
		"no secret": func(m *Message) { m.Secret = nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := message(t, "http://127.0.0.1:1")
			edit(&m)
			if err := p.Post(t.Context(), m); !errs.Is(err, errs.Invalid) {
				t.Errorf("post: %v", err)
			}
		})
	}
}

func TestCheckURL(t *testing.T) {
	for _, tt := range []struct {
		text         string
		public, open bool // whether it passes without and with private addresses
	}{
		{"https://example.com/hook?x=1", true, true},
		{"https://example.com", true, true},
		{"https://example.com:443/", true, true},
		{"https://93.184.216.34/", true, true},
		{"https://[2606:2800:220:1:248:1893:25c8:1946]/", true, true},
		{"http://example.com/", false, true},
		{"https://example.com:8443/", false, true},
		{"https://localhost/", false, true},
		{"https://LOCALHOST./", false, true},
		{"https://127.0.0.1/", false, true},
		{"https://[::1]/", false, true},
		{"https://[::ffff:10.0.0.1]/", false, true},
		{"https://10.0.0.1/", false, true},
		{"https://169.254.169.254/latest", false, true},
		{"https://user:pass@example.com/", false, false},
		{"https://example.com/#part", false, false},
		{"ftp://example.com/", false, false},
		{"file:///etc/passwd", false, false},
		{"https:example.com", false, false},
		{"example.com/hook", false, false},
		{"https:///hook", false, false},
		{"https://example.com/a b", false, false},
		{"https://example.com/\r\nHost: x", false, false},
		{"https://example.com:99x/", false, false},
		{"", false, false},
		{"https://example.com/" + strings.Repeat("a", maxURL), false, false},
	} {
		t.Run(tt.text[:min(len(tt.text), 40)], func(t *testing.T) {
			for allow, want := range map[bool]bool{false: tt.public, true: tt.open} {
				err := CheckURL(tt.text, allow)
				if (err == nil) != want || err != nil && !errs.Is(err, errs.Invalid) {
					t.Errorf("private addresses %v: %v, want it to pass: %v", allow, err, want)
				}
				if err != nil && strings.Contains(err.Error(), "pass@") {
					t.Errorf("the error holds the password: %v", err)
				}
			}
		})
	}
}

func FuzzCheckURL(f *testing.F) {
	f.Add("https://example.com/hook?x=1", true)
	f.Add("https://[::1]:80/", false)
	f.Fuzz(func(t *testing.T, text string, allow bool) {
		if CheckURL(text, allow) != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && !(allow && u.Scheme == "http") {
			t.Errorf("%q passes", text)
		}
		if _, err := http.NewRequest(http.MethodPost, text, nil); err != nil {
			t.Errorf("%q passes and makes no request: %v", text, err)
		}
	})
}

func TestSecrets(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	if p, err := ParseSecret(a); err != nil || len(p) != newSecret || a == b {
		t.Errorf("%d bytes, %v", len(p), err)
	}
	for name, text := range map[string]string{
		"nothing":     "",
		"no prefix":   strings.TrimPrefix(a, secretPrefix),
		"no base64":   secretPrefix + strings.Repeat("!", 40),
		"too short":   secretPrefix + "c2hvcnQ=",
		"too long":    secretPrefix + strings.Repeat("YWFh", 22),
		"line breaks": a[:20] + "\n" + a[20:],
		"no padding":  strings.TrimRight(a, "="),
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := ParseSecret(text); !errs.Is(err, errs.Invalid) || text != "" && strings.Contains(err.Error(), text) {
				t.Errorf("%d bytes, %v", len(p), err)
			}
		})
	}
}
