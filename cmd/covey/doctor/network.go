package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// errNotAsked is the error of what there was no way to ask.
var errNotAsked = errors.New("not asked")

// lives reports whether a Covey node answers on the node's HTTP address.
func lives(ctx context.Context, s *Subject) bool {
	resp, err := s.get(ctx, Dialable(s.HTTPAddr), "/livez")
	if err != nil {
		var op *net.OpError
		return errors.As(err, &op) && op.Op == "remote error" // a TLS alert: it asks for a client's certificate
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16))
	return err == nil && resp.StatusCode == http.StatusOK && string(text) == "ok\n"
}

// get asks an address for what everybody may know. It carries no secret, so it
// does not matter who answers: certificates are not checked. Where clients have
// to show one, theirs is.
func (s *Subject) get(ctx context.Context, addr, path string) (*http.Response, error) {
	scheme := "http://"
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	if s.HTTPS {
		scheme = "https://"
	}
	if s.ClientCert != nil {
		conf.Certificates = []tls.Certificate{*s.ClientCert}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+addr+path, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: conf},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &cancelling{resp.Body, cancel}
	return resp, nil
}

// cancelling is a body whose request ends with it.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body and releases the request.
func (c *cancelling) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

// readClock compares the clock of a member with this one by the Date of an
// answer, which is cut to the second.
func (s *Subject) readClock(ctx context.Context, id, addr string) Clock {
	sent := time.Now()
	resp, err := s.get(ctx, addr, "/livez")
	if err != nil {
		return Clock{ID: id}
	}
	defer resp.Body.Close()
	trip := time.Since(sent)
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return Clock{ID: id}
	}
	const half = time.Second / 2
	return Clock{ID: id, Ahead: date.Add(half).Sub(sent.Add(trip / 2)), Within: half + trip/2, Sampled: true}
}

// readOpenFiles returns the limit of the running node by its metrics, and else
// that of this process.
func readOpenFiles(ctx context.Context, s *Subject, running bool) OpenFiles {
	if !s.Local {
		return OpenFiles{}
	}
	if running {
		if o, ok := nodeOpenFiles(ctx, s); ok {
			return o
		}
	}
	return OpenFiles{Limit: openFilesLimit()}
}

// maxMetrics bounds what is read of a node's metrics.
const maxMetrics = 4 << 20

func nodeOpenFiles(ctx context.Context, s *Subject) (o OpenFiles, ok bool) {
	resp, err := s.get(ctx, Dialable(s.HTTPAddr), "/metrics")
	if err != nil {
		return o, false
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(resp.Body, maxMetrics))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "process_max_fds":
			o.Limit = uint64(n)
		case name == "process_open_fds":
			o.InUse = uint64(n)
		}
	}
	o.OfNode = o.Limit > 0
	return o, o.OfNode
}

// tryPort opens a port for a moment.
func tryPort(ctx context.Context, d Door) Port {
	p := Port{Door: d}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", d.Addr)
	if err != nil {
		p.Err = err
		return p
	}
	defer l.Close()
	if d.UDP {
		u, err := lc.ListenPacket(ctx, "udp", d.Addr)
		if err != nil {
			p.Err = err
			return p
		}
		p.Err = u.Close()
	}
	return p
}

// resolve looks the advertised host up.
func resolve(ctx context.Context, s *Subject) Advertised {
	a := Advertised{Host: s.Advertise}
	if a.Host == "" {
		host, _, err := net.SplitHostPort(s.PeerAddr)
		if err != nil {
			a.Err = err
			return a
		}
		a.Host = host
	}
	if h, _, err := net.SplitHostPort(a.Host); err == nil {
		a.Host = h
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if a.Host == "" {
		a.Unspecified = true
		return a
	}
	a.Addrs, a.Err = net.DefaultResolver.LookupHost(ctx, a.Host)
	here := localAddrs()
	for _, addr := range a.Addrs {
		ip := net.ParseIP(addr)
		a.Unspecified = a.Unspecified || ip.IsUnspecified()
		a.Here = a.Here || ip.IsLoopback() || slices.Contains(here, ip.String())
	}
	return a
}

// localAddrs returns the addresses of this machine's interfaces.
func localAddrs() (out []string) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			out = append(out, n.IP.String())
		}
	}
	return out
}

// joins returns the addresses of --join, marked where they are this node's own.
func joins(ctx context.Context, s *Subject) (out []Reach) {
	_, port, err := net.SplitHostPort(s.Gossip)
	if err != nil {
		return nil
	}
	here := localAddrs()
	for _, addr := range s.Join[:min(len(s.Join), maxDials)] {
		if net.ParseIP(addr) != nil || !strings.Contains(addr, ":") {
			addr = net.JoinHostPort(addr, port) // as gossip takes it
		}
		r := Reach{What: "gossip", Addr: addr}
		host, p, err := net.SplitHostPort(addr)
		if err == nil && p == port {
			r.Own = addr == s.Gossip || host == s.Advertise || ownHost(ctx, host, here) && ownListener(s.Gossip)
		}
		out = append(out, r)
	}
	return out
}

// ownListener reports whether a node that listens on addr does so on all
// addresses of the machine.
func ownListener(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "" || net.ParseIP(host).IsUnspecified())
}

func ownHost(ctx context.Context, host string, here []string) bool {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addrs, func(a string) bool { return slices.Contains(here, a) })
}

// dialAll dials all addresses at once that are not the node's own. One that
// does not answer is tried twice: a packet may be lost, a node may just start.
func dialAll(ctx context.Context, to []Reach) []Reach {
	var wg sync.WaitGroup
	for i := range to {
		if to[i].Own {
			continue
		}
		wg.Go(func() {
			if to[i].Err = to[i].dial(ctx); to[i].Err == nil {
				return
			}
			select {
			case <-time.After(dialPause):
				to[i].Err = to[i].dial(ctx)
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
	return to
}

// gossipHello is how a stream of gossip between Covey's nodes begins: the tag of
// a label, its length, the label. A stream that ends after it has nothing to say,
// and the other side logs nothing; one without it is a stranger's, and an error
// in its log.
const gossipHello = "\xf4\x05covey"

func (r *Reach) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", r.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if r.What == "gossip" {
		_ = conn.SetWriteDeadline(time.Now().Add(dialTime))
		_, err = io.WriteString(conn, gossipHello)
	}
	return err
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// Dialable returns where a process on this machine reaches one that listens on
// addr: on loopback where it listens on every address.
func Dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	ip := net.ParseIP(host)
	switch {
	case host == "", ip != nil && ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
