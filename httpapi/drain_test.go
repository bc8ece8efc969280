package httpapi

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A server that drains answers as before, but each connection ends with its next
// answer, so that the client's next request goes where it is sent anew.
func TestADrainingServerEndsConnectionsWithTheirNextAnswer(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			pki := httptest.NewUnstartedServer(nil) // for its certificate
			pki.EnableHTTP2 = true
			pki.StartTLS()
			defer pki.Close()
			conf := &tls.Config{Certificates: pki.TLS.Certificates, NextProtos: []string{"http/1.1"}}
			if http2 {
				conf.NextProtos = []string{"h2"}
			}
			s := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) }), Timeouts{}, conf, slog.New(slog.DiscardHandler))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- s.Serve(ctx, l) }()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			client := pki.Client()
			client.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
			defer client.CloseIdleConnections()
			ask := func() (from string, proto int) {
				res, err := client.Get("https://" + l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				p, err := io.ReadAll(res.Body)
				if err != nil || res.StatusCode != 200 {
					t.Fatal(res.Status, err)
				}
				return string(p), res.ProtoMajor
			}
			first, proto := ask()
			if proto == 2 != http2 {
				t.Fatalf("protocol %d", proto)
			}
			if again, _ := ask(); again != first {
				t.Fatal("the connection is not kept at all")
			}
			s.Drain(true)
			if last, _ := ask(); last != first {
				t.Error("the connection was broken off before an answer told the client")
			}
			if next, _ := ask(); next == first {
				t.Error("the connection goes on")
			}
			s.Drain(false)
			kept, _ := ask()
			if again, _ := ask(); again != kept {
				t.Error("the connection is not kept after the drain was taken back")
			}
		})
	}
}
