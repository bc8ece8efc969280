package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/layer/fleet"
)

func TestKeptGossipKeysAreReadAsTheyWereWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "peer", "gossip.json")
	ring, err := seal.Create(filepath.Join(dir, "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := keptKeys{Cluster: "c1", Generation: 3, Keys: [][]byte{bytes.Repeat([]byte("a"), 32), bytes.Repeat([]byte("b"), 16)}}
	for name, ring := range map[string]*seal.Keyring{"sealed": ring, "without a keyring": nil} {
		if err := writeKept(path, ring, want); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := !bytes.Contains(text, []byte("YWFh")); got != (ring != nil) {
			t.Errorf("%s: is sealed: %v", name, got)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if got, err := readKept(path, ring); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if err := writeKept(path, ring, want); err != nil {
		t.Fatal(err)
	}
	if _, err := readKept(path, nil); !errs.Is(err, errs.Unavailable) {
		t.Errorf("sealed ones without a keyring: %v", err)
	}
	for _, text := range []string{"", "{}", "rubbish", `{"keys":[]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readKept(path, nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestGossipKeysAreThoseThatTheClusterAgreedOn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gossip.key")
	first, later := bytes.Repeat([]byte("1"), 32), bytes.Repeat([]byte("2"), 32)
	if err := os.WriteFile(file, []byte(strings.Repeat("31", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := &Config{ID: "n1", DataDir: filepath.Join(dir, "d"), GossipKeyFile: file, Log: slog.New(slog.NewTextHandler(&log, nil))}
	open := func(generation uint64, want ...[]byte) {
		t.Helper()
		p := &parsed{}
		if err := c.openGossipKeys(p); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(p.gossipKeys, want, bytes.Equal) || p.kept.Generation != generation {
			t.Errorf("got %q of generation %d, want %q of %d", p.gossipKeys, p.kept.Generation, want, generation)
		}
	}
	open(0, first)
	if err := writeKept(c.keptPath(), nil, keptKeys{Cluster: strings.Repeat("ab", 16), Generation: 2, Keys: [][]byte{later}}); err != nil {
		t.Fatal(err)
	}
	open(2, later, first) // its data is gone: which ones the others have is not known
	node := `{"format":1,"node_id":"n1","cluster_id":"` + strings.Repeat("cd", 16) + `"}`
	if err := os.WriteFile(filepath.Join(c.DataDir, "node.json"), []byte(node), 0o600); err != nil {
		t.Fatal(err)
	}
	open(0, first) // the cluster was recovered since
	c.GossipKeyFile = ""
	open(0, later)
	if err := os.Remove(filepath.Join(c.DataDir, "node.json")); err != nil {
		t.Fatal(err)
	}
	open(2, later)
	if !c.gossipEncrypted() {
		t.Error("a node with keys of its cluster takes its gossip for clear text")
	}
	if strings.Contains(log.String(), "2222") {
		t.Error("a key is in the log")
	}
}

// gate is a node that lets others join.
type gate struct {
	*httptest.Server
	t       *testing.T
	ca      *pki.Authority
	answers []int // statuses of the next requests; 0, and none, is to let in
	asked   int
	csr     []string
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{t: t}
	var err error
	if g.ca, err = pki.NewAuthority("test", time.Hour); err != nil {
		t.Fatal(err)
	}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked++
		var body struct {
			Node  string   `json:"node_id"`
			CSR   string   `json:"csr_pem"`
			Hosts []string `json:"hosts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Authorization") == "" || r.URL.Path != "/cluster/join" {
			t.Errorf("%s: %v", r.URL, err)
		}
		g.csr = append(g.csr, body.CSR)
		if len(g.answers) > 0 {
			status := g.answers[0]
			if g.answers = g.answers[1:]; status != 0 {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(`{"error":{"message":"because"}}`))
				return
			}
		}
		cert, err := g.ca.SignNode([]byte(body.CSR), body.Node, body.Hosts, time.Minute)
		if err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(admitted{
			Cert: string(cert), CA: string(g.ca.CertPEM()), GossipKeys: [][]byte{bytes.Repeat([]byte("g"), 32)},
			GossipAddrs: []string{"10.0.0.1:8702"}, ClusterID: strings.Repeat("ab", 16), CASet: 7,
		})
	}))
	t.Cleanup(g.Close)
	return g
}

// newcomer is a node with a token for g.
func (g *gate) newcomer() (*Config, *text) {
	g.t.Helper()
	dir := g.t.TempDir()
	log := &text{}
	c := &Config{ID: "n4", DataDir: filepath.Join(dir, "d"), PeerAddr: "10.0.0.4:8701", HTTPAddr: "0.0.0.0:8700", GossipAddr: "127.0.0.1:1",
		JoinTokenFile: filepath.Join(dir, "token"), Log: slog.New(slog.NewTextHandler(log, nil))}
	token := fleet.TokenText{Endpoints: []string{"https://127.0.0.1:1", g.URL}, CA: [][]byte{g.Certificate().Raw}, ID: "t1", Secret: "s3cret"}
	if err := os.WriteFile(c.JoinTokenFile, []byte(token.Encode()+"\n"), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return c, log
}

func TestANodeKeepsWhatATokenGave(t *testing.T) {
	g := newGate(t)
	g.answers = []int{503}
	c, log := g.newcomer()
	if err := c.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := TLSFiles{CA: c.peerPath("ca.pem"), Cert: c.peerPath("cert.pem"), Key: c.peerPath("key.pem")}
	if c.PeerTLS != want || c.HTTPTLS.Cert != want.Cert || c.HTTPTLS.Key != want.Key || !slices.Equal(c.Join, []string{"10.0.0.1:8702"}) {
		t.Errorf("%+v %+v %v", c.PeerTLS, c.HTTPTLS, c.Join)
	}
	if _, err := c.peerCertificate(); err != nil {
		t.Errorf("what it got does not fit together: %v", err)
	}
	if len(g.csr) != 2 || g.csr[0] != g.csr[1] {
		t.Error("it asked again with another key")
	}
	p := &parsed{}
	if err := c.openGossipKeys(p); err != nil || len(p.gossipKeys) != 1 {
		t.Errorf("%+v, %v", p.gossipKeys, err)
	}
	for _, name := range []string{"key.pem", "cert.pem", "ca.pem", "gossip.json", "joined.json"} {
		if info, err := os.Stat(c.peerPath(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if hasFile(c.peerPath("csr.pem")) {
		t.Error("the request is left")
	}
	again := *c
	again.PeerTLS, again.HTTPTLS, again.Join, again.JoinTokenFile = TLSFiles{}, TLSFiles{}, []string{"10.0.0.9:1"}, ""
	if err := again.join(t.Context()); err != nil || again.PeerTLS != want || !slices.Equal(again.Join, []string{"10.0.0.9:1", "10.0.0.1:8702"}) {
		t.Errorf("started again without the token: %v, %+v %v", err, again.PeerTLS, again.Join)
	}
	if g.asked != 2 {
		t.Errorf("the token was presented %d times", g.asked)
	}
	if said := log.take(); !strings.Contains(said, "the cluster takes this node in") || strings.Contains(said, "s3cret") || strings.Contains(said, "covey-join") {
		t.Errorf("the log says\n%s", said)
	}
}

func TestANodeThatIsRefusedSaysWhy(t *testing.T) {
	g := newGate(t)
	for status, kind := range map[int]errs.Kind{400: errs.Invalid, 401: errs.Forbidden, 403: errs.Forbidden, 409: errs.Conflict} {
		g.answers = []int{status}
		c, _ := g.newcomer()
		err := c.join(t.Context())
		if !errs.Is(err, kind) || !strings.Contains(err.Error(), "does not let this node join: because") || hasFile(c.peerPath("cert.pem")) {
			t.Errorf("%d: %v", status, err)
		}
	}
	c, _ := g.newcomer()
	g.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.join(ctx)
	var wrong *ConfigError
	if !errs.Is(err, errs.Unavailable) || errors.As(joinError(err), &wrong) {
		t.Errorf("nobody answers: %v", err)
	}
	for text, want := range map[string]string{"": "not a join token", "covey-join-1.!!": "garbled", strings.Repeat("x", 20<<10): "larger"} {
		if err := os.WriteFile(c.JoinTokenFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.join(t.Context()); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	c.PeerTLS.Cert = "x"
	if err := c.join(t.Context()); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "exclude each other") {
		t.Error(err)
	}
}

func TestAnEndpointThatTheTokenDoesNotTrustGetsNothing(t *testing.T) {
	g := newGate(t)
	c, _ := g.newcomer()
	other := newGate(t)
	token := fleet.TokenText{Endpoints: []string{g.URL}, CA: [][]byte{other.ca.Certificate().Raw}, ID: "t1", Secret: "s3cret"}
	if err := os.WriteFile(c.JoinTokenFile, []byte(token.Encode()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.join(ctx); !errs.Is(err, errs.Unavailable) || g.asked != 0 {
		t.Errorf("%v, it was asked %d times", err, g.asked)
	}
}

// renewing is a renewer whose cluster is a CA.
type renewing struct {
	*renewer
	ca    *pki.Authority
	set   int64
	fails error
	asked int
}

func newRenewing(t *testing.T) *renewing {
	t.Helper()
	dir := t.TempDir()
	r := &renewing{set: 7}
	var err error
	if r.ca, err = pki.NewAuthority("test", time.Hour); err != nil {
		t.Fatal(err)
	}
	pair, err := r.ca.IssueNode("n4", []string{"h"}, 30*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	f := TLSFiles{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	if err := errors.Join(pair.Save(f.Cert, f.Key), pki.Create(f.CA, r.ca.CertPEM(), 0o600)); err != nil {
		t.Fatal(err)
	}
	r.renewer = &renewer{
		id: "n4", files: f, joined: joined{CASet: 7, Issued: time.Now().Unix()}, path: filepath.Join(dir, "joined.json"), log: slog.New(slog.DiscardHandler),
		caSet: func(context.Context) int64 { return r.set },
		ask: func(_ context.Context, in, out any) error {
			r.asked++
			if r.fails != nil {
				return r.fails
			}
			cert, err := r.ca.SignNode(in.(renewal).CSR, "n4", []string{"h"}, 30*time.Minute)
			*out.(*renewed) = renewed{Cert: cert, CA: r.ca.CertPEM(), CASet: r.set}
			return err
		},
	}
	return r
}

func TestACertificateIsRenewedInTime(t *testing.T) {
	r := newRenewing(t)
	now := time.Now()
	r.step(t.Context(), now.Add(15*time.Minute))
	if r.asked != 0 {
		t.Error("it was renewed after half of its life")
	}
	before, err := os.ReadFile(r.files.Cert)
	if err != nil {
		t.Fatal(err)
	}
	r.fails = errs.E(errs.Unavailable, "nobody is there")
	r.step(t.Context(), now.Add(21*time.Minute))
	r.step(t.Context(), now.Add(21*time.Minute+time.Second)) // too soon
	if after, err := os.ReadFile(r.files.Cert); r.asked != 1 || err != nil || !bytes.Equal(before, after) {
		t.Errorf("asked %d times, %v", r.asked, err)
	}
	r.fails = nil
	r.step(t.Context(), now.Add(23*time.Minute))
	c := Config{ID: "n4", PeerTLS: r.files, Log: slog.New(slog.DiscardHandler)}
	if _, err := c.peerCertificate(); err != nil || r.asked != 2 {
		t.Errorf("asked %d times; the new files do not fit together: %v", r.asked, err)
	}
	if after, err := os.ReadFile(r.files.Cert); err != nil || bytes.Equal(before, after) {
		t.Errorf("it is the old one: %v", err)
	}
}

func TestACertificateIsRenewedWhenTheClusterHasAnotherCA(t *testing.T) {
	r := newRenewing(t)
	r.set = 0 // not known
	r.step(t.Context(), time.Now())
	if r.asked != 0 {
		t.Error("it was renewed without need")
	}
	r.set = 8
	r.step(t.Context(), time.Now())
	r.step(t.Context(), time.Now().Add(2*time.Minute))
	if r.asked != 1 || r.joined.CASet != 8 {
		t.Errorf("asked %d times, want once; %+v", r.asked, r.joined)
	}
}

func TestARenewerOfOtherNodesDoesNothing(t *testing.T) {
	(&Config{}).newRenewer(nil).Run(t.Context()) // it returns, as a node without a token has no renewer
}

func TestARenewalThatWasCutShortIsFinishedAtTheStart(t *testing.T) {
	g := newGate(t)
	c, _ := g.newcomer()
	if err := c.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	pair, err := g.ca.IssueNode("n4", []string{"10.0.0.4"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	next, err := json.Marshal(pair)
	if err != nil {
		t.Fatal(err)
	}
	f := c.peerFiles()
	// The node stopped when the key was in its place and the certificate was not.
	if err := errors.Join(pki.Create(renewedPath(f), next, 0o600), pki.Replace(f.Key, pair.Key, 0o600)); err != nil {
		t.Fatal(err)
	}
	again := Config{ID: "n4", DataDir: c.DataDir, Log: c.Log}
	if err := again.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := again.peerCertificate(); err != nil || hasFile(renewedPath(f)) {
		t.Errorf("the files do not fit together: %v", err)
	}
}
