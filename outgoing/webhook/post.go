package webhook

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/coveydb/covey/internal/dial"
	"github.com/coveydb/covey/internal/errs"
)

const (
	defaultTimeout = 15 * time.Second
	maxAnswer      = 64 << 10 // bytes
	drainTime      = time.Second
	maxErrorText   = 200 // bytes
	userAgent      = "Covey-Webhook/1"
)

// A Poster posts messages. Its fields must not change once it has posted one.
// Safe for concurrent use. Close it when it is no longer needed.
type Poster struct {
	// AllowPrivate lets it dial any address and port, and post without TLS.
	AllowPrivate bool
	Timeout      time.Duration // of one post, up to the end of the answer's head; 0 = 15 seconds
	MaxAnswer    int64         // bytes that are read of an answer; 0 = 64 KiB

	once      sync.Once
	transport *http.Transport
}

// A Message is what is posted.
type Message struct {
	URL     string
	ID      string      // the same for all tries
	At      time.Time   // of this try
	Body    []byte      // JSON; it is sent as it is
	Secret  []byte      // the signature's key, see ParseSecret
	Headers http.Header // sent besides; those that Post sets itself win
}

// Post makes one try to post m. nil: the target has answered with a status of
// 200 to 299; what it says in the body counts for nothing. Otherwise:
//
//   - A *StatusError is any other answer. As the specification says, 410 Gone (and
//     then errors.Is(err, ErrGone)) means that the target wants no more; after all
//     others, also 400 and 404, another try may succeed. A redirect is one of
//     them: it is not followed, since nobody has agreed to where it leads.
//   - errs.Unavailable: there was no answer, or no connection, or the address is
//     not one that may be dialled, which may change as the name's address does.
//   - errs.Invalid: m can never be posted.
//   - ctx's cause, if ctx ended before.
func (p *Poster) Post(ctx context.Context, m Message) error {
	_, err := p.Try(ctx, m)
	return err
}

// Try is Post that also returns the status of the answer, 0 if there was none.
func (p *Poster) Try(ctx context.Context, m Message) (status int, err error) {
	r, err := p.request(m)
	if err != nil {
		return 0, err
	}
	p.once.Do(p.open)
	timeout := p.timeout()
	posting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// Not through an http.Client: it would follow redirects, and its errors hold
	// the URL.
	answer, err := p.transport.RoundTrip(r.WithContext(posting))
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case posting.Err() != nil:
		return 0, errs.E(errs.Unavailable, "the target did not answer within %v", timeout)
	case dial.Refused(err):
		return 0, errs.E(errs.Unavailable, "the target is not on the public internet, or its port is not 443 or 80, and private addresses are not allowed")
	default:
		return 0, errs.E(errs.Unavailable, "no answer from the target: %s", reason(err, r.URL))
	}
	p.drain(answer, cancel)
	return answer.StatusCode, judge(answer, time.Now())
}

func (p *Poster) timeout() time.Duration {
	if p.Timeout <= 0 {
		return defaultTimeout
	}
	return p.Timeout
}

// Close closes idle connections.
func (p *Poster) Close() {
	p.once.Do(p.open)
	p.transport.CloseIdleConnections()
}

func (p *Poster) open() {
	// The transport goes on to connect when the post that asked for it has ended.
	dialer := &net.Dialer{Control: dial.Guard(p.AllowPrivate), Timeout: p.timeout()}
	p.transport = &http.Transport{
		TLSHandshakeTimeout: p.timeout(),
		// No proxy: it would dial in our place, past the guard.
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true, DisableCompression: true,
		MaxIdleConns: 100, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
	}
}

func (p *Poster) request(m Message) (*http.Request, error) {
	u, err := parseURL(m.URL, p.AllowPrivate)
	if err != nil {
		return nil, err
	}
	if m.ID == "" || len(m.Secret) == 0 {
		return nil, errs.E(errs.Invalid, "a webhook message needs an id and a secret")
	}
	signer, err := standardwebhooks.NewWebhookRaw(m.Secret)
	if err != nil {
		return nil, errs.E(errs.Invalid, "webhook secret: it cannot be used")
	}
	signature, err := signer.Sign(m.ID, m.At, m.Body)
	if err != nil {
		return nil, errs.E(errs.Invalid, "webhook message %.64q: it cannot be signed", m.ID)
	}
	r, err := http.NewRequest(http.MethodPost, u.String(), bytes.NewReader(m.Body))
	if err != nil {
		return nil, errs.E(errs.Invalid, "webhook URL: not a URL such as https://example.com/hook")
	}
	for name, values := range m.Headers {
		if !ofTheConnection(name) {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set(standardwebhooks.HeaderWebhookID, m.ID)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, timestamp(m.At))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return r, nil
}

// ofTheConnection reports whether a header says how a message is sent, which is
// not for the caller to say.
func ofTheConnection(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization",
		"Te", "Trailer", "Upgrade", "Expect":
		return true
	}
	return false
}

// drain reads the rest of a short answer, so that the connection can be used
// again. A target that is slow with it, or has too much to say, loses the
// connection; its answer has been given with the status.
func (p *Poster) drain(answer *http.Response, cancel func()) {
	most := p.MaxAnswer
	if most <= 0 {
		most = maxAnswer
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		// The connection is no longer the transport's, and does not end with the post.
		_ = answer.Body.Close()
		return
	}
	late := time.AfterFunc(drainTime, cancel)
	defer late.Stop()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, most)) // an error costs the connection only
	_ = answer.Body.Close()
}

// unfound says why a name was not found. The error's own text may have the
// resolver's address once more, as that of a connection that failed.
func unfound(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "no such host"
	case err.IsTimeout:
		return "the resolver did not answer in time"
	}
	return "the resolver has no answer"
}

// reason is what a transport's error says, in one short line and without the
// URL, whose host alone can be what lets a sender in, and without what it tells
// of our own network: the resolver, and the address that was dialled from.
func reason(err error, u *url.URL) string {
	var named *url.Error
	if errors.As(err, &named) {
		err = named.Err
	}
	var lookup *net.DNSError
	var call *net.OpError
	if errors.As(err, &lookup) {
		err = &net.DNSError{Err: unfound(lookup), Name: "its name"}
	} else if errors.As(err, &call) {
		err = &net.OpError{Op: call.Op, Net: call.Net, Addr: call.Addr, Err: call.Err}
	}
	parts := []string{u.String(), u.RequestURI(), u.RawQuery, u.EscapedPath(), u.Path, u.Host, u.Hostname()}
	var other x509.HostnameError
	if errors.As(err, &other) {
		parts = append(parts, other.Host) // as it was asked for: in ASCII
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "?")), " ")
	for _, part := range parts {
		if len(part) > 1 {
			text = strings.ReplaceAll(text, part, "…")
		}
	}
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}
