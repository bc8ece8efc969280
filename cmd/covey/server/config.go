package server

import (
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/coveydb/covey/httpapi/kvdb"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/node/raftlog"
)

// TLSFiles are the paths of PEM files.
type TLSFiles struct {
	CA   string // whom to trust; only between peers
	Cert string
	Key  string
}

// Config is what an operator decides about a node. The names of errors are
// those of the flags of `covey serve`.
type Config struct {
	ID      string
	DataDir string
	Release string // of this binary

	HTTPAddr, PeerAddr, GossipAddr string // host:port
	Advertise                      string // host that others reach this node by

	BootstrapExpect int
	Join            []string
	NonVoter        bool

	RaftLog   string // wal or bolt
	Heartbeat time.Duration
	StableFor time.Duration // before a new member votes; 0 = the node's default

	RootKey       string // "" = the operator API is refused
	KeyringFile   string // "" = signing keys are refused
	GossipKeyFile string // "" = gossip is not encrypted
	PeerTLS       TLSFiles
	HTTPTLS       TLSFiles
	Insecure      bool // a network without encryption between peers is meant

	KVdbRateLimit  string // off, document, or limits
	KVdbMaxValue   int    // bytes; 0 = the documented limit
	KVdbCreate     string // open or root
	TrustedProxies string // networks, comma-separated

	PprofAddr string // host:port on loopback; "" = no profiles are served
	Log       *slog.Logger
}

// minRootKey is the least length of a root key: who holds it may do everything.
const minRootKey = 16

// parsed is what Config's texts and files mean.
type parsed struct {
	raftLog   raftlog.Kind
	keyring   *seal.Keyring
	gossipKey []byte
	peerTLS   *tls.Config
	httpTLS   *certificate // nil = plain HTTP
	limits    web.Limits
	proxies   web.Proxies
}

// parse reads everything that does not need the network or the data folder.
func (c *Config) parse() (*parsed, error) {
	if err := c.checkExposure(); err != nil {
		return nil, err
	}
	p := &parsed{}
	var err error
	switch c.RaftLog {
	case "", "wal":
		p.raftLog = raftlog.WAL
	case "bolt":
		p.raftLog = raftlog.Bolt
	default:
		return nil, errs.E(errs.Invalid, "--raft-log %q: it is wal or bolt", c.RaftLog)
	}
	if n := len(c.RootKey); n > 0 && n < minRootKey {
		return nil, errs.E(errs.Invalid, "--root-key-file: the key has %d characters, at least %d are needed: head -c 32 /dev/urandom | base64 makes one", n, minRootKey)
	}
	switch c.KVdbCreate {
	case "", "open":
	case "root":
		if c.RootKey == "" {
			return nil, errs.E(errs.Invalid, "--kvdb-create root needs a root key: give --root-key-file")
		}
	default:
		return nil, errs.E(errs.Invalid, "--kvdb-create %q: it is open or root", c.KVdbCreate)
	}
	if p.limits, err = web.ParseLimits(c.KVdbRateLimit, kvdb.DocumentRateLimit); err != nil {
		return nil, errs.E(errs.Invalid, "--kvdb-rate-limit: %w", err)
	}
	if p.proxies, err = web.ParseProxies(c.TrustedProxies); err != nil {
		return nil, errs.E(errs.Invalid, "--trusted-proxies: %w", err)
	}
	if c.KeyringFile != "" {
		if p.keyring, err = seal.Load(c.KeyringFile); err != nil {
			return nil, errs.E(errs.KindOf(err), "--keyring-file: %w", err)
		}
	}
	if p.gossipKey, err = readGossipKey(c.GossipKeyFile); err != nil {
		return nil, err
	}
	if p.peerTLS, err = c.PeerTLS.mutual(); err != nil {
		return nil, err
	}
	p.httpTLS, err = c.HTTPTLS.certificate()
	return p, err
}

// checkExposure refuses to listen for peers beyond this machine without
// encryption, unless the operator says that it is meant: whoever reaches those
// ports unencrypted can read all data and join the cluster.
func (c *Config) checkExposure() error {
	if c.Insecure {
		return nil
	}
	if !loopback(c.PeerAddr) && c.PeerTLS == (TLSFiles{}) {
		return errs.E(errs.Invalid, "--peer-addr %s can be reached from other machines, and whoever does so could read all data: give --peer-ca, --peer-cert and --peer-key, or --insecure if you trust the network", c.PeerAddr)
	}
	if !loopback(c.GossipAddr) && c.GossipKeyFile == "" {
		return errs.E(errs.Invalid, "--gossip-addr %s can be reached from other machines, and whoever does so could join the cluster: give --gossip-key-file, or --insecure if you trust the network", c.GossipAddr)
	}
	return nil
}

// loopback reports whether addr can be reached from this machine only. A name
// other than localhost may mean anything.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
