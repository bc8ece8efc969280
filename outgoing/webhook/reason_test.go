package webhook

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"testing"
)

// Errors are kept in clear, and shown to those who name the target: they tell
// nothing of the URL, and nothing of the network that the message leaves from.
func TestReasonsTellNothingOfTheURLNorOfOurNetwork(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "example.com:8443", Path: "/secret-path"}
	inside, outside := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 40123}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}
	refused := errors.New("connection refused")
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"a lookup", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "example.com", Server: "10.0.0.2:53", IsNotFound: true}},
			"lookup its name: no such host"},
		{"a resolver that is not there", &net.DNSError{Err: "dial udp 10.0.0.2:53: connect: network is unreachable", Name: "example.com", Server: "10.0.0.2:53"},
			"lookup its name: the resolver has no answer"},
		{"a resolver that is silent", &net.DNSError{Err: "read udp 10.1.2.3:40123->10.0.0.2:53: i/o timeout", Name: "example.com", Server: "10.0.0.2:53", IsTimeout: true},
			"lookup its name: the resolver did not answer in time"},
		{"a connection", &net.OpError{Op: "read", Net: "tcp", Source: inside, Addr: outside, Err: refused}, "read tcp 192.0.2.1:443: connection refused"},
		{"inside an error with the URL", &url.Error{Op: "Post", URL: u.String(), Err: &net.OpError{Op: "dial", Net: "tcp", Source: inside, Addr: outside, Err: refused}},
			"dial tcp 192.0.2.1:443: connection refused"},
		{"a certificate", x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"other.example"}}, Host: "xn--exmple-cua.com"},
			"x509: certificate is valid for other.example, not …"},
		{"the host", errors.New("dial example.com:8443: example.com is odd"), "dial …: … is odd"},
		{"another", errors.New("malformed HTTP response\n\"/secret-path\""), `malformed HTTP response "…"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := reason(tt.err, u); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTryReturnsTheStatus(t *testing.T) {
	p := poster(t, &Poster{AllowPrivate: true})
	for _, code := range []int{200, 204, 404, 503} {
		m := message(t, serve(t, status(code)))
		got, err := p.Try(t.Context(), m)
		if got != code || (err == nil) != (code < 300) {
			t.Errorf("%d: %d, %v", code, got, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Try(t.Context(), message(t, nobody)); got != 0 || err == nil {
		t.Errorf("nobody listens: %d, %v", got, err)
	}
	if got, err := p.Try(t.Context(), Message{URL: "https://example.com/", Headers: http.Header{}}); got != 0 || err == nil {
		t.Errorf("no message: %d, %v", got, err)
	}
}
