package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
)

// guarded is a cluster with mutual TLS between nodes, encrypted gossip and HTTPS.
type guarded struct {
	t     *testing.T
	dir   string
	http  *http.Client
	nodes []*fort
	root  string // file with the root key that verbs use
}

// fort is one process of it.
type fort struct {
	g                  *guarded
	id, dir            string
	http, peer, gossip string
	args               []string // besides its id, folder and addresses

	cmd    *exec.Cmd
	exited chan struct{}
	log    lockedBuffer
}

func (g *guarded) path(name string) string { return filepath.Join(g.dir, name) }

// covey runs a verb, which must end well, and returns what it printed.
func (g *guarded) covey(args ...string) string {
	g.t.Helper()
	out, err := g.try(args...)
	if err != nil {
		g.t.Fatalf("covey %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(out)
}

// try is covey for a verb that may fail.
func (g *guarded) try(args ...string) (string, error) {
	cmd := exec.Command(binary, args...)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "COVEY_ROOT_KEY_FILE="+g.root, "COVEY_CA_FILE="+g.path("certs/ca.pem"), "COVEY_ENDPOINT="+g.endpoints())
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said.String())
	}
	return string(out), err
}

func (g *guarded) endpoints() string {
	var urls []string
	for _, n := range g.nodes {
		urls = append(urls, "https://"+n.http)
	}
	return strings.Join(urls, ",")
}

func (g *guarded) write(name, text string) {
	g.t.Helper()
	if err := os.WriteFile(g.path(name), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// newGuarded starts three nodes and waits until they are ready.
func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{t: t, dir: t.TempDir()}
	g.root = g.path("root.key")
	g.write("root.key", rootKey+"\n")
	var key [32]byte
	_, _ = rand.Read(key[:])
	g.write("gossip.key", base64.StdEncoding.EncodeToString(key[:])+"\n")
	g.covey("cert", "ca", "--dir", "certs")
	g.covey("keyring", "master", "new", "keyring.json")
	pem, err := os.ReadFile(g.path("certs/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	g.http = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 64,
	}}
	t.Cleanup(g.http.CloseIdleConnections)
	for i := range 3 {
		n := g.newFort(fmt.Sprintf("n%d", i+1))
		g.covey("cert", "node", n.id, "--dir", "certs", "--host", "127.0.0.1")
		cert, key := g.path("certs/"+n.id+".pem"), g.path("certs/"+n.id+".key")
		n.args = []string{"--bootstrap-expect", "3", "--join", g.nodes[0].gossip, "--root-key-file", g.root,
			"--keyring-file", g.path("keyring.json"), "--gossip-key-file", g.path("gossip.key"),
			"--peer-ca", g.path("certs/ca.pem"), "--peer-cert", cert, "--peer-key", key, "--tls-cert", cert, "--tls-key", key}
		n.start()
	}
	for _, n := range g.nodes {
		n.waitReady()
	}
	return g
}

func (g *guarded) newFort(id string) *fort {
	n := &fort{g: g, id: id, dir: g.path(id), http: freeport.Addr(g.t), peer: freeport.Addr(g.t), gossip: freeport.Addr(g.t)}
	g.nodes = append(g.nodes, n)
	return n
}

// join starts a fourth node with a token and nothing else, and waits until it is
// ready.
func (g *guarded) join(tokenArgs ...string) *fort {
	g.t.Helper()
	g.covey("cluster", "ca", "import", "certs/ca.pem", "certs/ca.key")
	g.write("n4.token", g.covey(append([]string{"cluster", "token", "create"}, tokenArgs...)...)+"\n")
	n := g.newFort("n4")
	n.args = []string{"--join-token-file", g.path("n4.token")}
	n.start()
	n.waitReady()
	return n
}

func (n *fort) start() {
	n.g.t.Helper()
	args := append([]string{"serve", "--id", n.id, "--data-dir", n.dir, "--http-addr", n.http, "--peer-addr", n.peer, "--gossip-addr", n.gossip,
		"--log-level", "debug", "--log-format", "text", "--drain-time", "0s"}, n.args...)
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &n.log, &n.log
	if err := cmd.Start(); err != nil {
		n.g.t.Fatalf("start %s: %v", n.id, err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	n.cmd, n.exited = cmd, exited
	n.g.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if n.g.t.Failed() {
			n.g.t.Logf("log of %s:\n%s", n.id, tail(n.log.String(), 25))
		}
	})
}

func (n *fort) stop(s syscall.Signal) {
	_ = n.cmd.Process.Signal(s)
	<-n.exited
}

// do sends one request; token may be "".
func (n *fort) do(method, path, body, token string) (code int, answer string, err error) {
	req, err := http.NewRequestWithContext(context.Background(), method, "https://"+n.http+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := n.g.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	p, err := io.ReadAll(res.Body)
	return res.StatusCode, string(p), err
}

func (g *guarded) await(what string, ok func() error) {
	g.t.Helper()
	deadline, pause := time.Now().Add(patience), pauses()
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("%s did not come true: %v", what, err)
		}
		time.Sleep(pause())
	}
}

func (n *fort) waitReady() {
	n.g.t.Helper()
	n.g.await(n.id+" is ready", func() error {
		code, body, err := n.do("GET", "/readyz?verbose", "", "")
		if err == nil && code != 200 {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
}

// noSecretIn fails if a log of any node holds one of the texts.
func (g *guarded) noSecretIn(secrets ...string) {
	g.t.Helper()
	for _, n := range g.nodes {
		log := n.log.String()
		for i, secret := range secrets {
			if strings.Contains(log, strings.TrimSpace(secret)) {
				g.t.Errorf("secret %d is in the log of %s", i, n.id)
			}
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}
