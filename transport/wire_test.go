package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// knock opens a plain connection to tr and sends raw bytes.
func knock(t testing.TB, tr *Transport, raw []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", tr.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	return conn
}

// enter opens a connection for calls to tr as node "x" of clusterA.
func enter(t testing.TB, tr *Transport) net.Conn {
	t.Helper()
	conn := knock(t, tr, appendHello(nil, hello{protocol: protocol, service: serviceCalls, cluster: clusterA, from: "x"}))
	if a, err := readAnswer(conn); err != nil || a.status != statusOK {
		t.Fatalf("handshake: %+v, %v", a, err)
	}
	return conn
}

// closed reports whether the peer closes conn without another byte.
func closed(conn net.Conn) bool {
	_, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

func TestHandshakeRefusals(t *testing.T) {
	good := hello{protocol: protocol, service: serviceCalls, cluster: clusterA, from: "x", to: "b"}
	cases := map[string]struct {
		edit    func(*hello)
		cluster [16]byte
		status  status
		text    string
	}{
		"welcome":            {func(*hello) {}, clusterA, statusOK, ""},
		"welcome by address": {func(h *hello) { h.to = "" }, clusterA, statusOK, ""},
		"another cluster":    {func(h *hello) { h.cluster = clusterB }, clusterA, statusCluster, "this port belongs to cluster 01020300000000000000000000000000, you are of cluster 09000000000000000000000000000000: is --join pointing at another cluster?"},
		"another node":       {func(h *hello) { h.to = "c" }, clusterA, statusNode, "this is node b, you wanted c"},
		"no name":            {func(h *hello) { h.from = "" }, clusterA, statusNode, "an id of its own"},
		"our own name":       {func(h *hello) { h.from = "b" }, clusterA, statusNode, "an id of its own"},
		"not yet joined":     {func(*hello) {}, [16]byte{}, statusNotJoined, "node b is not yet part of a cluster"},
		"unknown service":    {func(h *hello) { h.service = 9 }, clusterA, statusService, "no service 9"},
		"newer protocol":     {func(h *hello) { h.protocol = 2 }, clusterA, statusProtocol, "speaks peer protocol 1, you speak 2"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := listen(t, "b", func(cfg *Config) { cfg.ClusterID = c.cluster })
			h := good
			c.edit(&h)
			conn := knock(t, b, appendHello(nil, h))
			a, err := readAnswer(conn)
			if err != nil || a.status != c.status || !strings.Contains(a.text, c.text) {
				t.Fatalf("got %+v, %v, want status %d, %q", a, err, c.status, c.text)
			}
			if c.status != statusOK && !closed(conn) {
				t.Error("the connection stayed open")
			}
		})
	}
}

func TestARefusalReachesTheCallerAsUnavailable(t *testing.T) {
	b := listen(t, "b", func(c *Config) { c.ClusterID = clusterB })
	c := listen(t, "c", nil)
	a := listen(t, "a", func(cfg *Config) {
		cfg.Resolve = func(id string) (string, bool) {
			return map[string]string{"b": b.Addr().String(), "d": c.Addr().String()}[id], true
		}
	})
	for node, want := range map[string]string{"b": "is --join pointing at another cluster?", "d": "this is node c, you wanted d"} {
		_, err := a.Call(within(t, 10*time.Second), node, Term, nil)
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want unavailable, %q", node, err, want)
		}
	}
}

func TestAJoiningNodeIsServedOnceItKnowsItsCluster(t *testing.T) {
	b := listen(t, "b", func(c *Config) { c.ClusterID = [16]byte{} })
	a := listen(t, "a", knows("b", b))
	if _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("before: got %v", err)
	}
	if err := b.SetClusterID(clusterA); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a call succeeds", func() bool {
		_, err := a.Call(within(t, 10*time.Second), "b", Term, nil)
		return err == nil
	})
}

func TestStrangersAreClosedWithoutAnAnswer(t *testing.T) {
	b := listen(t, "b", func(c *Config) { c.HandshakeTimeout = 30 * time.Millisecond })
	for name, raw := range map[string]string{
		"http":          "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"tls":           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"nothing":       "",
		"half a hello":  magic + "\x01\x02abc",
		"long node id":  magic + "\x01\x02" + strings.Repeat("c", 16) + "\x81" + strings.Repeat("n", 129),
		"id cut short":  magic + "\x01\x02" + strings.Repeat("c", 16) + "\x05abc",
		"magic and end": magic,
	} {
		t.Run(name, func(t *testing.T) {
			if !closed(knock(t, b, []byte(raw))) {
				t.Error("got an answer, or the connection stayed open")
			}
		})
	}
	eventually(t, "all are gone", func() bool { return b.Stats().Incoming == 0 })
	if s := b.Stats(); s.Refused != 7 {
		t.Errorf("%d refused, want 7", s.Refused)
	}
}

func TestBadFramesEndTheConnection(t *testing.T) {
	b := listen(t, "b", func(c *Config) { c.MaxFrame = 1000; c.IdleTimeout = 50 * time.Millisecond })
	for name, raw := range map[string][]byte{
		"oversize":         appendFrame(nil, frame{id: 1, kind: byte(Term), body: make([]byte, 992)}),
		"absurd":           {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 1},
		"too short":        {0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 1},
		"truncated body":   appendFrame(nil, frame{id: 1, kind: byte(Term), body: make([]byte, 10)})[:15],
		"truncated header": {0, 0, 0},
		"silence":          nil,
	} {
		t.Run(name, func(t *testing.T) {
			conn := enter(t, b)
			if _, err := conn.Write(raw); err != nil {
				t.Fatal(err)
			}
			if !closed(conn) {
				t.Error("got an answer, or the connection stayed open")
			}
		})
	}
	if s := b.Stats(); s.Term.Served != 0 {
		t.Errorf("%d calls served, want none", s.Term.Served)
	}
}

func TestTheGreatestFrameFits(t *testing.T) {
	b := listen(t, "b", func(c *Config) { c.MaxFrame = 3 << 20 })
	a := listen(t, "a", func(c *Config) { c.MaxFrame = 3 << 20; c.Resolve = at("b", b.Addr().String()) })
	body := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)[:3<<20-frameMin]
	got, err := a.Call(within(t, 30*time.Second), "b", Propose, body)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes came back, %v, want %d as they were", len(got), err, len(body))
	}
}

func TestAnOversizeReplyIsAnErrorNotABrokenConnection(t *testing.T) {
	b := listen(t, "b", func(c *Config) {
		c.MaxFrame = 200
		c.Handler = func(_ context.Context, _ string, call Call, body []byte, reply func([]byte, error)) {
			if call == ReadPoint {
				reply(make([]byte, 1000), nil)
				return
			}
			reply(nil, errs.E(errs.Conflict, "%s", strings.Repeat("long", 1000)))
		}
	})
	a := listen(t, "a", knows("b", b))
	if _, err := a.Call(within(t, 10*time.Second), "b", ReadPoint, nil); !errs.Is(err, errs.Internal) {
		t.Errorf("a long reply: got %v", err)
	}
	if _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); !errs.Is(err, errs.Conflict) {
		t.Errorf("a long error: got %v", err)
	}
}

func TestAnUnknownCallOfANewerPeerIsAnswered(t *testing.T) {
	b := listen(t, "b", nil)
	conn := enter(t, b)
	conn.Write(appendFrame(nil, frame{id: 7, kind: 66}))
	f, err := readFrame(bufio.NewReader(conn), 1<<20)
	if err != nil || f.id != 7 || f.kind != kindError || errs.Decode(f.body).Kind != errs.Invalid {
		t.Errorf("got %+v, %v, want an error of kind invalid", f, err)
	}
}

func TestAnIdleConnectionStaysAlive(t *testing.T) {
	quick := func(c *Config) { c.PingEvery, c.IdleTimeout = 10*time.Millisecond, 500*time.Millisecond }
	b := listen(t, "b", quick)
	a := listen(t, "a", func(c *Config) { quick(c); c.Resolve = at("b", b.Addr().String()) })
	if _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); err != nil {
		t.Fatal(err)
	}
	heard := a.Stats().BytesIn
	eventually(t, "a hears 60 pings, more than an idle time-out's worth", func() bool { return a.Stats().BytesIn > heard+60*frameHeader })
	if _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); err != nil {
		t.Error(err)
	}
	if n := a.Stats().Dials; n != 1 {
		t.Errorf("%d dials, want 1", n)
	}
}

func TestASilentPeerFailsItsCallsAsUnknown(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	go func() { // shakes hands, then reads and never says a word
		conn, err := mute.Accept()
		if err != nil {
			return
		}
		readHello(conn)
		conn.Write(appendAnswer(nil, answer{}))
		io.Copy(io.Discard, conn)
	}()
	a := listen(t, "a", func(c *Config) {
		c.PingEvery, c.IdleTimeout = 5*time.Millisecond, 50*time.Millisecond
		c.Resolve = at("b", mute.Addr().String())
	})
	if _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); !errs.Is(err, errs.Unknown) {
		t.Errorf("got %v, want unknown", err)
	}
}

func TestAPeerThatDoesNotReadIsCutOff(t *testing.T) {
	b := listen(t, "b", func(c *Config) { c.WriteTimeout = 50 * time.Millisecond })
	conn := enter(t, b)
	f := appendFrame(nil, frame{id: 1, kind: byte(Term), body: make([]byte, 256<<10)})
	for range 200 { // 50 MiB of echoes that nobody reads
		if _, err := conn.Write(f); err != nil {
			break
		}
	}
	eventually(t, "the connection is closed", func() bool { return b.Stats().Incoming == 0 })
}

func TestCallsInFlightAreBounded(t *testing.T) {
	replies := make(chan func(), 100)
	b := listen(t, "b", func(c *Config) {
		c.MaxInFlight = 3
		c.Handler = func(_ context.Context, _ string, _ Call, body []byte, reply func([]byte, error)) {
			replies <- func() { reply(body, nil) }
		}
	})
	conn := enter(t, b)
	var raw []byte
	for i := range 10 {
		raw = appendFrame(raw, frame{id: uint64(i), kind: byte(Term)})
	}
	conn.Write(raw)
	eventually(t, "three are served", func() bool { return len(replies) == 3 })
	for i := range 10 {
		(<-replies)()
		if n := b.Stats().Term.Served; n > uint64(i)+4 {
			t.Fatalf("%d served after %d replies, want at most 3 in flight", n, i+1)
		}
	}
	r := bufio.NewReader(conn)
	for range 10 {
		if _, err := readFrame(r, 1000); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBytesInFlightAreBounded(t *testing.T) {
	g := gate{maxCalls: 10, maxBytes: 100, wake: make(chan struct{}, 1)}
	done := make(chan struct{})
	if !g.enter(1000, done) {
		t.Fatal("a single call of any size must pass")
	}
	passed := make(chan bool, 1)
	go func() { passed <- g.enter(1, done) }()
	eventually(t, "the second waits", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.waiting })
	g.leave(1000)
	if !<-passed {
		t.Error("the second did not pass after the first left")
	}
	close(done)
	if g.enter(100, done) {
		t.Error("passed over the limit")
	}
}

func TestIncomingConnectionsAreBounded(t *testing.T) {
	b := listen(t, "b", func(c *Config) { c.MaxConns = 4; c.HandshakeTimeout = 10 * time.Second })
	slow := knock(t, b, []byte(magic)) // holds the one place for unfinished handshakes
	eventually(t, "it is accepted", func() bool { return b.Stats().Incoming == 1 })
	if !closed(knock(t, b, nil)) {
		t.Error("a second unfinished handshake was let in")
	}
	slow.Close()
	eventually(t, "its place is free", func() bool { return b.Stats().Incoming == 0 && len(b.greeting) == 0 })
	for range 4 {
		enter(t, b)
	}
	eventually(t, "no handshake is under way", func() bool { return len(b.greeting) == 0 })
	if !closed(knock(t, b, nil)) {
		t.Error("a fifth connection was let in")
	}
}

func TestALargeProposalDoesNotDelayATerm(t *testing.T) {
	hold := make(chan struct{})
	b := listen(t, "b", func(c *Config) {
		c.Handler = func(_ context.Context, _ string, call Call, body []byte, reply func([]byte, error)) {
			if call == Propose {
				<-hold // as if the connection were busy
			}
			reply(nil, nil)
		}
	})
	a := listen(t, "a", knows("b", b))
	big := make(chan error)
	go func() { _, err := a.Call(context.Background(), "b", Propose, make([]byte, 16<<20)); big <- err }()
	eventually(t, "the proposal is with b", func() bool { return b.Stats().Propose.Served == 1 })
	if _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); err != nil {
		t.Errorf("term: %v", err)
	}
	close(hold)
	if err := <-big; err != nil {
		t.Errorf("propose: %v", err)
	}
}

func TestSendersWaitForRoom(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	cfg := Config{NodeID: "a", MaxFrame: 100}
	cfg.complete()
	o := newOutbox(ours, &cfg)
	o.limit = 100
	f := frame{id: 1, kind: 1, body: make([]byte, 60)}
	if _, err := o.put(context.Background(), f); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := o.put(ctx, f); !errors.Is(err, context.Canceled) {
		t.Errorf("over the limit: got %v, want to wait until the context ends", err)
	}
	if o.offer(f) {
		t.Error("an offer over the limit was taken")
	}
	waited := make(chan error)
	go func() { _, err := o.put(context.Background(), f); waited <- err }()
	eventually(t, "it waits", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.room != nil })
	if n := len(o.take()); n != f.size() {
		t.Errorf("%d bytes taken, want %d", n, f.size())
	}
	if err := <-waited; err != nil {
		t.Errorf("after room was made: %v", err)
	}
	o.close()
	if _, err := o.put(context.Background(), f); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}
