package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	server "github.com/emersion/go-smtp"
)

func relay(t *testing.T, c Config) *Relay {
	t.Helper()
	if c.From == "" {
		c.From = "Shop <shop@example.com>"
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var hello = Message{
	ID: "5bdc50a874ae8c710000dd16", Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), SenderName: "Jürgen, of \"Shop\"", To: "ann@example.org",
	Subject: "Grüße: 50 % off", HTML: `<p>Hello <b>Änn</b> &amp; all</p><p><a href="https://x.example/a?b=1&amp;c=2">Shop</a></p>`,
	Unsubscribe: "https://x.example/mail/unsubscribe/abc",
}

func TestAMailArrivesAsItWasMeant(t *testing.T) {
	b := &backend{}
	r := relay(t, Config{URL: "smtp://" + serve(t, b, nil, false)})
	if err := r.Send(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	got := b.taken()
	if len(got) != 1 || got[0].from != "shop@example.com" || got[0].to != "ann@example.org" {
		t.Fatalf("taken: %+v", got)
	}
	m, err := mail.ReadMessage(strings.NewReader(got[0].data))
	if err != nil {
		t.Fatal(err)
	}
	decode := func(name string) string {
		text, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return text
	}
	for name, want := range map[string]string{
		"Message-Id": "<5bdc50a874ae8c710000dd16@example.com>", "Subject": hello.Subject, "To": "<ann@example.org>",
		"List-Unsubscribe": "<https://x.example/mail/unsubscribe/abc>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"Date": "Fri, 02 Jan 2026 03:04:05 +0000", "Mime-Version": "1.0", "X-Mailer": "",
	} {
		if got := decode(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if from, err := m.Header.AddressList("From"); err != nil || from[0].Name != hello.SenderName || from[0].Address != "shop@example.com" {
		t.Errorf("From: %v %v", from, err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []struct{ kind, body string }{
		{"text/plain", "Hello Änn & all\n\nShop (https://x.example/a?b=1&c=2)\n"}, {"text/html", hello.HTML},
	} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		p, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil || !strings.HasPrefix(part.Header.Get("Content-Type"), want.kind) || strings.ReplaceAll(string(p), "\r\n", "\n") != want.body {
			t.Errorf("%s: %q %v, want %q", part.Header.Get("Content-Type"), p, err, want.body)
		}
	}
}

func TestWhatTheRelayRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		b         *backend
		code      int
		permanent bool
	}{
		"greylisting":           {&backend{atRcpt: &server.SMTPError{Code: 451, Message: "later"}}, 451, false},
		"full":                  {&backend{atData: &server.SMTPError{Code: 452, Message: "full"}}, 452, false},
		"nobody":                {&backend{atRcpt: &server.SMTPError{Code: 550, Message: "no such user"}}, 550, true},
		"sender":                {&backend{atMail: &server.SMTPError{Code: 553, Message: "not yours"}}, 553, true},
		"content":               {&backend{atData: &server.SMTPError{Code: 554, Message: "spam"}}, 554, true},
		"credentials are asked": {&backend{password: "open sesame"}, 530, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := relay(t, Config{URL: "smtp://" + serve(t, tt.b, nil, false)})
			err := r.Send(t.Context(), hello)
			var e *Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Permanent != tt.permanent || e.Temporary() == tt.permanent {
				t.Errorf("got %#v, want code %d, permanent %v", err, tt.code, tt.permanent)
			}
			if len(tt.b.taken()) != 0 {
				t.Error("the mail was taken")
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	b := &backend{password: "open sesame"}
	addr := serve(t, b, nil, false)
	if err := relay(t, Config{URL: "smtp://shop@" + addr, Password: "open sesame"}).Send(t.Context(), hello); err != nil || len(b.taken()) != 1 {
		t.Errorf("with the password: %v, %d mails", err, len(b.taken()))
	}
	err := relay(t, Config{URL: "smtp://shop@" + addr, Password: "swordfish"}).Send(t.Context(), hello)
	var e *Error
	if !errors.As(err, &e) || e.Permanent || e.Code != 535 {
		t.Errorf("with a wrong password: %#v", err)
	}
	if err != nil && strings.Contains(err.Error(), "swordfish") {
		t.Errorf("the error holds the password: %v", err)
	}
}

func TestEncryption(t *testing.T) {
	config, roots := certificate(t)
	for name, tt := range map[string]struct {
		scheme, query string
		server        *tls.Config
		outset, ok    bool
		roots         *x509.CertPool
	}{
		"STARTTLS":                    {"smtp", "?starttls=required", config, false, true, roots},
		"STARTTLS if it is there":     {"smtp", "?starttls=optional", config, false, true, roots},
		"STARTTLS is not there":       {"smtp", "?starttls=optional", nil, false, true, roots},
		"STARTTLS is needed":          {"smtp", "?starttls=required", nil, false, false, roots},
		"STARTTLS with a stranger":    {"smtp", "?starttls=required", config, false, false, nil},
		"from the outset":             {"smtps", "", config, true, true, roots},
		"from the outset: a stranger": {"smtps", "", config, true, false, nil},
		"from the outset: there none": {"smtps", "", nil, false, false, roots},
	} {
		t.Run(name, func(t *testing.T) {
			b := &backend{password: "open sesame"}
			addr := serve(t, b, tt.server, tt.outset)
			r := relay(t, Config{URL: tt.scheme + "://shop@" + addr + tt.query, Password: "open sesame", Timeout: 2 * time.Second, roots: tt.roots})
			err := r.Send(t.Context(), hello)
			if (err == nil) != tt.ok || len(b.taken()) == 1 != tt.ok {
				t.Errorf("got %v and %d mails, want ok %v", err, len(b.taken()), tt.ok)
			}
			var e *Error
			if err != nil && (!errors.As(err, &e) || e.Permanent) {
				t.Errorf("got %#v, want a temporary error", err)
			}
		})
	}
}

func TestAServerThatHangs(t *testing.T) {
	t.Run("at the data, until its time is over", func(t *testing.T) {
		b := &backend{hang: make(chan struct{})}
		r := relay(t, Config{URL: "smtp://" + serve(t, b, nil, false), Timeout: 100 * time.Millisecond})
		var e *Error
		if err := r.Send(t.Context(), hello); !errors.As(err, &e) || e.Permanent {
			t.Errorf("got %#v, want a temporary error", err)
		}
		close(b.hang)
	})
	t.Run("before its first word, until its caller goes", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r := relay(t, Config{URL: "smtp://" + l.Addr().String(), Timeout: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var e *Error
		if err := r.Send(ctx, hello); !errors.As(err, &e) || e.Permanent {
			t.Errorf("got %#v, want a temporary error", err)
		}
	})
	t.Run("nobody is there", func(t *testing.T) {
		var e *Error
		if err := relay(t, Config{URL: "smtp://127.0.0.1:1"}).Send(t.Context(), hello); !errors.As(err, &e) || e.Permanent {
			t.Errorf("got %#v, want a temporary error", err)
		}
	})
}

func TestAServerThatTalksForEver(t *testing.T) {
	for name, answer := range map[string]string{
		"in one line":   strings.Repeat("x", 1<<10),
		"in many lines": "220-" + strings.Repeat("x", 1<<10) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			said := make(chan int)
			go func() {
				n := 0
				if c, err := l.Accept(); err == nil {
					_, _ = io.WriteString(c, "220-")
					for err == nil && n < 100<<20 {
						var m int
						m, err = io.WriteString(c, answer)
						n += m
					}
					c.Close()
				}
				said <- n
			}()
			var e *Error
			if err := relay(t, Config{URL: "smtp://" + l.Addr().String()}).Send(t.Context(), hello); !errors.As(err, &e) || e.Permanent {
				t.Errorf("got %#v, want a temporary error", err)
			}
			if n := <-said; n >= 100<<20 { // the sockets hold some
				t.Errorf("%d bytes were read", n)
			}
		})
	}
}

func TestNoHeaderIsInjected(t *testing.T) {
	b := &backend{}
	r := relay(t, Config{URL: "smtp://" + serve(t, b, nil, false)})
	const evil = "x\r\nBcc: all@example.org"
	for name, change := range map[string]func(*Message){
		"subject": func(m *Message) { m.Subject = evil }, "name": func(m *Message) { m.SenderName = evil }, "id": func(m *Message) { m.ID = evil },
		"to": func(m *Message) { m.To = "a@b.c" + evil }, "link": func(m *Message) { m.Unsubscribe = evil },
		"nul": func(m *Message) { m.Subject = "a\x00b" }, "two": func(m *Message) { m.To = "a@b.c, d@e.f" },
		"named": func(m *Message) { m.To = "Ann <a@b.c>" },
	} {
		m := hello
		change(&m)
		var e *Error
		if err := r.Send(t.Context(), m); !errors.As(err, &e) || !e.Permanent {
			t.Errorf("%s: got %v, want a permanent error", name, err)
		}
	}
	if n := len(b.taken()); n != 0 {
		t.Errorf("%d mails were taken", n)
	}
}

func TestConfigs(t *testing.T) {
	const from = "shop@example.com"
	for url, want := range map[string]struct {
		addr    string
		how     security
		exposed bool
	}{
		"smtp://mail.example.com":                       {"mail.example.com:587", required, false},
		"smtp://mail.example.com:25?starttls=off":       {"mail.example.com:25", plain, true},
		"smtp://mail.example.com?starttls=optional":     {"mail.example.com:587", optional, true},
		"smtps://mail.example.com":                      {"mail.example.com:465", fromOutset, false},
		"smtps://[2001:db8::1]:4650":                    {"[2001:db8::1]:4650", fromOutset, false},
		"smtp://localhost:25":                           {"localhost:25", plain, false},
		"smtp://[::1]:25":                               {"[::1]:25", plain, false},
		"smtp://127.0.0.1:25?starttls=required":         {"127.0.0.1:25", required, false},
		"smtp://127.0.0.1.example.com:25?starttls=off":  {"127.0.0.1.example.com:25", plain, true},
		"smtp://mail.example.com:587?starttls=required": {"mail.example.com:587", required, false},
	} {
		r, err := New(Config{URL: url, From: from})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if r.Addr() != want.addr || r.security != want.how || r.Exposed() != want.exposed || r.String() != want.addr {
			t.Errorf("%s: %s %v exposed %v, want %+v", url, r.Addr(), r.security, r.Exposed(), want)
		}
	}
	for _, c := range []Config{
		{}, {URL: "mail.example.com:587"}, {URL: "http://mail.example.com"}, {URL: "smtp://"}, {URL: "smtp://h:0"}, {URL: "smtp://h:99999"},
		{URL: "smtp://h/path"}, {URL: "smtp://h?starttls=maybe"}, {URL: "smtp://h?tls=1"}, {URL: "smtps://h?starttls=off"},
		{URL: "smtp://user@h"}, {URL: "smtp://h", Password: "open sesame"}, {URL: "smtp://user:open%20sesame@h"},
		{URL: "smtp://user:open%20sesame@h", Password: "open sesame"}, {URL: "smtp://h", From: "nobody"}, {URL: "smtp://h", From: "a@b.c\r\nBcc: d@e.f"},
	} {
		if c.From == "" {
			c.From = from
		}
		_, err := New(c)
		if err == nil {
			t.Errorf("%+v is taken", c)
		} else if strings.Contains(err.Error(), "sesame") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestPlainText(t *testing.T) {
	for source, want := range map[string]string{
		"":                             "\n",
		"plain":                        "plain\n",
		"a &lt; b <b>c</b>\n d":        "a < b c d\n",
		"<p>a</p><p>b<br>c</p>":        "a\n\nb\nc\n",
		"1 < 2 > 1":                    "1 < 2 > 1\n",
		"<script>x<b></script>y":       "y\n",
		"<STYLE>p{}</STYLE>y":          "y\n",
		"<!-- <p> -->y<!-- no end":     "y\n",
		`<a href='mailto:a@b.c'>w</a>`: "w (mailto:a@b.c)\n",
		`<a href=https://x/y>w</a>`:    "w (https://x/y)\n",
		`<a href="javascript:x">w</a>`: "w\n",
		`<img alt="a > b">x`:           "x\n",
		"<table><tr><td>a</td><td>b</td></tr></table>": "a b\n",
		"<p": "\n",
	} {
		if got := plainText(source); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}

func FuzzPlainText(f *testing.F) {
	f.Add(`<p>a<a href="https://x">b</a><!--`)
	f.Add("<script><<<\"'>")
	f.Fuzz(func(t *testing.T, source string) {
		text := plainText(source)
		if !strings.HasSuffix(text, "\n") || strings.Contains(text, "\n\n\n") {
			t.Errorf("%q became %q", source, text)
		}
	})
}
