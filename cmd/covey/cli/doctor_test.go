package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/cmd/covey/doctor"
	"github.com/coveydb/covey/cmd/covey/server"
	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/internal/seal"
)

// patient is a cluster for the doctor: three nodes that run, and the settings of
// a fourth one that does not.
type patient struct {
	t      *testing.T
	dir    string
	nodes  []server.Config
	fourth server.Config
	errors *alarms // what the nodes log as errors
}

// alarms keeps the errors that are logged.
type alarms struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (a *alarms) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.Write(line)
}

func (a *alarms) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.String()
}

func newPatient(t *testing.T) *patient {
	p := &patient{t: t, dir: t.TempDir(), errors: new(alarms)}
	p.write("root.key", rootKey+"-of-a-cluster\n")
	p.write("gossip.key", "NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg3NjU=\n")
	ring := p.path("keyring.json")
	if _, err := seal.Create(ring); err != nil {
		t.Fatal(err)
	}
	ca := must(pki.NewAuthority("test", 0))
	p.write("ca.pem", string(ca.CertPEM()))
	var join []string
	for i := range 4 {
		id := fmt.Sprintf("n%d", i+1)
		cert := must(ca.IssueNode(id, []string{"127.0.0.1", "localhost"}, 0))
		if err := cert.Save(p.path(id+".pem"), p.path(id+".pem.key")); err != nil {
			t.Fatal(err)
		}
		c := server.Config{
			ID: id, DataDir: p.path(id), HTTPAddr: freeport.Addr(t), PeerAddr: freeport.Addr(t), GossipAddr: freeport.Addr(t),
			BootstrapExpect: 3, KeyringFile: ring, RootKey: rootKey + "-of-a-cluster", GossipKeyFile: p.path("gossip.key"),
			PeerTLS: server.TLSFiles{CA: p.path("ca.pem"), Cert: p.path(id + ".pem"), Key: p.path(id + ".pem.key")},
			Log:     slog.New(slog.NewTextHandler(p.errors, &slog.HandlerOptions{Level: slog.LevelError})),
		}
		join = append(join, c.GossipAddr)
		p.nodes = append(p.nodes, c)
	}
	p.nodes, p.fourth = p.nodes[:3], p.nodes[3]
	p.fourth.Join, p.fourth.BootstrapExpect = join[:3], 0
	var running []*server.Server
	for i := range p.nodes {
		p.nodes[i].Join = join[:3]
		running = append(running, p.start(p.nodes[i]))
	}
	for _, s := range running {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := s.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	// Nodes tell of their master keys a moment after they are ready.
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		findings, _ := p.run(append(p.elsewhere(), "--root-key-file", p.path("root.key"))...)
		i := slices.IndexFunc(findings, func(f doctor.Finding) bool { return f.Check == "keyring" })
		if i >= 0 && findings[i].State == doctor.OK {
			return p
		}
		if time.Now().After(end) {
			t.Fatalf("the keyring is not in order: %+v", findings)
		}
	}
}

func (p *patient) start(c server.Config) *server.Server {
	s := must(server.Open(p.t.Context(), c))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	})
	return s
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (p *patient) path(name string) string { return filepath.Join(p.dir, name) }

func (p *patient) write(name, text string) string {
	path := p.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// settings returns c as the lines of a file.
func (p *patient) settings(c server.Config) map[string]string {
	return map[string]string{
		"id": c.ID, "data_dir": c.DataDir, "http_addr": c.HTTPAddr, "peer_addr": c.PeerAddr, "gossip_addr": c.GossipAddr,
		"join": strings.Join(c.Join, ","), "root_key_file": p.path("root.key"), "keyring_file": c.KeyringFile,
		"gossip_key_file": c.GossipKeyFile, "peer_ca": c.PeerTLS.CA, "peer_cert": c.PeerTLS.Cert, "peer_key": c.PeerTLS.Key,
	}
}

// doctor runs the command with settings from a file and returns what it found.
func (p *patient) doctor(settings map[string]string, args ...string) (findings []doctor.Finding, code int) {
	p.t.Helper()
	var text strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&text, "%s: %q\n", name, value)
	}
	return p.run(append(args, "--config", p.write("covey.yaml", text.String()))...)
}

func (p *patient) run(args ...string) (findings []doctor.Finding, code int) {
	p.t.Helper()
	var out, errOut bytes.Buffer
	args = append([]string{"doctor", "-o", "json"}, args...)
	code = Main(p.t.Context(), args, Env{Stdout: &out, Stderr: &errOut})
	if err := json.Unmarshal(out.Bytes(), &findings); err != nil {
		p.t.Fatalf("%q: exit code %d, %v: %s %s", args, code, err, out.String(), errOut.String())
	}
	return findings, code
}

func (p *patient) chmod(name string, mode os.FileMode) {
	if err := os.Chmod(p.path(name), mode); err != nil {
		p.t.Fatal(err)
	}
}

// elsewhere are the arguments to ask the cluster through its second node.
func (p *patient) elsewhere() []string {
	return []string{"--endpoint", "http://" + p.nodes[1].HTTPAddr}
}

func bad(findings []doctor.Finding) []doctor.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f doctor.Finding) bool { return f.State != doctor.Problem && f.State != doctor.Warning })
}

func TestTheDoctorFindsPlantedFaults(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	t.Run("nothing is wrong with a healthy cluster", func(t *testing.T) {
		for name, run := range map[string]func() ([]doctor.Finding, int){
			"a node that runs":      func() ([]doctor.Finding, int) { return p.doctor(p.settings(p.nodes[0])) },
			"a node that shall run": func() ([]doctor.Finding, int) { return p.doctor(p.settings(p.fourth), p.elsewhere()...) },
			"from outside": func() ([]doctor.Finding, int) {
				return p.run(append(p.elsewhere(), "--root-key-file", p.path("root.key"))...)
			},
		} {
			findings, code := run()
			if wrong := bad(findings); len(wrong) > 0 || code != 0 {
				t.Errorf("%s: exit code %d, false alarms: %+v", name, code, wrong)
			}
		}
	})
	t.Run("nodes that it looks at log no errors", func(t *testing.T) {
		if got := p.errors.String(); got != "" {
			t.Error(got)
		}
	})
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			p := &patient{t: t, dir: p.dir, nodes: p.nodes, fourth: p.fourth, errors: p.errors}
			s := p.settings(p.fourth)
			args := f.plant(p, s)
			findings, code := p.doctor(s, args...)
			i := slices.IndexFunc(findings, func(g doctor.Finding) bool {
				return g.Check == f.check && g.State == f.state && strings.Contains(g.Text, f.says)
			})
			if i < 0 {
				t.Fatalf("not found: %+v", bad(findings))
			}
			if f.state != doctor.OK && findings[i].Do == "" {
				t.Errorf("it does not say what to do: %+v", findings[i])
			}
			if want := doctor.Worst(findings) == doctor.Problem; want != (code == exitFailed) {
				t.Errorf("exit code %d with %+v", code, bad(findings))
			}
		})
	}
}

// What only a cluster in trouble shows is told to the doctor by a node that
// makes it up.
func TestTheDoctorFindsFaultsOfTheCluster(t *testing.T) {
	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
	}))
	t.Cleanup(late.Close)
	voter := func(w *world, id, addr string) cluster.Member {
		return cluster.Member{ID: id, Role: cluster.RoleVoter, Alive: true, Release: "v1.2.3", HTTPAddr: addr, PeerAddr: addr, GossipAddr: addr}
	}
	for _, tt := range []struct {
		name  string
		plant func(w *world, s *cluster.Status)
		check string
		says  string
		code  int
	}{
		{"a voter is down", func(_ *world, s *cluster.Status) { s.Members[2].Alive = false }, "quorum", "down: n3: the next loss stops writes", exitFailed},
		{"no quorum", func(_ *world, s *cluster.Status) { s.Quorum = false }, "quorum", "nothing can be written", exitFailed},
		{"no leader", func(_ *world, s *cluster.Status) { s.Leader, s.Reason = "", "one of three voters is in reach" }, "cluster", "one of three voters is in reach", exitFailed},
		{"a clock that is late", func(_ *world, s *cluster.Status) { s.Members[1].HTTPAddr = late.Listener.Addr().String() }, "clock", "behind this machine's", exitFailed},
		{"different releases", func(_ *world, s *cluster.Status) { s.Members[1].Release = "v1.2.2" }, "releases", "v1.2.2 on n2; v1.2.3 on n1, n3", exitDone},
		{"a port that is closed", func(_ *world, s *cluster.Status) { s.Members[1].HTTPAddr = "127.0.0.1:1" }, "reach", "its address for http, 127.0.0.1:1, does not answer", exitFailed},
		{"a member that is far behind", func(_ *world, s *cluster.Status) { s.Members[1].AppliedLag = 50_000 }, "quorum", "50000 entries behind", exitDone},
		{"two voters only", func(_ *world, s *cluster.Status) { s.Members = s.Members[:2] }, "quorum", "no loss of a voter is survived", exitDone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			addr := strings.TrimPrefix(w.url, "http://")
			w.status.Members = []cluster.Member{voter(w, "n1", addr), voter(w, "n2", addr), voter(w, "n3", addr)}
			if o := w.runIn("", []string{envRootKey + "=" + rootKey}, "doctor"); o.code != 0 || !strings.Contains(o.errOut, "no problems, 0 warnings") {
				t.Fatalf("a false alarm: %+v", o)
			}
			tt.plant(w, &w.status)
			o := w.runIn("", []string{envRootKey + "=" + rootKey}, "doctor")
			if o.code != tt.code || !strings.Contains(o.out, tt.check) || !strings.Contains(o.out, tt.says) {
				t.Errorf("%+v", o)
			}
		})
	}
}
