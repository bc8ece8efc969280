package web

import (
	"container/list"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Limiter counts requests of each client in fixed windows. A client is an IPv4
// address, an IPv6 /64, which is what one customer usually holds, or a user of
// an API that knows users. A window opens with a client's first request. Requests over a limit are not counted.
//
// Memory is bounded: at most maxClients are remembered, and the one that has
// been silent longest is forgotten first. Counters are this process's own. A
// nil *Limiter limits nothing. Safe for concurrent use.
type Limiter struct {
	limits     Limits
	maxClients int

	mu      sync.Mutex
	clients map[client]*list.Element // of *clientCount
	recent  *list.List               // the latest client in front
}

// client is an address, or a user's id.
type client struct {
	addr netip.Addr
	user uint64
}

type clientCount struct {
	client
	windows [maxLimits]window
}

type window struct {
	ends  time.Time
	count int
}

// DefaultClients is how many clients a Limiter remembers: some 30 MiB when full.
const DefaultClients = 100_000

// NewLimiter returns a limiter for limits, or nil if there are none.
func NewLimiter(limits Limits, maxClients int) *Limiter {
	if len(limits) == 0 {
		return nil
	}
	return &Limiter{
		limits: limits[:min(len(limits), maxLimits)], maxClients: max(maxClients, 1),
		clients: make(map[client]*list.Element), recent: list.New(),
	}
}

// Verdict is what a Limiter says about a request: the state of the tightest of
// its limits.
type Verdict struct {
	OK        bool
	Limit     int
	Window    time.Duration // of the limit whose N is Limit
	Remaining int
	Reset     time.Time // when the window ends; never before the request
}

// Take counts a request of client at now, and says whether it may pass.
func (l *Limiter) Take(addr netip.Addr, now time.Time) Verdict {
	return l.judge(client{addr: site(addr)}, now, true)
}

// TakeUser is Take for a user, wherever the request comes from.
func (l *Limiter) TakeUser(id uint64, now time.Time) Verdict {
	return l.judge(client{user: id}, now, true)
}

// Peek says what Take would leave untouched: the client's state without
// counting a request.
func (l *Limiter) Peek(addr netip.Addr, now time.Time) Verdict {
	return l.judge(client{addr: site(addr)}, now, false)
}

func (l *Limiter) judge(who client, now time.Time, count bool) Verdict {
	if l == nil {
		return Verdict{OK: true}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.client(who)
	pass := true
	for i, limit := range l.limits {
		w := &c.windows[i]
		// The second half closes windows that a step of the clock put far ahead.
		if !now.Before(w.ends) || w.ends.Sub(now) > limit.Window {
			*w = window{ends: now.Add(limit.Window)}
		}
		pass = pass && w.count < limit.N
	}
	if pass && count {
		for i := range l.limits {
			c.windows[i].count++
		}
	}
	return l.tightest(c, pass)
}

// tightest picks the limit with the fewest requests left; among equals the one
// that resets last, since until then a refused client stays refused.
func (l *Limiter) tightest(c *clientCount, pass bool) Verdict {
	v := Verdict{OK: pass}
	for i, limit := range l.limits {
		w := &c.windows[i]
		left := limit.N - w.count
		if i == 0 || left < v.Remaining || left == v.Remaining && w.ends.After(v.Reset) {
			v.Limit, v.Window, v.Remaining, v.Reset = limit.N, limit.Window, left, w.ends
		}
	}
	return v
}

func (l *Limiter) client(who client) *clientCount {
	if e := l.clients[who]; e != nil {
		l.recent.MoveToFront(e)
		return e.Value.(*clientCount)
	}
	if l.recent.Len() >= l.maxClients {
		oldest := l.recent.Back()
		delete(l.clients, l.recent.Remove(oldest).(*clientCount).client)
	}
	c := &clientCount{client: who}
	l.clients[who] = l.recent.PushFront(c)
	return c
}

func site(a netip.Addr) netip.Addr {
	if a.Is6() && !a.Is4In6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// RetryAfter returns the value of a refusal's Retry-After header: whole seconds
// until the window ends, 1 at least.
func (v Verdict) RetryAfter(now time.Time) string {
	left := v.Reset.Sub(now) + time.Second - 1
	return strconv.FormatInt(max(int64(left/time.Second), 1), 10)
}

// reset is when the window has ended, in whole unix seconds.
func (v Verdict) reset() int64 {
	if v.Reset.Nanosecond() > 0 {
		return v.Reset.Unix() + 1
	}
	return v.Reset.Unix()
}

// SetHeaders writes the X-Ratelimit headers, and Retry-After on a refusal.
func (v Verdict) SetHeaders(h http.Header, now time.Time) { v.setHeaders(h, "X-Ratelimit-", now) }

// SetExactHeaders is SetHeaders with the spelling X-RateLimit, which some
// clients look for to the letter.
func (v Verdict) SetExactHeaders(h http.Header, now time.Time) { v.setHeaders(h, "X-RateLimit-", now) }

func (v Verdict) setHeaders(h http.Header, prefix string, now time.Time) {
	h[prefix+"Limit"] = []string{strconv.Itoa(v.Limit)}
	h[prefix+"Remaining"] = []string{strconv.Itoa(v.Remaining)}
	h[prefix+"Reset"] = []string{strconv.FormatInt(v.reset(), 10)}
	if !v.OK {
		h["Retry-After"] = []string{v.RetryAfter(now)}
	}
}
