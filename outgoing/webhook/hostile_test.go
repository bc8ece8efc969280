package webhook

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// A target that takes the connection for itself has no more time for its answer
// than others, although the transport no longer closes that connection.
func TestATargetThatSwitchesProtocolsIsLeft(t *testing.T) {
	left := make(chan error, 1)
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n")
		_ = rw.Flush()
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err = conn.Read(make([]byte, 1))
		left <- err
	})
	p := poster(t, &Poster{AllowPrivate: true})
	done := make(chan error, 1)
	go func() { done <- p.Post(t.Context(), message(t, target)) }()
	select {
	case err := <-done:
		var answer *StatusError
		if !errors.As(err, &answer) || answer.Status != http.StatusSwitchingProtocols {
			t.Errorf("got %v, want the status", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it is not left")
	}
	if err := <-left; !errors.Is(err, io.EOF) {
		t.Errorf("the target sees %v, want the end of the connection", err)
	}
}

// A target that accepts connections and never says a word of TLS does not keep
// them: the transport dials on when the post that wanted the connection has ended.
func TestATargetThatNeverSpeaksTLSKeepsNoConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	left := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			_, err = io.Copy(io.Discard, conn)
		}
		left <- err
	}()
	p := poster(t, &Poster{AllowPrivate: true, Timeout: 100 * time.Millisecond})
	if err := p.Post(t.Context(), message(t, "https://"+l.Addr().String())); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	if err := <-left; err != nil {
		t.Errorf("the target sees %v, want the end of the connection", err)
	}
}
