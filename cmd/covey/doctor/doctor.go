// Package doctor finds what is wrong with a node, its machine and its cluster,
// and says what to do about each thing.
//
// It works in two steps. Examine gathers facts: it reads files, opens ports,
// asks the node and the others. Judge draws conclusions from facts alone, check
// by check, so that every conclusion can be tested without a machine that has
// the fault. It works with the node up or down, and with no node at all: then
// only the cluster behind the endpoints is looked at.
//
// It guarantees that a check that could not be made is told as skipped, with
// what it needs, and never as passed; and that everything it does ends within
// some seconds, however many addresses do not answer.
//
// It never changes anything but for a probe file in the data folder, which it
// deletes; it never opens the data itself, never sends a credential to an
// address but the endpoints it was given, and never shows a secret.
package doctor

import (
	"crypto/tls"
	"time"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/node/room"
)

// State is the outcome of a check.
type State string

// The outcomes, from good to bad. A warning is what works now and may not for
// long, or may be meant; a problem is what does not work or breaks a promise.
const (
	OK      State = "ok"
	Skipped State = "skipped"
	Warning State = "warning"
	Problem State = "problem"
)

// Finding is what a check found.
type Finding struct {
	State State  `json:"state"`
	Check string `json:"check"`        // its name, such as disk or clock
	Text  string `json:"text"`         // what is, with numbers; never a secret
	Do    string `json:"do,omitempty"` // what to do about it
}

// File is a file that a setting names.
type File struct {
	Flag, Path string
}

// Door is an address that a node listens on.
type Door struct {
	Flag, Addr string
	UDP        bool // besides TCP
}

// Certificates are the files of one use of TLS. A path may be "".
type Certificates struct {
	Use           string // peer or http, as in the names of the flags
	CA, Cert, Key string
}

// Subject is what to examine.
type Subject struct {
	// The node on this machine. Without one (Local is false) the fields up to
	// Unknown say nothing.
	Local     bool
	ID        string // "" = what the data folder says
	DataDir   string // "" = nothing is known of the folder
	HTTPAddr  string
	PeerAddr  string
	Advertise string
	Doors     []Door
	Join      []string
	Expect    int    // --bootstrap-expect
	Gossip    string // the own gossip address, as --gossip-addr has it
	Heartbeat time.Duration
	Watermark room.Watermark
	Secrets   []File // only their owner may read these
	TLS       []Certificates
	Keyring   *seal.Keyring // nil = none
	GossipKey string        // what the key in --gossip-key-file is called; "" = none
	Settings  []Finding     // what is wrong with the settings themselves

	// The cluster.
	Client     *client.Client   // nil = it is not asked
	Endpoint   string           // for the texts
	Chosen     bool             // the endpoint was chosen, it is not just that of the node
	RootKey    bool             // Client has one
	HTTPS      bool             // how members are asked for their time
	ClientCert *tls.Certificate // shown where it is asked for; may be nil
	Release    string           // of this binary
}

// check is one question to the facts. It returns what it found, at least one
// finding; the name is filled in by Judge.
type check struct {
	name  string
	judge func(*Subject, *Facts) []Finding
}

// checks are all checks, in the order of the report: the settings, the machine,
// the node, the cluster.
var checks = []check{
	{"settings", judgeSettings},
	{"files", judgeModes},
	{"certificates", judgeCertificates},
	{"data-folder", judgeFolder},
	{"disk", judgeDisk},
	{"fsync", judgeFsync},
	{"open-files", judgeOpenFiles},
	{"ports", judgePorts},
	{"advertised", judgeAdvertised},
	{"join", judgeJoin},
	{"cluster", judgeCluster},
	{"quorum", judgeQuorum},
	{"reach", judgeReach},
	{"clock", judgeClock},
	{"releases", judgeReleases},
	{"keyring", judgeKeyring},
	{"gossip-keys", judgeGossip},
}

// Names returns the names of all checks in the order of the report.
func Names() []string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.name
	}
	return names
}

// Judge returns what the facts say of s, in the order of Names. It does nothing
// but compare.
func Judge(s *Subject, f *Facts) []Finding {
	var out []Finding
	for _, c := range checks {
		for _, found := range c.judge(s, f) {
			found.Check = c.name
			out = append(out, found)
		}
	}
	return out
}

// Worst returns the worst state among findings, OK for none.
func Worst(findings []Finding) State {
	worst := OK
	rank := map[State]int{OK: 0, Skipped: 0, Warning: 1, Problem: 2}
	for _, f := range findings {
		if rank[f.State] > rank[worst] {
			worst = f.State
		}
	}
	return worst
}
