package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/pki"
)

func TestCertificatesAreMadeAndShown(t *testing.T) {
	w, dir := newWorld(t), filepath.Join(t.TempDir(), "certs")
	if o := w.run("cert", "node", "n1", "--dir", dir, "--host", "127.0.0.1"); o.code != exitNotFound || !strings.Contains(o.errOut, "ca.pem") {
		t.Errorf("without a CA: %+v", o)
	}
	if out := w.must("cert", "ca", "--dir", dir); !strings.HasPrefix(out, filepath.Join(dir, "ca.pem")+"\t") {
		t.Errorf("it printed %q", out)
	}
	w.must("cert", "node", "n1", "--dir", dir, "--host", "127.0.0.1,n1.example", "--days", "30")
	w.must("cert", "client", "ada", "--dir", dir)
	for _, name := range []string{"ca.key", "n1.key", "ada.key"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	var shown []shownCert
	text := w.must("cert", "show", filepath.Join(dir, "n1.pem"), filepath.Join(dir, "ca.pem"), "-o", "json")
	if err := json.Unmarshal([]byte(text), &shown); err != nil || len(shown) != 2 {
		t.Fatalf("%v\n%s", err, text)
	}
	if n := shown[0]; n.Role != pki.RoleNode || n.Name != "n1" || len(n.Hosts) != 2 || n.Issuer != shown[1].Name || n.Expired {
		t.Errorf("%+v", n)
	}
	if strings.Contains(text, "PRIVATE") {
		t.Error("a key is shown")
	}
	other := t.TempDir()
	w.must("cert", "node", "n1", "--dir", other, "--ca", filepath.Join(dir, "ca.pem"), "--ca-key", filepath.Join(dir, "ca.key"), "--host", "127.0.0.1")
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"cert", "ca", "--dir", dir}, exitConflict, "exists already"},
		{[]string{"cert", "node", "n1", "--dir", dir, "--host", "127.0.0.1"}, exitConflict, "exists already"},
		{[]string{"cert", "node", "n2", "--dir", dir}, exitUsage, "--host"},
		{[]string{"cert", "node", "n2", "--dir", dir, "--host", "127.0.0.1:8701"}, exitFailed, "127.0.0.1:8701"},
		{[]string{"cert", "node", "n2", "--dir", dir, "--host", "h", "--days", "0"}, exitUsage, "--days"},
		{[]string{"cert", "node", "n2", "--dir", dir, "--host", "h", "--ca", "x"}, exitUsage, "belong together"},
		{[]string{"cert", "client", "a/b", "--dir", dir}, exitFailed, "a/b"},
		{[]string{"cert", "show", filepath.Join(dir, "none.pem")}, exitNotFound, "none.pem"},
		{[]string{"cert", "show", filepath.Join(dir, "ca.key")}, exitFailed, "no certificate"},
	} {
		if o := w.run(tt.args...); o.code != tt.code || !strings.Contains(o.errOut, tt.says) {
			t.Errorf("%q: %+v, want %d and %q", tt.args, o, tt.code, tt.says)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "ca.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if o := w.run("cert", "client", "eve", "--dir", dir); o.code != exitFailed || !strings.Contains(o.errOut, "chmod 600") {
		t.Errorf("with a key that all may read: %+v", o)
	}
}

// It runs alone: a handshake that takes long is told otherwise than a refusal.
func TestVerbsShowACertificateWhereOneIsAskedFor(t *testing.T) {
	w, dir := anotherWorld(t), t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	w.must("cert", "ca", "--dir", dir)
	w.must("cert", "node", "n1", "--dir", dir, "--host", "127.0.0.1")
	w.must("cert", "client", "ada", "--dir", dir)
	certs, err := pki.ReadCertificates(file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certs[0])
	pair, err := tls.LoadX509KeyPair(file("n1.pem"), file("n1.key"))
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 || r.TLS.PeerCertificates[0].Subject.CommonName != "ada" {
			t.Error("there is no certificate of ada's")
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"id":"n1","leader":"n1","quorum":true,"members":[]}`))
	}))
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	secure.StartTLS()
	defer secure.Close()
	status := func(args ...string) outcome {
		return w.runIn("", []string{"COVEY_ROOT_KEY=" + rootKey}, append([]string{"cluster", "status", "--endpoint", secure.URL}, args...)...)
	}
	if o := status("--ca-file", file("ca.pem"), "--client-cert", file("ada.pem"), "--client-key", file("ada.key")); o.code != exitDone {
		t.Errorf("with all: %+v", o)
	}
	for says, args := range map[string][]string{
		"certificate required": {"--ca-file", file("ca.pem")},
		"belong together":      {"--ca-file", file("ca.pem"), "--client-cert", file("ada.pem")},
		"--client-cert":        {"--client-cert", file("none"), "--client-key", file("none")},
		"--ca-file":            {"--ca-file", file("ca.key")},
		"unknown authority":    {"--client-cert", file("ada.pem"), "--client-key", file("ada.key")},
	} {
		if o := status(args...); o.code == exitDone || !strings.Contains(o.errOut, says) {
			t.Errorf("%q: %+v, want %q", args, o, says)
		}
	}
}

func TestWhatTLSLacksIsSaid(t *testing.T) {
	h := httptest.NewUnstartedServer(http.NotFoundHandler())
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	h.StartTLS()
	t.Cleanup(h.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := pki.Create(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	for advice, args := range map[string][]string{
		"--ca-file":     {"--endpoint", h.URL},
		"--client-cert": {"--endpoint", h.URL, "--ca-file", ca},
		"https://":      {"--endpoint", strings.Replace(h.URL, "https", "http", 1)},
	} {
		t.Run(advice, func(t *testing.T) {
			o := anotherWorld(t).run(append([]string{"cluster", "status"}, args...)...)
			if o.code == 0 || !strings.Contains(o.errOut, advice) {
				t.Errorf("%+v", o)
			}
		})
	}
}
