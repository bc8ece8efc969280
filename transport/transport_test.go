package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

var clusterA, clusterB = [16]byte{1, 2, 3}, [16]byte{9}

// echo answers every call at once with its own body.
func echo(_ context.Context, _ string, _ Call, body []byte, reply func([]byte, error)) {
	reply(body, nil)
}

// listen starts node id of clusterA on loopback; edit may change the Config.
func listen(t testing.TB, id string, edit func(*Config)) *Transport {
	t.Helper()
	cfg := Config{Addr: "127.0.0.1:0", NodeID: id, ClusterID: clusterA, Handler: echo}
	if edit != nil {
		edit(&cfg)
	}
	tr, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// knows makes a node resolve the given peer.
func knows(id string, p *Transport) func(*Config) {
	return func(c *Config) { c.Resolve = at(id, p.Addr().String()) }
}

func at(id, addr string) func(string) (string, bool) {
	return func(n string) (string, bool) { return addr, n == id }
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls cond: what it waits for has no signal of its own.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not come true in 10 s", what)
		}
	}
}

// noneLeft fails if goroutines of this package are still running.
func noneLeft(t *testing.T) {
	t.Helper()
	buf := make([]byte, 1<<20)
	var left string
	for range 500 {
		left = ""
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "covey/transport.(*") && !strings.Contains(g, "testing.tRunner") {
				left += g + "\n\n"
			}
		}
		if left == "" {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("goroutines left:\n%s", left)
}

func TestCallBringsTheReplyOfTheHandler(t *testing.T) {
	type seen struct {
		from string
		call Call
	}
	got := make(chan seen, 3)
	b := listen(t, "b", func(c *Config) {
		c.Handler = func(_ context.Context, from string, call Call, body []byte, reply func([]byte, error)) {
			got <- seen{from, call}
			reply(append([]byte("re: "), body...), nil)
		}
	})
	a := listen(t, "a", knows("b", b))
	for _, c := range []Call{Propose, ReadPoint, Term} {
		reply, err := a.Call(within(t, 10*time.Second), "b", c, []byte(c.String()))
		if want := "re: " + c.String(); err != nil || string(reply) != want {
			t.Errorf("%v: got %q, %v, want %q", c, reply, err, want)
		}
		if g := <-got; g != (seen{"a", c}) {
			t.Errorf("%v: the handler saw %+v", c, g)
		}
	}
	sa, sb := a.Stats(), b.Stats()
	if sa.Dials != 2 || sb.Accepted != 2 || sa.Propose.Sent != 1 || sb.Term.Served != 1 || sa.BytesOut == 0 || sb.BytesIn == 0 {
		t.Errorf("stats: caller %+v, receiver %+v; want two connections and one call of each sort", sa, sb)
	}
}

func TestAnEmptyBodyTravelsBothWays(t *testing.T) {
	b := listen(t, "b", nil)
	a := listen(t, "a", knows("b", b))
	if reply, err := a.Call(within(t, 10*time.Second), "b", Term, nil); err != nil || len(reply) != 0 {
		t.Errorf("got %q, %v", reply, err)
	}
}

func TestRepliesMayComeInAnyOrder(t *testing.T) {
	const n = 100
	var mu sync.Mutex
	var held []func()
	b := listen(t, "b", func(c *Config) {
		c.Handler = func(_ context.Context, _ string, _ Call, body []byte, reply func([]byte, error)) {
			mu.Lock()
			defer mu.Unlock()
			held = append(held, func() { reply(body, nil) })
			if len(held) == n { // answer all, the last one first
				for i := range held {
					go held[n-1-i]()
				}
			}
		}
	})
	a := listen(t, "a", knows("b", b))
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			want := fmt.Sprint("call ", i)
			got, err := a.Call(within(t, 10*time.Second), "b", Propose, []byte(want))
			if err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
	wg.Wait()
}

func TestManyCallersShareAConnection(t *testing.T) {
	b := listen(t, "b", nil)
	a := listen(t, "a", knows("b", b))
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			body := make([]byte, 8)
			for i := range 100 {
				body[0], body[1] = byte(g), byte(i)
				got, err := a.Call(within(t, 20*time.Second), "b", Call(1+i%3), body)
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("caller %d, call %d: got %v, %v", g, i, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if s := a.Stats(); s.Dials != 2 || s.InFlight != 0 {
		t.Errorf("%d dials, %d in flight; want 2 and none", s.Dials, s.InFlight)
	}
}

func TestErrorsOfTheHandlerKeepTheirKind(t *testing.T) {
	var next atomic.Pointer[errs.Error]
	b := listen(t, "b", func(c *Config) {
		c.Handler = func(_ context.Context, _ string, _ Call, _ []byte, reply func([]byte, error)) {
			reply(nil, next.Load())
		}
	})
	a := listen(t, "a", knows("b", b))
	for _, k := range []errs.Kind{errs.Invalid, errs.Conflict, errs.Unavailable, errs.Unknown, errs.NoSpace} {
		next.Store(errs.E(k, "no luck with %v", k))
		_, err := a.Call(within(t, 10*time.Second), "b", Propose, nil)
		if !errs.Is(err, k) || err.Error() != "no luck with "+k.String() {
			t.Errorf("got %v (%v), want kind %v", err, errs.KindOf(err), k)
		}
	}
	if s := a.Stats(); s.Propose.Errors != 5 {
		t.Errorf("%d errors counted, want 5", s.Propose.Errors)
	}
}

func TestAReplyIsGivenOnce(t *testing.T) {
	b := listen(t, "b", func(c *Config) {
		c.Handler = func(_ context.Context, _ string, _ Call, body []byte, reply func([]byte, error)) {
			reply(body, nil)
			reply([]byte("again"), nil)
		}
	})
	a := listen(t, "a", knows("b", b))
	for i := range 10 {
		want := fmt.Sprint(i)
		if got, err := a.Call(within(t, 10*time.Second), "b", Term, []byte(want)); err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestWhatWasNeverSentIsUnavailable(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close() // nobody listens here any more
	cases := map[string]struct {
		edit func(*Config)
		want string
	}{
		"nobody listens":    {func(c *Config) { c.Resolve = at("b", free.Addr().String()) }, "refused"},
		"unknown node":      {nil, "its address is not known"},
		"no cluster yet":    {func(c *Config) { c.ClusterID = [16]byte{} }, "not yet part of a cluster"},
		"unresolvable name": {func(c *Config) { c.Resolve = at("b", "no.such.host.invalid:1") }, "no.such.host.invalid"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := listen(t, "a", c.edit)
			for range 2 { // the second call meets the pause after the first
				_, err := a.Call(within(t, 10*time.Second), "b", Propose, nil)
				if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v (%v), want unavailable, naming %q", err, errs.KindOf(err), c.want)
				}
			}
		})
	}
}

func TestABrokenConnectionAfterSendingIsUnknown(t *testing.T) {
	arrived := make(chan struct{}, 2)
	b := listen(t, "b", func(c *Config) {
		c.Handler = func(context.Context, string, Call, []byte, func([]byte, error)) { arrived <- struct{}{} }
	})
	a := listen(t, "a", knows("b", b))
	result := make(chan error)
	go func() {
		_, err := a.Call(context.Background(), "b", Propose, []byte("x"))
		result <- err
	}()
	<-arrived
	b.Close()
	if err := <-result; !errs.Is(err, errs.Unknown) {
		t.Fatalf("got %v (%v), want unknown", err, errs.KindOf(err))
	}
	_, err := a.Call(within(t, 10*time.Second), "b", Propose, nil)
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("after that: got %v (%v), want unavailable", err, errs.KindOf(err))
	}
}

func TestWhatWaitedBehindABlockedWriteIsUnavailableWhenItBreaks(t *testing.T) {
	ours, theirs := net.Pipe() // nobody reads: the first write blocks
	cfg := Config{NodeID: "a"}
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	l := newLink("b", ours, &cfg)
	go func() { l.fail(l.out.run(func() error { return nil })) }()
	results := make(chan error, 2)
	send := func(body string) {
		_, _, err := l.call(context.Background(), Propose, []byte(body))
		results <- err
	}
	go send("first")
	eventually(t, "the first call is with the network", func() bool { return l.out.sent(1) })
	go send("second")
	eventually(t, "the second is queued", func() bool { l.out.mu.Lock(); defer l.out.mu.Unlock(); return len(l.out.pend) > 0 })
	theirs.Close()
	kinds := map[errs.Kind]int{}
	for range 2 {
		kinds[errs.KindOf(<-results)]++
	}
	if kinds[errs.Unknown] != 1 || kinds[errs.Unavailable] != 1 {
		t.Errorf("got %v, want one unknown and one unavailable", kinds)
	}
}

func TestTheEndOfTheContextAfterSendingIsUnknown(t *testing.T) {
	release := make(chan func(), 1)
	b := listen(t, "b", func(c *Config) {
		c.Handler = func(_ context.Context, _ string, call Call, body []byte, reply func([]byte, error)) {
			if call == Propose {
				release <- func() { reply([]byte("late"), nil) }
				return
			}
			reply(body, nil)
		}
	})
	a := listen(t, "a", knows("b", b))
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() {
		_, err := a.Call(ctx, "b", Propose, nil)
		result <- err
	}()
	late := <-release
	cancel()
	if err := <-result; !errs.Is(err, errs.Unknown) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v (%v), want unknown, cancelled", err, errs.KindOf(err))
	}
	late() // is dropped, and takes nobody else's place
	if got, err := a.Call(within(t, 10*time.Second), "b", Term, []byte("t")); err != nil || string(got) != "t" {
		t.Errorf("the next call got %q, %v", got, err)
	}
	if s := a.Stats(); s.InFlight != 0 {
		t.Errorf("%d calls in flight, want none", s.InFlight)
	}
}

func TestACallerThatGivesUpDoesNotEndTheDialOfOthers(t *testing.T) {
	gate, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing, until told
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	a := listen(t, "a", func(c *Config) { c.Resolve = at("b", gate.Addr().String()) })
	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan error), make(chan error)
	go func() { _, err := a.Call(ctx, "b", Term, nil); first <- err }()
	conn, err := gate.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); second <- err }()
	cancel()
	if err := <-first; !errs.Is(err, errs.Unavailable) {
		t.Errorf("who gave up got %v, want unavailable", err)
	}
	if _, err := readHello(conn); err != nil {
		t.Fatal(err)
	}
	conn.Write(appendAnswer(nil, answer{}))
	var f [frameHeader]byte
	if _, err := io.ReadFull(conn, f[:]); err != nil {
		t.Fatal(err)
	}
	conn.Write(appendFrame(nil, frame{id: uint64(f[11]), kind: kindReply}))
	if err := <-second; err != nil {
		t.Errorf("who waited got %v", err)
	}
	if n := a.Stats().Dials; n != 1 {
		t.Errorf("%d dials, want 1", n)
	}
}

func TestAPeerIsFoundAgainAtItsNewAddress(t *testing.T) {
	var addr atomic.Pointer[string]
	move := func(tr *Transport) { s := tr.Addr().String(); addr.Store(&s) }
	b1 := listen(t, "b", nil)
	move(b1)
	a := listen(t, "a", func(c *Config) {
		c.PingEvery = 5 * time.Millisecond
		c.Resolve = func(string) (string, bool) { return *addr.Load(), true }
	})
	if _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); err != nil {
		t.Fatal(err)
	}
	b2 := listen(t, "b", nil)
	move(b2) // b1 says no farewell: it still answers
	eventually(t, "calls go to the new address", func() bool {
		a.Call(within(t, 10*time.Second), "b", Term, nil)
		return b2.Stats().Term.Served > 0
	})
}
