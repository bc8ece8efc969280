package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultEndpoint is where a node listens unless it is told otherwise.
const DefaultEndpoint = "http://127.0.0.1:8700"

// maxAnswer bounds what a call keeps of an answer: a full list of the largest
// default values fits.
const maxAnswer = 256 << 20

// Config says how to reach a cluster. The zero value is one node on this
// machine.
type Config struct {
	Endpoints []string // base URLs, or host:port for plain HTTP; none = DefaultEndpoint
	RootKey   string   // the cluster's root key; sent only where the operator's right is needed

	Consistency string        // consistency of reads: "" or "linearizable", or "stale"
	Timeout     time.Duration // bound of one call with all its tries; 0 = 30 s
	Unreachable time.Duration // give up when no endpoint accepted a connection for so long; 0 = 2 s

	TLS       *tls.Config       // for https endpoints; nil = the system's roots
	Transport http.RoundTripper // replaces the HTTP transport; TLS is ignored then
}

// Client is safe for concurrent use. Close releases its idle connections.
type Client struct {
	cfg       Config
	http      *http.Client
	endpoints []*url.URL
	preferred atomic.Int64 // index of the endpoint that answered last
	seen      lastVersion
}

// New checks cfg and returns a client. It does not connect.
func New(cfg Config) (*Client, error) {
	if len(cfg.Endpoints) == 0 {
		cfg.Endpoints = []string{DefaultEndpoint}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Unreachable <= 0 {
		cfg.Unreachable = 2 * time.Second
	}
	switch cfg.Consistency {
	case "", "linearizable", "stale":
	default:
		return nil, fmt.Errorf("consistency %q is neither linearizable nor stale", cfg.Consistency)
	}
	c := &Client{cfg: cfg}
	for _, text := range cfg.Endpoints {
		u, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		c.endpoints = append(c.endpoints, u)
	}
	rt := cfg.Transport
	if rt == nil {
		rt = transport(cfg.TLS)
	}
	c.http = &http.Client{
		Transport:     rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close releases idle connections. Calls under way are not disturbed.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Endpoints returns the base URLs in the order they were given.
func (c *Client) Endpoints() []string {
	out := make([]string, len(c.endpoints))
	for i, u := range c.endpoints {
		out[i] = u.String()
	}
	return out
}

func transport(conf *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 15 * time.Second, // a node waits up to 10 s for a leader
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     false,
	}
}

func parseEndpoint(text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	full := text
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("endpoint %q is not a URL such as http://127.0.0.1:8700", text)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %q may hold only scheme, host and port", u.Redacted())
	}
	u.Path = ""
	return u, nil
}

// request is one call of the API, repeatable as it stands.
type request struct {
	op     string // what is tried, for errors: "set key hits in bucket b"
	method string
	path   string // escaped, with the leading slash
	query  url.Values
	header http.Header
	body   []byte
	key    string // credential, sent as Bearer
	reads  bool   // changes nothing, whatever the method

	stream io.ReadCloser // in place of body, for one that is sent once, of size bytes
	size   int64

	unknown bool // some try may have been applied, and none since was judged

	patience time.Duration // between two pieces of an answer that open gives; 0 = Config.Timeout
}

// answer is a complete answer of a node.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	endpoint string
	rest     io.ReadCloser // in place of body, for an answer that is read piece by piece
}

// write marks r as a write: all tries carry the same id and the version that
// was known before the first of them.
func (c *Client) write(r *request, id string) {
	if r.header == nil {
		r.header = http.Header{}
	}
	if id == "" {
		id = NewIdempotencyKey()
	}
	r.header.Set("Idempotency-Key", id)
	if v := c.seen.fresh(time.Now()); v != 0 {
		r.header.Set("Covey-Version", strconv.FormatUint(v, 10))
	}
}

// NewIdempotencyKey returns a new random key for a write that the caller may
// repeat itself.
func NewIdempotencyKey() string {
	var b [16]byte
	rand.Read(b[:]) // never returns an error since Go 1.24
	return hex.EncodeToString(b[:])
}

// do sends r until it has an answer that a repeat would not change, or time
// runs out. Any answer below 300 is a success.
func (c *Client) do(ctx context.Context, r *request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return c.try(ctx, r, c.once)
}

// try is do with a way to ask one endpoint. ctx has a deadline.
func (c *Client) try(ctx context.Context, r *request, once func(context.Context, *url.URL, *request) (*answer, *Error)) (*answer, error) {
	begin := time.Now()
	first := int(c.preferred.Load())
	reached := false
	var refused *Error        // the last answer that said why nothing was done
	var slowest time.Duration // how long such an answer took to come
	for try := 0; ; try++ {
		i := (first + try) % len(c.endpoints)
		sent := time.Now()
		a, err := once(ctx, c.endpoints[i], r)
		if err == nil {
			c.preferred.Store(int64(i))
			return a, nil
		}
		reached = reached || !err.unreachable
		// A try that may have been applied makes the whole call uncertain
		// until a later try gets a definite answer.
		r.unknown = (r.unknown || err.Unknown) && !err.judged()
		err.Unknown = r.unknown
		if err.Status == http.StatusServiceUnavailable {
			refused, slowest = err, max(slowest, time.Since(sent))
		}
		if !err.retryable() {
			if err.Status == 0 && refused != nil && !r.unknown {
				return nil, refused
			}
			return nil, err
		}
		if !reached && time.Since(begin) >= c.cfg.Unreachable {
			return nil, err
		}
		// A try that could not end in time would only make a write that was
		// refused uncertain, and hide the reason.
		last := (try+1)%len(c.endpoints) == 0
		if last && refused != nil && !r.unknown && remaining(ctx) < slowest {
			return nil, refused
		}
		if last && !pause(ctx, (try+1)/len(c.endpoints), err.RetryAfter) {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, err
		}
	}
}

// remaining is how much time a call has left; its context has a deadline.
func remaining(ctx context.Context) time.Duration {
	end, _ := ctx.Deadline()
	return time.Until(end)
}

// pause waits before round number round, and reports whether there is time for
// one.
func pause(ctx context.Context, round int, atLeast time.Duration) bool {
	d := min(50*time.Millisecond<<min(round-1, 5), time.Second)
	return sleep(ctx, max(d/2+mathrand.N(d), min(atLeast, 2*time.Second)))
}

// sleep waits, and reports whether there was time for it.
func sleep(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once asks one endpoint and reads the whole answer.
func (c *Client) once(ctx context.Context, ep *url.URL, r *request) (*answer, *Error) {
	resp, fail := c.send(ctx, ep, r)
	if fail != nil {
		return nil, fail
	}
	return c.read(resp, ep, r)
}

// send returns an answer with its body unread.
func (c *Client) send(ctx context.Context, ep *url.URL, r *request) (*http.Response, *Error) {
	fail := &Error{Op: r.op, Endpoint: ep.Host}
	target := ep.String() + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var body io.Reader = bytes.NewReader(r.body)
	if r.stream != nil {
		body = r.stream
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		fail.Err, fail.final = err, true
		return nil, fail
	}
	client := c.http
	if r.stream != nil {
		req.ContentLength, client = r.size, c.slow()
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	// What carries an Idempotency-Key net/http itself sends again over another
	// connection when a kept one breaks: that none came about then says little.
	var sent atomic.Bool
	if r.changes() {
		req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}))
	}
	resp, err := client.Do(req)
	if err != nil {
		fail.Err = cause(err)
		fail.unreachable = isDial(err) && !sent.Load()
		fail.Unknown = !fail.unreachable && r.changes()
		fail.final = ctx.Err() != nil
		return nil, fail
	}
	c.seen.note(resp.Header.Get("Covey-Version"))
	return resp, nil
}

// read returns the whole answer, or the failure that it tells of.
func (c *Client) read(resp *http.Response, ep *url.URL, r *request) (*answer, *Error) {
	defer resp.Body.Close()
	fail := &Error{Op: r.op, Endpoint: ep.Host}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		fail.Err, fail.Unknown = cause(err), r.changes()
		return nil, fail
	case len(body) > maxAnswer:
		fail.Err, fail.final = errors.New("the answer is larger than 256 MiB"), true
		return nil, fail
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body, endpoint: ep.Host}
	if a.status >= 300 {
		fail.fill(a)
		fail.Unknown = (a.status == http.StatusGatewayTimeout || a.status == http.StatusBadGateway) && r.changes()
		return nil, fail
	}
	return a, nil
}

// changes reports whether r may change something.
func (r *request) changes() bool {
	return !r.reads && r.method != http.MethodGet && r.method != http.MethodHead
}

// cause strips the method and URL that net/http puts around an error: the URL
// may be long, and Error names the endpoint itself.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// isDial reports whether err happened before a connection existed, so that the
// request certainly was not delivered.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
