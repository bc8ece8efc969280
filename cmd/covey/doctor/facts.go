package doctor

import (
	"context"
	"crypto/x509"
	"sync"
	"time"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/node/room"
)

// Facts is what was seen, without an opinion on it.
type Facts struct {
	Now        time.Time
	Folder     Folder
	Disk       Disk
	Fsync      Fsync
	OpenFiles  OpenFiles
	Lives      bool // the node answers on its HTTP address
	Ports      []Port
	Advertised Advertised
	Modes      []Mode
	User       User // whom the node runs as
	Denied     []Denied
	Chains     []Chain
	Joins      []Reach

	Status    client.Status // valid if StatusErr is nil
	StatusErr error
	Keys      client.KeyringStatus // valid if KeysErr is nil
	KeysErr   error
	Gossip    client.GossipKeys // valid if GossipErr is nil
	GossipErr error
	Members   []Reach // the ports of the members that gossip says are alive
	Clocks    []Clock
}

// Folder is what the data folder says of itself.
type Folder struct {
	Empty     bool  // it holds no node yet, or is not there
	Err       error // why the node cannot start with it
	NodeID    string
	ClusterID string

	KeepsGossip bool // it has its own copy of the gossip keys, which counts more than their file
}

// Disk is the room on the data folder's file system.
type Disk struct {
	room.Space
	Known bool
}

// Fsync is how long it takes to make 4 KiB durable in the data folder.
type Fsync struct {
	Median, Worst time.Duration
	Err           error
}

// OpenFiles is the limit of open files.
type OpenFiles struct {
	Limit  uint64 // 0 = unknown
	InUse  uint64
	OfNode bool // of the running node, not of this process
}

// Port is an address that the node shall listen on and does not yet.
type Port struct {
	Door
	Err error // why it could not be opened now
}

// Advertised is the host that others are told to reach this node by.
type Advertised struct {
	Host        string
	Addrs       []string // that it resolves to
	Err         error
	Unspecified bool
	Here        bool // an address is one of this machine
}

// Mode is who may read a file.
type Mode struct {
	File
	Perm uint32
	Err  error
}

// Chain is a certificate as it was read.
type Chain struct {
	Certificates
	Err         error // a file could not be read or parsed
	Leaf        *x509.Certificate
	Authorities []*x509.Certificate
	Mismatch    error // the key is not that of the certificate
	Untrusted   error // it does not lead to an authority; nil without any
}

// Reach is an address that was dialled.
type Reach struct {
	Who  string // the member's id, or "" for an address of --join
	What string // peers, gossip or http
	Addr string
	Own  bool  // it is this node's; not dialled
	Err  error // nil = it answered
}

// Clock is how far another clock is ahead of this one.
type Clock struct {
	ID      string
	Ahead   time.Duration
	Within  time.Duration // how far Ahead may be off
	Sampled bool          // false = the member did not answer
}

// Bounds of what is gathered.
const (
	dialTime    = 3 * time.Second
	dialPause   = 300 * time.Millisecond // before the second and last try
	statusTime  = 8 * time.Second
	maxDials    = 200 // addresses of --join, and members
	fsyncProbes = 20
)

// Examine gathers the facts about s. It ends when everything was tried, or ctx
// ends: then what was not tried has an error that says so.
func Examine(ctx context.Context, s *Subject) *Facts {
	f := &Facts{Now: time.Now()}
	if s.Local {
		f.Lives = lives(ctx, s)
		f.Folder = readFolder(s.DataDir, s.ID)
		f.Disk = readDisk(s.DataDir)
		f.Fsync = probeFsync(ctx, s.DataDir)
		f.Advertised = resolve(ctx, s)
		for _, file := range s.Secrets {
			f.Modes = append(f.Modes, readMode(file))
		}
		f.User = folderUser(s.DataDir)
		f.Denied = denied(f.User, s.readable())
		for _, c := range s.TLS {
			f.Chains = append(f.Chains, readChain(c, f.Now))
		}
		if !f.Lives {
			for _, d := range s.Doors {
				f.Ports = append(f.Ports, tryPort(ctx, d))
			}
		}
		f.Joins = dialAll(ctx, joins(ctx, s))
	}
	f.askCluster(ctx, s)
	f.OpenFiles = readOpenFiles(ctx, s, f.Lives)
	return f
}

// askCluster asks the cluster about itself, and then its members for their
// time.
func (f *Facts) askCluster(ctx context.Context, s *Subject) {
	f.StatusErr, f.KeysErr, f.GossipErr = errNotAsked, errNotAsked, errNotAsked
	if s.Client == nil || !s.RootKey || s.Local && !f.Lives && !s.Chosen {
		return
	}
	dials := ctx
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	if f.Status, f.StatusErr = s.Client.Status(ctx); f.StatusErr != nil {
		return
	}
	f.Keys, f.KeysErr = s.Client.Keyring().Nodes(ctx)
	f.Gossip, f.GossipErr = s.Client.Fleet().GossipKeys(ctx)
	f.askMembers(dials, s)
}

// askMembers dials the members that gossip says are alive, and asks for their
// time.
func (f *Facts) askMembers(ctx context.Context, s *Subject) {
	var members []Reach
	for _, m := range f.Status.Members {
		if !m.Alive || m.ID == f.self(s) || len(members) > maxDials {
			continue
		}
		members = append(members, Reach{Who: m.ID, What: "http", Addr: m.HTTPAddr})
		if s.Local {
			members = append(members, Reach{Who: m.ID, What: "peers", Addr: m.PeerAddr}, Reach{Who: m.ID, What: "gossip", Addr: m.GossipAddr})
		}
	}
	f.Members = dialAll(ctx, members)
	f.Clocks = f.readClocks(ctx, s)
}

// self is the id of the node on this machine, "" when there is none.
func (f *Facts) self(s *Subject) string {
	switch {
	case !s.Local:
		return ""
	case s.ID != "":
		return s.ID
	}
	return f.Folder.NodeID
}

// readClocks asks all members at once.
func (f *Facts) readClocks(ctx context.Context, s *Subject) []Clock {
	var wg sync.WaitGroup
	clocks := make([]Clock, 0, len(f.Status.Members))
	for _, m := range f.Status.Members {
		if !m.Alive || m.ID == f.self(s) || len(clocks) == maxDials {
			continue
		}
		clocks = append(clocks, Clock{ID: m.ID})
		c := &clocks[len(clocks)-1]
		wg.Go(func() { *c = s.readClock(ctx, m.ID, m.HTTPAddr) })
	}
	wg.Wait()
	return clocks
}
