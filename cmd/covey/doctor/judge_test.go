package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/node/room"
)

// What cannot be planted in a test's machine is judged from facts alone.
func TestFactsAreJudged(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	local := Subject{Local: true, ID: "n1", DataDir: "/data", HTTPAddr: "127.0.0.1:8700", Heartbeat: time.Second, Watermark: room.Watermark{Bytes: 1 << 30}}
	lasting := func(from, to time.Duration) Facts {
		leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "n1"}, NotBefore: now.Add(from), NotAfter: now.Add(to)}
		return Facts{Now: now, Chains: []Chain{{Certificates: Certificates{Use: "http", Cert: "c.pem"}, Leaf: leaf}}}
	}
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name  string
		facts Facts
		check string
		state State
		says  string
	}{
		{"much room", Facts{Disk: Disk{Space: room.Space{Free: 50 << 30, Total: 100 << 30}, Known: true}}, "disk", OK, "50 GiB of 100 GiB"},
		{"room for twice the mark", Facts{Disk: Disk{Space: room.Space{Free: 3 << 29, Total: 100 << 30}, Known: true}}, "disk", Warning, "below 1.0 GiB"},
		{"no room", Facts{Disk: Disk{Space: room.Space{Free: 1 << 29, Total: 100 << 30}, Known: true}}, "disk", Problem, "refused"},
		{"room that is not told", Facts{}, "disk", Skipped, ""},
		{"a fast disk", Facts{Fsync: Fsync{Median: time.Millisecond}}, "fsync", OK, "1ms"},
		{"a slow disk", Facts{Fsync: Fsync{Median: 60 * time.Millisecond}}, "fsync", Warning, "every write waits"},
		{"a disk too slow for Raft", Facts{Fsync: Fsync{Median: 400 * time.Millisecond}}, "fsync", Problem, "lose elections"},
		{"one slow write", Facts{Fsync: Fsync{Median: time.Millisecond, Worst: time.Second}}, "fsync", OK, ""},
		{"a folder of another user", Facts{Fsync: Fsync{Err: &fs.PathError{Op: "open", Err: fs.ErrPermission}}}, "fsync", Problem, "cannot be written to"},
		{"a failing disk", Facts{Fsync: Fsync{Err: errors.New("input/output error")}}, "fsync", Problem, "input/output error"},
		{"few files", Facts{OpenFiles: OpenFiles{Limit: 256}}, "open-files", Problem, "256"},
		{"few files for streams", Facts{OpenFiles: OpenFiles{Limit: 1024, OfNode: true}}, "open-files", Warning, "too few for many streams"},
		{"files nearly used up", Facts{OpenFiles: OpenFiles{Limit: 10000, InUse: 9000, OfNode: true}}, "open-files", Problem, "9000"},
		{"many files", Facts{OpenFiles: OpenFiles{Limit: 32768}}, "open-files", OK, ""},
		{"an expired certificate", lasting(-400*day, -time.Second), "certificates", Problem, "expired at 2026-01-02 03:04:04"},
		{"a certificate that is not valid yet", lasting(time.Hour, 400*day), "certificates", Problem, "not valid before"},
		{"a certificate of a year with a month to go", lasting(-340*day, 25*day), "certificates", Warning, "expires at"},
		{"a certificate of a day with half a day to go", lasting(-day/2, day/2), "certificates", OK, ""},
		{"a certificate of a day with two hours to go", lasting(-22*time.Hour, 2*time.Hour), "certificates", Warning, "expires at"},
		{"a file open to its group", Facts{Modes: []Mode{{File: File{"root-key-file", "r"}, Perm: 0o640}}}, "files", Warning, "its group has access"},
		{"no leader", Facts{Status: client.Status{ID: "n1", Reason: "no leader: gossip sees 1 of 3 voters"}}, "cluster", Problem, "there is no leader: gossip sees"},
		{"a port for clients to join", Facts{Joins: []Reach{{Addr: "b:8700"}}, Status: client.Status{Members: []client.Member{{ID: "n2", HTTPAddr: "b:8700", GossipAddr: "b:8702"}}}}, "join", Problem, "node n2 for clients, not for gossip"},
		{"a clock a little off", Facts{Clocks: []Clock{{ID: "n2", Ahead: 1400 * time.Millisecond, Within: time.Second, Sampled: true}}}, "clock", OK, ""},
		{"a clock off", Facts{Clocks: []Clock{{ID: "n2", Ahead: -5 * time.Second, Within: time.Second, Sampled: true}}}, "clock", Warning, "5s behind"},
		{"a clock far off", Facts{Clocks: []Clock{{ID: "n2", Ahead: time.Hour, Within: time.Second, Sampled: true}}}, "clock", Problem, "1h0m0s ahead of"},
		{"no clock that was read", Facts{Clocks: []Clock{{ID: "n2"}}}, "clock", Skipped, ""},
		{"a gossip key that one lacks", Facts{Gossip: client.GossipKeys{Encrypted: true, Keys: []client.GossipKey{{ID: "k", UsedBy: []string{"n1"}, Missing: []string{"n2"}}}}}, "gossip-keys", Problem, "missing on n2"},
		{"a gossip key that is being given out", Facts{Gossip: client.GossipKeys{Encrypted: true, Keys: []client.GossipKey{{ID: "k", Missing: []string{"n2"}}}}}, "gossip-keys", OK, ""},
		{"a master key that one lacks", Facts{Keys: client.KeyringStatus{Keys: []client.MasterKey{
			{ID: "k", Nodes: []string{"n1"}, PrimaryOn: []string{"n1"}, Missing: []string{"n2"}}, {ID: "old", Nodes: []string{"n1", "n2"}},
		}}}, "keyring", Problem, "missing on n2"},
		{"a node that told of no master key", Facts{Keys: client.KeyringStatus{Keys: []client.MasterKey{{ID: "k", Nodes: []string{"n1"}, PrimaryOn: []string{"n1"}, Missing: []string{"n2"}}}}}, "keyring", Warning, "n2 told of no master key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := Judge(&local, &tt.facts)
			i := slices.IndexFunc(found, func(f Finding) bool { return f.Check == tt.check })
			if got := found[i]; got.State != tt.state || !strings.Contains(got.Text, tt.says) {
				t.Errorf("%+v, want %s with %q", got, tt.state, tt.says)
			} else if (got.Do == "") != (got.State == OK || got.State == Skipped) {
				t.Errorf("what to do: %+v", got)
			}
		})
	}
}

func TestEveryCheckSaysSomethingAboutNothing(t *testing.T) {
	for name, s := range map[string]*Subject{"no node": {}, "a node": {Local: true, DataDir: "/data", PeerAddr: "127.0.0.1:1"}} {
		f := &Facts{StatusErr: errNotAsked, KeysErr: errNotAsked, GossipErr: errNotAsked}
		said := map[string]bool{}
		for _, found := range Judge(s, f) {
			said[found.Check] = true
			if found.Text == "" || found.State == Problem && name == "no node" {
				t.Errorf("%s: %+v", name, found)
			}
		}
		for _, check := range Names() {
			if !said[check] {
				t.Errorf("%s: %s says nothing", name, check)
			}
		}
	}
}

func TestWorstCountsNothingSkipped(t *testing.T) {
	for want, states := range map[State][]State{
		OK: {OK, Skipped}, Warning: {OK, Warning, Skipped}, Problem: {Warning, Problem, OK},
	} {
		var all []Finding
		for _, s := range states {
			all = append(all, Finding{State: s})
		}
		if got := Worst(all); got != want {
			t.Errorf("Worst(%v) = %s, want %s", states, got, want)
		}
	}
}

func TestProbeLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if f := probeFsync(t.Context(), dir+"/not/yet/there"); f.Err != nil || f.Median <= 0 || f.Worst < f.Median {
		t.Errorf("%+v", f)
	}
	if d := readDisk(dir); d.Known && (d.Free <= 0 || d.Total < d.Free) {
		t.Errorf("%+v", d)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAddressToJoinNeedsNoPort(t *testing.T) {
	s := &Subject{Gossip: "192.0.2.1:8702", Join: []string{"192.0.2.2", "192.0.2.2:9", "fd00::2", "192.0.2.1"}}
	var got []string
	for _, r := range joins(t.Context(), s) {
		got = append(got, r.Addr)
		if r.Own != (r.Addr == s.Gossip) {
			t.Errorf("%+v", r)
		}
	}
	if want := []string{"192.0.2.2:8702", "192.0.2.2:9", "[fd00::2]:8702", "192.0.2.1:8702"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestKeyThatCannotBeReadIsNoMismatch(t *testing.T) {
	dir := t.TempDir()
	ca, err := pki.NewAuthority("test", 0)
	if err != nil {
		t.Fatal(err)
	}
	cert := dir + "/ca.pem"
	if err := os.WriteFile(cert, ca.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := readChain(Certificates{Cert: cert, Key: dir}, time.Now()); c.Err == nil || c.Mismatch != nil {
		t.Errorf("%+v", c)
	}
}

func TestNodeThatAsksForCertificatesLives(t *testing.T) {
	node := httptest.NewUnstartedServer(http.NotFoundHandler())
	node.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	node.Config.ErrorLog = log.New(io.Discard, "", 0)
	node.StartTLS()
	defer node.Close()
	if !lives(t.Context(), &Subject{HTTPAddr: node.Listener.Addr().String(), HTTPS: true}) {
		t.Error("it is taken for dead")
	}
}
