package web

import (
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSplitPairsLosesNothing(t *testing.T) {
	for _, tt := range []struct {
		raw  string
		want Pairs
	}{
		{"", nil},
		{"a=1&b=2", Pairs{{"a", "1"}, {"b", "2"}}},
		{"prefix=a;b", Pairs{{"prefix", "a;b"}}},
		{"prefix=50%", Pairs{{"prefix", "50%"}}},
		{"prefix=50%zz%4", Pairs{{"prefix", "50%zz%4"}}},
		{"p=%41%ff%00", Pairs{{"p", "A\xff\x00"}}},
		{"p=a+b%2B", Pairs{{"p", "a b+"}}},
		{"flag&x=", Pairs{{"flag", ""}, {"x", ""}}},
		{"&&a=b=c&", Pairs{{"a", "b=c"}}},
	} {
		if diff := cmp.Diff(tt.want, SplitPairs(tt.raw)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.raw, diff)
		}
	}
	if v, ok := SplitPairs("a=1&a=2").Lookup("a"); v != "1" || !ok {
		t.Errorf("the first of two pairs reads as %q", v)
	}
}

func FuzzSplitPairs(f *testing.F) {
	for _, s := range []string{"a=1&b=%20", "%", "a=%4&;=;", "+=+&&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := SplitPairs(raw)
		want := 0
		for part := range strings.SplitSeq(raw, "&") {
			if part != "" {
				want++
			}
		}
		if len(got) != want {
			t.Fatalf("%q: %d pairs, want %d", raw, len(got), want)
		}
		// Where net/url reads a pair at all, both read the same.
		strict, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		for _, p := range got {
			found := false
			for _, v := range strict[p.Name] {
				found = found || v == p.Value
			}
			if !found {
				t.Fatalf("%q: pair %q is not what net/url reads", raw, p)
			}
		}
	})
}

func TestCredentialPrecedence(t *testing.T) {
	for _, tt := range []struct{ name, header, query, want string }{
		{"none", "", "", ""},
		{"bearer", "Bearer abc", "", "abc"},
		{"bearer in small letters", "bearer  abc ", "", "abc"},
		{"basic user name", "Basic YWJjOg==", "", "abc"},
		{"basic ignores the password", "Basic YWJjOmFiYw==", "", "abc"},
		{"basic without padding", "Basic YWJjOg", "", "abc"},
		{"access_token", "", "access_token=t%2B1", "t+1"},
		{"key", "", "key=k", "k"},
		{"header before query", "Bearer h", "access_token=t&key=k", "h"},
		{"access_token before key", "", "key=k&access_token=t", "t"},
		{"an empty header is none", "Bearer ", "key=k", "k"},
		{"an empty user name is none", "Basic Og==", "access_token=t", "t"},
		{"an empty access_token is none", "", "access_token=&key=k", "k"},
		{"broken basic matches nothing", "Basic !!!", "key=k", unreadable},
		{"another scheme matches nothing", "Digest x", "", unreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/b/k", nil)
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			if got := Credential(r, SplitPairs(tt.query)).Value; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestClientBehindProxies(t *testing.T) {
	proxies, err := ParseProxies("10.0.0.0/8, 192.0.2.7,fd00::/8")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, peer, forwarded, realIP, want string
	}{
		{"stranger's headers are ignored", "203.0.113.5:1", "1.1.1.1", "1.1.1.1", "203.0.113.5"},
		{"proxy without headers", "10.1.1.1:1", "", "", "10.1.1.1"},
		{"one hop", "10.1.1.1:1", "198.51.100.1", "", "198.51.100.1"},
		{"a forged beginning does not count", "10.1.1.1:1", "1.2.3.4, 198.51.100.1", "", "198.51.100.1"},
		{"through two proxies", "10.1.1.1:1", "198.51.100.1, 192.0.2.7", "", "198.51.100.1"},
		{"with a port", "10.1.1.1:1", "198.51.100.1:99", "", "198.51.100.1"},
		{"IPv6 in brackets", "[fd00::1]:1", "[2001:db8::1]:99", "", "2001:db8::1"},
		{"an unreadable hop ends the walk", "10.1.1.1:1", "1.2.3.4, unknown", "", "10.1.1.1"},
		{"real ip", "10.1.1.1:1", "", "198.51.100.2", "198.51.100.2"},
		{"forwarded-for before real ip", "10.1.1.1:1", "198.51.100.1", "198.51.100.2", "198.51.100.1"},
		{"mapped IPv4 peer", "[::ffff:203.0.113.5]:1", "", "", "203.0.113.5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tt.forwarded)
			}
			if tt.realIP != "" {
				r.Header.Set("X-Real-IP", tt.realIP)
			}
			if got := proxies.Client(r).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if _, err := ParseProxies("10.0.0.0/8, proxy.example"); err == nil {
		t.Error("a host name passed as a trusted proxy")
	}
}

func TestParseLimits(t *testing.T) {
	const hour = time.Hour
	for _, tt := range []struct {
		text string
		want Limits
	}{
		{"", nil},
		{"off", nil},
		{"document", Limits{{1000, hour}}},
		{"5 per hour, 1 per minute", Limits{{5, hour}, {1, time.Minute}}},
		{"100 per 10 minutes", Limits{{100, 10 * time.Minute}}},
		{" 2  per  1  day ", Limits{{2, 24 * hour}}},
		{"1 per month,1 per 2 years", Limits{{1, 720 * hour}, {1, 2 * 360 * 24 * hour}}},
		{"3 per seconds", Limits{{3, time.Second}}},
		{"5/hour", Limits{{5, hour}}},
		{"5 / 2 Hours; 1 PER Minute|7/30second", Limits{{5, 2 * hour}, {1, time.Minute}, {7, 30 * time.Second}}},
		{"5perhour", Limits{{5, hour}}},
		{"Document", Limits{{1000, hour}}},
		{"OFF", nil},
	} {
		got, err := ParseLimits(tt.text, "1000 per hour")
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
	for _, bad := range []string{
		"5", "5 per", "per hour", "0 per hour", "-1 per hour", "+5 per hour", "5 per 0 hours", "5 per fortnight", "5 per hour,",
		"5 in hour", "5 per hour per day", "5 per 1000000 years", "99999999999 per hour", "1.5 per hour", "5 per hourss",
		"5 // hour", "5 / per hour", "/ hour", "5/", ";", "5 per hour;;1 per day", "|5 per hour", "5 hour", "5 per 1h", "5 per hour\x001 per day",
		"1 per day,1 per day,1 per day,1 per day,1 per day,1 per day,1 per day,1 per day,1 per day",
	} {
		if got, err := ParseLimits(bad, ""); err == nil {
			t.Errorf("%q passed as %v", bad, got)
		}
	}
}

func TestLimitTexts(t *testing.T) {
	for _, tt := range []struct {
		limit          Limit
		String, Normal string
	}{
		{Limit{5, time.Hour}, "5 per hour", "5 per 1 hour"},
		{Limit{2, time.Minute}, "2 per minute", "2 per 1 minute"},
		{Limit{100, 10 * time.Minute}, "100 per 10 minutes", "100 per 10 minute"},
		{Limit{1, 90 * time.Second}, "1 per 90 seconds", "1 per 90 second"},
		{Limit{1, 60 * 24 * time.Hour}, "1 per 2 months", "1 per 2 month"},
	} {
		if got := tt.limit.String(); got != tt.String {
			t.Errorf("got %q, want %q", got, tt.String)
		}
		if got := tt.limit.Normal(); got != tt.Normal {
			t.Errorf("got %q, want %q", got, tt.Normal)
		}
	}
}

func FuzzParseLimits(f *testing.F) {
	for _, s := range []string{"5 per hour, 1 per minute", "100 per 10 minutes", "off", "1 per 2 years", "5/HOUR;1/3days|2 per second", "5/ſecond"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseLimits(text, "1 per day")
		if err != nil {
			return
		}
		for _, l := range got {
			if l.N <= 0 || l.Window <= 0 {
				t.Fatalf("%q gives %v", text, l)
			}
		}
		for _, l := range got {
			normal, err := ParseLimits(l.Normal(), "")
			if err != nil || !cmp.Equal(normal, Limits{l}) {
				t.Fatalf("%v is normalised to %q, which reads as %v, %v", l, l.Normal(), normal, err)
			}
		}
		again, err := ParseLimits(got.String(), "")
		if err != nil || !cmp.Equal(got, again) {
			t.Fatalf("%q prints as %q, which reads as %v, %v", text, got, again, err)
		}
	})
}

func TestParseAccept(t *testing.T) {
	got := ParseAccept([]string{"Text/HTML;level=1;q=0.5, application/json", "*/*; Q=.1,*, junk, /x, x/, */x, a/b;q=nan, c/d;q=7"})
	want := []Media{{"text", "html", 0.5}, {"application", "json", 1}, {"*", "*", 0.1}, {"*", "*", 1}, {"a", "b", 1}, {"c", "d", 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(ParseAccept([]string{strings.Repeat("a/b,", 1000)})); n != maxMedia {
		t.Errorf("%d ranges read, want %d", n, maxMedia)
	}
}

func FuzzParseAccept(f *testing.F) {
	f.Add("text/plain;q=0.5, */*")
	f.Fuzz(func(t *testing.T, h string) {
		for _, m := range ParseAccept([]string{h}) {
			if !(m.Q >= 0 && m.Q <= 1) || m.Type == "" || m.Subtype == "" {
				t.Fatalf("%q gives %v", h, m)
			}
		}
	})
}

func TestLimiterWindows(t *testing.T) {
	l := NewLimiter(Limits{{3, time.Minute}, {2, time.Second}}, 10)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	start := time.Unix(1000, 500)
	take := func(a netip.Addr, after time.Duration) Verdict { return l.Take(a, start.Add(after)) }

	if v := take(a, 0); !v.OK || v.Limit != 2 || v.Window != time.Second || v.Remaining != 1 || !v.Reset.Equal(start.Add(time.Second)) {
		t.Errorf("the tightest limit is not shown: %+v", v)
	}
	if v := l.Peek(a, start); !v.OK || v.Remaining != 1 {
		t.Errorf("Peek counted or misread: %+v", v)
	}
	take(a, 1)
	if v := take(a, 2); v.OK || v.Remaining != 0 || v.Limit != 2 {
		t.Errorf("third request within a second passed: %+v", v)
	}
	if v := take(b, 2); !v.OK {
		t.Error("another client is refused")
	}
	if v := take(a, time.Second); !v.OK || v.Limit != 3 || v.Window != time.Minute || v.Remaining != 0 {
		t.Errorf("a refused request was counted, or the minute is not the tightest: %+v", v)
	}
	v := take(a, 2*time.Second)
	if v.OK || !v.Reset.Equal(start.Add(time.Minute)) {
		t.Errorf("fourth request of the minute passed: %+v", v)
	}
	w := httptest.NewRecorder()
	v.SetHeaders(w.Header(), start.Add(2*time.Second))
	want := map[string]string{"X-Ratelimit-Limit": "3", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": "1061", "Retry-After": "58"}
	for name, value := range want {
		if got := w.Header().Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if got := v.RetryAfter(start.Add(time.Hour)); got != "1" {
		t.Errorf("Retry-After of a window that has ended: %q", got)
	}
	if v := take(a, time.Minute); !v.OK {
		t.Errorf("refused after the reset: %+v", v)
	}
	if v := take(a, -time.Hour); !v.OK {
		t.Errorf("refused after the clock stepped back: %+v", v)
	}
}

func TestLimiterForgetsTheLongestSilent(t *testing.T) {
	l := NewLimiter(Limits{{1, time.Hour}}, 2)
	now := time.Unix(0, 0)
	a, b, c := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	l.Take(a, now)
	l.Take(b, now)
	if l.Take(netip.MustParseAddr("2001:db8::2"), now).OK {
		t.Error("two addresses of one IPv6 site count as two clients")
	}
	l.Take(c, now) // forgets b, since a's site was heard after it
	if len(l.clients) != 2 || l.recent.Len() != 2 {
		t.Errorf("%d clients are remembered, the bound is 2", len(l.clients))
	}
	if l.Take(a, now).OK {
		t.Error("the wrong client was forgotten")
	}
	if !l.Take(b, now).OK {
		t.Error("the longest silent client is still remembered")
	}
	if v := NewLimiter(nil, 2).Take(a, now); !v.OK {
		t.Error("no limits, but a refusal")
	}
}
