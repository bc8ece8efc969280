package server

import (
	"log/slog"
	"strings"
	"time"

	"github.com/coveydb/covey/httpapi"
	"github.com/coveydb/covey/httpapi/keynest"
	"github.com/coveydb/covey/httpapi/kot"
	"github.com/coveydb/covey/httpapi/kvdb"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/vault"
	"github.com/coveydb/covey/node"
	"github.com/coveydb/covey/node/raftlog"
	"github.com/coveydb/covey/node/room"
	"github.com/coveydb/covey/outgoing/smtp"
)

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

	RaftLog string // wal or bolt

	DiskWatermark string // see room.Parse

	Heartbeat time.Duration
	StableFor time.Duration // before a new member votes; 0 = the node's default
	DrainTime time.Duration // between not ready and closed ports, where other nodes serve; 0 = none

	RootKey       string // "" = the operator API is refused
	KeyringFile   string // "" = that in Keyring
	Keyring       string // the content of such a file; "" = secrets are refused
	GossipKeyFile string // "" = gossip is not encrypted, unless a join token gave a key
	JoinTokenFile string // "" = the node needs no token to join, or has joined
	PeerTLS       TLSFiles
	HTTPTLS       TLSFiles
	Insecure      bool // ports in clear text on a network are meant
	RequireTLS    bool // no port may be in clear text, whatever its address

	KVdbRateLimit  string // off, document, or limits
	KVdbMaxValue   int    // bytes; 0 = the documented limit
	KVdbCreate     string // open or root
	KOT            KOT
	RestDB         RestDB
	KeyNest        KeyNest
	Mail           Mail
	Backups        Backups
	TrustedProxies string // networks, comma-separated
	AllowPrivate   bool   // calls to the outside may be plain and go to private addresses

	joined *joined // nil = the node did not join by a token; Open sets it

	PprofAddr   string         // host:port on loopback; "" = profiles are served with the other APIs only
	AccessLog   string         // on or off: whether every request has a line in the log
	SlowRequest time.Duration  // requests that take at least so long are logged; 0 = none
	LogLevel    *slog.LevelVar // of Log; nil = the operator cannot change it
	Log         *slog.Logger
}

// KOT is what an operator decides about the KOT API.
type KOT struct {
	Password   string // "" = the API is off
	Addr       string // host:port that serves it alone; "" = it is served with the other APIs only
	Restricted string // endpoints, comma-separated
	RateLimit  string // off, document, or limits
}

// RestDB is what an operator decides about the RestDB API.
type RestDB struct {
	Key        string // with full access to the default database; "" = only keys that were created
	RateLimit  string // off, or limits
	AutoCreate string // on or off: whether a full-access key's first document makes a collection
}

// KeyNest is what an operator decides about the KeyNest API.
type KeyNest struct {
	Registration string // open or closed: whether everybody may register
	ViewerExport bool   // viewers may export environments
	Origins      string // of pages that may call the API, comma-separated; *; or off
	RateLimit    string // off, document, or limits: for each user, or client without a token
	EntryLimit   string // off, or limits: login, registration and change of password, for each client
}

// A ConfigError is a configuration that was refused before anything was opened.
type ConfigError struct{ err error }

// Error says which flag is wrong and what is right.
func (e *ConfigError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *ConfigError) Unwrap() error { return e.err }

// Least lengths of keys: who holds one may do everything, or everything with a
// database.
const (
	minRootKey = 16
	minRestKey = 16
)

// parsed is what Config's texts and files mean.
type parsed struct {
	raftLog    raftlog.Kind
	watermark  room.Watermark
	keyring    *seal.Keyring
	gossipKeys [][]byte
	kept       keptKeys     // where gossipKeys are from, if the data folder held them
	peerTLS    *certificate // nil = plain TCP
	httpTLS    *certificate // nil = plain HTTP
	limits     web.Limits
	kot        httpapi.KOT
	restdb     collection.Config
	restLimit  web.Limits
	vault      vault.Config
	keynest    httpapi.KeyNest
	relay      *smtp.Relay // nil = mails stay queued
	backups    plan
	proxies    web.Proxies
	access     web.Access
}

// keyring returns nil when there is none.
func (c *Config) keyring() (ring *seal.Keyring, err error) {
	switch {
	case c.KeyringFile != "":
		ring, err = seal.Load(c.KeyringFile)
	case c.Keyring != "":
		ring, err = seal.Parse(c.Keyring)
	}
	if err != nil {
		return nil, errs.E(errs.KindOf(err), "--keyring-file: %w", err)
	}
	return ring, nil
}

// parseDisk reads how data is kept.
func (c *Config) parseDisk(p *parsed) (err error) {
	switch c.RaftLog {
	case "", "wal":
		p.raftLog = raftlog.WAL
	case "bolt":
		p.raftLog = raftlog.Bolt
	default:
		return errs.E(errs.Invalid, "--raft-log %q: it is wal or bolt", c.RaftLog)
	}
	if p.watermark, err = room.Parse(c.DiskWatermark); err != nil {
		return errs.E(errs.Invalid, "--disk-watermark: %w", err)
	}
	return nil
}

// parse reads everything that does not need the network or the data folder.
func (c *Config) parse() (*parsed, error) {
	if err := c.checkAddresses(); err != nil {
		return nil, err
	}
	if err := c.checkExposure(); err != nil {
		return nil, err
	}
	p := &parsed{}
	var err error
	if err := c.parseDisk(p); err != nil {
		return nil, err
	}
	if n := len(c.RootKey); n > 0 && n < minRootKey {
		return nil, errs.E(errs.Invalid, "--root-key-file: the key has %d characters, at least %d are needed: head -c 32 /dev/urandom | base64 makes one", n, minRootKey)
	}
	if p.limits, err = c.parseKVdb(); err != nil {
		return nil, err
	}
	if p.kot, err = c.KOT.parse(); err != nil {
		return nil, err
	}
	if p.access, err = c.parseAccess(); err != nil {
		return nil, err
	}
	if p.proxies, err = web.ParseProxies(c.TrustedProxies); err != nil {
		return nil, errs.E(errs.Invalid, "--trusted-proxies: %w", err)
	}
	if p.keyring, err = c.keyring(); err != nil {
		return nil, err
	}
	if p.restdb, p.restLimit, err = c.RestDB.parse(); err != nil {
		return nil, err
	}
	p.restdb.Keyring, p.restdb.AllowPrivate = p.keyring, c.AllowPrivate
	if p.vault, p.keynest, err = c.KeyNest.parse(); err != nil {
		return nil, err
	}
	p.vault.Keyring, p.vault.AllowPrivate = p.keyring, c.AllowPrivate
	if p.relay, err = c.Mail.parse(); err != nil {
		return nil, err
	}
	if p.backups, err = c.Backups.parse(); err != nil {
		return nil, err
	}
	if err := c.openGossipKeys(p); err != nil {
		return nil, err
	}
	if p.peerTLS, err = c.peerCertificate(); err != nil {
		return nil, err
	}
	p.httpTLS, err = c.httpCertificate()
	return p, err
}

// forNode is what the node is told by the operator.
func (c *Config) forNode(p *parsed) node.Config {
	return node.Config{
		ID: c.ID, DataDir: c.DataDir, Release: c.Release, PeerAddr: c.PeerAddr, GossipAddr: c.GossipAddr, Advertise: c.Advertise,
		BootstrapExpect: c.BootstrapExpect, Join: c.Join, NonVoter: c.NonVoter,
		Watermark: p.watermark, RaftLog: p.raftLog, Heartbeat: c.Heartbeat, StableFor: c.StableFor, GossipKeys: p.gossipKeys, Logger: c.Log,
	}
}

// buckets opens the KVdb layer.
func (c *Config) buckets(p *parsed, root *auth.RootKey) (*bucket.Buckets, error) {
	buckets, err := bucket.New(bucket.Config{
		MaxValue: c.KVdbMaxValue, CreateNeedsRoot: c.KVdbCreate == "root", Root: root, Keyring: p.keyring,
	})
	if err != nil {
		return nil, errs.E(errs.KindOf(err), "--kvdb-max-value: %w", err)
	}
	return buckets, nil
}

// parseKVdb returns the limits of the KVdb API.
func (c *Config) parseKVdb() (web.Limits, error) {
	switch c.KVdbCreate {
	case "", "open":
	case "root":
		if c.RootKey == "" {
			return nil, errs.E(errs.Invalid, "--kvdb-create root needs a root key: give --root-key-file")
		}
	default:
		return nil, errs.E(errs.Invalid, "--kvdb-create %q: it is open or root", c.KVdbCreate)
	}
	limits, err := web.ParseLimits(c.KVdbRateLimit, kvdb.DocumentRateLimit)
	if err != nil {
		return nil, errs.E(errs.Invalid, "--kvdb-rate-limit: %w", err)
	}
	return limits, nil
}

// parse refuses settings of an API that is off: who gives them takes it for
// protected, or open.
func (k KOT) parse() (httpapi.KOT, error) {
	var p httpapi.KOT
	if k.Password == "" {
		for _, f := range []struct{ flag, value string }{
			{"--kot-addr", k.Addr}, {"--kot-restricted", k.Restricted}, {"--kot-rate-limit", strings.TrimSuffix(k.RateLimit, "off")},
		} {
			if f.value != "" {
				return p, errs.E(errs.Invalid, "%s needs a password, without one the KOT API is off: give --kot-password-file", f.flag)
			}
		}
		return p, nil
	}
	p.Password = auth.NewRootKey(k.Password)
	var err error
	if p.Restricted, err = kot.ParseRestricted(k.Restricted); err != nil {
		return p, errs.E(errs.Invalid, "--kot-restricted: %w", err)
	}
	if p.RateLimit, err = kot.ParseRateLimit(k.RateLimit); err != nil {
		return p, errs.E(errs.Invalid, "--kot-rate-limit: %w", err)
	}
	return p, nil
}

func (r RestDB) parse() (conf collection.Config, limits web.Limits, err error) {
	if n := len(r.Key); n > 0 && n < minRestKey || strings.ContainsAny(r.Key, " \t") {
		return conf, nil, errs.E(errs.Invalid, "--restdb-key-file: the key has %d characters, at least %d without blanks are needed: openssl rand -hex 24 makes one", n, minRestKey)
	}
	conf.DefaultKey = auth.NewRootKey(r.Key)
	switch r.AutoCreate {
	case "", "on":
	case "off":
		conf.NoAutoCreate = true
	default:
		return conf, nil, errs.E(errs.Invalid, "--restdb-auto-create %q: it is on or off", r.AutoCreate)
	}
	if limits, err = web.ParseLimits(r.RateLimit, ""); err != nil { // its document names no numbers
		return conf, nil, errs.E(errs.Invalid, "--restdb-rate-limit: %w", err)
	}
	return conf, limits, nil
}

func (k KeyNest) parse() (conf vault.Config, api httpapi.KeyNest, err error) {
	switch k.Registration {
	case "", "open":
	case "closed":
		conf.ClosedRegistration = true
	default:
		return conf, api, errs.E(errs.Invalid, "--keynest-registration %q: it is open or closed", k.Registration)
	}
	conf.ViewerExport = k.ViewerExport
	if api.Origins, err = keynest.ParseOrigins(k.Origins); err != nil {
		return conf, api, errs.E(errs.Invalid, "--keynest-cors-origins: %w", err)
	}
	if api.RateLimits.User, api.RateLimits.Anonymous, err = keynest.ParseRateLimit(k.RateLimit); err != nil {
		return conf, api, errs.E(errs.Invalid, "--keynest-rate-limit: %w", err)
	}
	if api.RateLimits.Entry, err = web.ParseLimits(k.EntryLimit, keynest.DefaultEntryLimit); err != nil {
		return conf, api, errs.E(errs.Invalid, "--keynest-auth-rate-limit: %w", err)
	}
	return conf, api, nil
}
