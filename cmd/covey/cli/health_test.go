package cli

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coveydb/covey/cmd/covey/server"
	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/internal/pki"
)

func TestHealthAsksTheNodeByItsOwnSettings(t *testing.T) {
	w := newWorld(t)
	addr := strings.TrimPrefix(w.url, "http://")
	if o := w.run("health", "--http-addr", addr); o.code != 0 || o.out != "ok\n" {
		t.Errorf("%+v", o)
	}
	if o := w.runIn("", []string{"COVEY_HTTP_ADDR=" + addr}, "health", "--ready"); o.code != 0 || !strings.HasSuffix(o.out, "ready\n") {
		t.Errorf("%+v", o)
	}
	_, port, _ := strings.Cut(addr, ":")
	if o := w.run("health", "--http-addr", "0.0.0.0:"+port); o.code != 0 {
		t.Errorf("a node that listens on all addresses: %+v", o)
	}
	if o := w.run("health", "--http-addr", freeport.Addr(t)); o.code != exitUnavailable || !strings.Contains(o.errOut, "does not answer") {
		t.Errorf("nobody listens: %+v", o)
	}
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "[-] quorum: none", http.StatusServiceUnavailable)
	}))
	defer sick.Close()
	if o := w.run("health", "--ready", "--http-addr", sick.Listener.Addr().String()); o.code != exitUnavailable || !strings.Contains(o.errOut, "quorum: none") {
		t.Errorf("not ready: %+v", o)
	}
}

func TestHealthTrustsTheNodesOwnCertificateAndNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := must(pki.NewAuthority("test", 0))
	for _, name := range []string{"own", "other"} {
		if err := must(ca.IssueNode("n1", []string{"node.example.com"}, 0)).Save(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")); err != nil {
			t.Fatal(err)
		}
	}
	c := server.Config{
		ID: "n1", DataDir: filepath.Join(dir, "n1"), HTTPAddr: freeport.Addr(t), PeerAddr: freeport.Addr(t), GossipAddr: freeport.Addr(t),
		BootstrapExpect: 1, HTTPTLS: server.TLSFiles{Cert: filepath.Join(dir, "own.pem"), Key: filepath.Join(dir, "own.key")}, Log: slog.New(slog.DiscardHandler),
	}
	s := must(server.Open(t.Context(), c))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	w := &world{t: t}
	if o := w.run("health", "--http-addr", c.HTTPAddr, "--tls-cert", c.HTTPTLS.Cert); o.code != 0 {
		t.Errorf("its own certificate: %+v", o)
	}
	if o := w.run("health", "--http-addr", c.HTTPAddr, "--tls-cert", filepath.Join(dir, "other.pem")); o.code != exitUnavailable || !strings.Contains(o.errOut, "not the one in") {
		t.Errorf("another certificate: %+v", o)
	}
}
