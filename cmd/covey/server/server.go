package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/cluster/events"
	"github.com/coveydb/covey/httpapi"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/kv/sealed"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/media"
	"github.com/coveydb/covey/layer/vault"
	"github.com/coveydb/covey/node"
	"github.com/coveydb/covey/outgoing/smtp"
	"github.com/coveydb/covey/outgoing/webhook"
)

// stopTime bounds the handing over of the lead at the end.
const stopTime = 10 * time.Second

// Server is one node that serves clients.
type Server struct {
	cfg    Config
	node   *node.Node
	relay  *smtp.Relay // nil = mails stay queued
	duties []duty      // beside serving
	keys   *keeper
	reads  *vault.Recorder
	certs  []*certificate // any may be nil
	doors  []*door        // the first one is that of all APIs
}

// duty is something that is done all the time, until ctx ends. Most are the
// leader's.
type duty func(ctx context.Context)

// door is one port for HTTP.
type door struct {
	name     string // in the log
	flag     string
	addr     string
	listener net.Listener // nil until it is open
	tls      *certificate // nil for plain HTTP
	http     *httpapi.Server
}

// url is where a client on this machine reaches the port.
func (d *door) url() string {
	if d.tls != nil {
		return "https://" + d.listener.Addr().String()
	}
	return "http://" + d.listener.Addr().String()
}

// Open opens the ports and the data folder. The node finds or forms its cluster
// by itself while Run serves. The caller must call Run, which releases all.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.join(ctx); err != nil {
		return nil, joinError(err)
	}
	p, err := cfg.parse()
	if err != nil {
		return nil, &ConfigError{err}
	}
	root := auth.NewRootKeys(cfg.RootKey)
	buckets, err := cfg.buckets(p, root)
	if err != nil {
		return nil, &ConfigError{err}
	}
	conf := cfg.forNode(p)
	if err := conf.Check(); err != nil {
		return nil, &ConfigError{err}
	}
	s := &Server{cfg: cfg, relay: p.relay, certs: []*certificate{p.httpTLS, p.peerTLS}, doors: cfg.doors(p.httpTLS)}
	if err := s.listen(); err != nil {
		return nil, errors.Join(err, s.closeListeners())
	}
	registry := newRegistry(cfg.Release)
	registry.MustRegister(newExpiry(s.certs...))
	conf.HTTPAddr, conf.Metrics = s.advertised(), registry
	conf.Vital, conf.Own, conf.TLS = vital, ownRecords(), p.peerTLS.forPeers()
	if s.node, err = node.Open(ctx, conf); err != nil {
		return nil, errors.Join(err, s.closeListeners())
	}
	db, changes, collections := kv.New(s.node), feed.New(s.node), collection.New(p.restdb)
	builder := collection.Builder{DB: db, Store: collections, Leads: s.node.IsLeader, Log: cfg.Log}
	sweeper := media.Sweeper{DB: db, Leads: s.node.IsLeader, Log: cfg.Log}
	vaults := vault.New(p.vault)
	outside := deliverer{store: collections, vault: vaults, poster: webhook.Poster{AllowPrivate: cfg.AllowPrivate}, runner: outbox.Runner{
		DB: db, Feed: changes, Leads: s.node.IsLeader, Log: cfg.Log, Metrics: registry, Kinds: mailKinds(p.relay, db, collections),
	}}
	keys := cfg.openFleet(p, s.node, root)
	inventory := &sealed.Inventory{Keyring: p.keyring, Rows: slices.Concat(buckets.Sealed(), collections.Sealed(), vaults.Sealed(), keys.store.Sealed())}
	s.keys = newKeeper(&cfg, db, inventory, s.members)
	s.keys.note = s.noteReload
	for _, cert := range s.certs {
		cert.tell(s.noteReload)
	}
	rewrapper := sealed.Rewrapper{DB: db, Inventory: inventory, Leads: s.node.IsLeader, Log: cfg.Log}
	s.duties = []duty{builder.Run, sweeper.Run, outside.Run, s.keys.Run, rewrapper.Run, s.notifySystemd, p.httpTLS.Watch, p.peerTLS.Watch, keys.Run, cfg.newRenewer(keys).Run, s.newSchedule(p.backups, db, registry)}
	s.reads = vault.NewRecorder(db)
	s.node.KeepWishes(wishes{db})
	apis := httpapi.New(httpapi.Config{
		Backups: s.node, Explain: s.node,
		Cluster: s.node, Members: members{s.node, s}, DB: db, Buckets: buckets, Collections: collections, Vault: vaults, Readings: s.reads,
		Sealed: inventory, Feed: changes, Registry: registry, Root: root, Fleet: keys.api(cfg.Insecure),
		KVdbRateLimits: p.limits, KOT: p.kot, KeyNest: p.keynest, RestDBRateLimits: p.restLimit, RestDBMailFrom: mailFrom(p.relay), Proxies: p.proxies, Access: p.access, LogLevel: cfg.LogLevel, Log: cfg.Log,
	})
	s.mount(apis)
	return s, nil
}

// members returns the ids of the cluster's members, as far as this node knows.
func (s *Server) members(ctx context.Context) (ids []string, err error) {
	status, err := s.node.Status(ctx)
	for _, m := range status.Members {
		if m.Role != cluster.RoleNone {
			ids = append(ids, m.ID)
		}
	}
	return ids, err
}

// Names of doors.
const (
	doorHTTP     = "http"
	doorKOT      = "kot"
	doorProfiles = "profiles"
)

// doors returns the ports that are wanted. The one of all APIs comes first: it
// is the one that a second node on the same machine most often meets taken.
func (c *Config) doors(cert *certificate) []*door {
	doors := []*door{{name: doorHTTP, flag: "--http-addr", addr: c.HTTPAddr, tls: cert}}
	if c.KOT.Addr != "" {
		doors = append(doors, &door{name: doorKOT, flag: "--kot-addr", addr: c.KOT.Addr, tls: cert})
	}
	if c.PprofAddr != "" {
		doors = append(doors, &door{name: doorProfiles, flag: "--pprof-addr", addr: c.PprofAddr})
	}
	return doors
}

func (s *Server) listen() error {
	for _, d := range s.doors {
		l, err := net.Listen("tcp", d.addr)
		if err != nil {
			return listenError(d.flag, d.addr, err)
		}
		d.listener = l
	}
	return nil
}

// mount puts behind each door what it opens to.
func (s *Server) mount(apis *httpapi.APIs) {
	for _, d := range s.doors {
		var h http.Handler
		var t httpapi.Timeouts
		switch d.name {
		case doorHTTP:
			h = apis
		case doorKOT:
			h = apis.KOT()
		case doorProfiles:
			h = profiles()
			t = httpapi.Timeouts{Write: profileTime, Drain: time.Second} // nobody waits for a profile of a node that stops
		}
		d.http = httpapi.NewServer(h, t, d.tls.forHTTP(), s.cfg.Log)
	}
}

// listenError says what can be done about a port that cannot be opened.
func listenError(flag, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return errs.E(errs.Unavailable, "%s %s is in use by another process: stop that one, or choose another address", flag, addr)
	}
	return errs.E(errs.Invalid, "%s %s: %w", flag, addr, err)
}

func (s *Server) closeListeners() error {
	var all []error
	for _, d := range s.doors {
		if d.listener != nil {
			all = append(all, d.listener.Close())
		}
	}
	return errors.Join(all...)
}

// advertised is the HTTP address that the other members show to clients.
func (s *Server) advertised() string {
	host, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		return s.Addr()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() && s.cfg.Advertise != "" {
		host = s.cfg.Advertise
	}
	return net.JoinHostPort(host, port)
}

// Addr is the address on which all APIs are served.
func (s *Server) Addr() string { return s.doors[0].listener.Addr().String() }

// URL is where a client on this machine reaches the node.
func (s *Server) URL() string { return s.doors[0].url() }

// KOTURL is where a client on this machine reaches the KOT API: on its own port
// if it has one, else with the other APIs. It is "" when the API is off.
func (s *Server) KOTURL() string {
	if s.cfg.KOT.Password == "" {
		return ""
	}
	for _, d := range s.doors {
		if d.name == doorKOT {
			return d.url()
		}
	}
	return s.URL()
}

// Run serves until ctx ends or the node has to stop; then it releases
// everything. An error says why the node had to stop, or could not stop well.
func (s *Server) Run(ctx context.Context) error {
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	failed := make([]error, len(s.doors))
	for i, d := range s.doors {
		wg.Go(func() {
			defer stop()
			failed[i] = d.http.Serve(serve, d.listener)
		})
	}
	for _, do := range s.duties {
		wg.Go(func() { do(serve) })
	}
	s.announce()
	select {
	case <-ctx.Done():
		s.drain(serve)
		s.cfg.Log.Info("stopping: requests under way finish, then the lead goes to another member")
	case <-serve.Done(): // a port failed
	case <-s.node.Done():
	}
	stop()
	wg.Wait()
	s.reads.Close()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := s.node.Err()
	if errors.Is(err, node.ErrLeft) {
		err = nil // it was meant to
	}
	return errors.Join(err, errors.Join(failed...), s.node.Close(end))
}

// announce logs what is served where.
func (s *Server) announce() {
	var attrs []any
	for _, d := range s.doors {
		attrs = append(attrs, d.name, d.url())
	}
	if url := s.KOTURL(); url == s.URL() {
		attrs = append(attrs, doorKOT, url)
	}
	s.cfg.Log.Info("serving", append(attrs, "peers", s.node.PeerAddr(), "gossip", s.node.GossipAddr(), "data", s.cfg.DataDir)...)
	announceMail(s.relay, s.cfg.Log)
	for _, addr := range s.cfg.clearText() {
		s.cfg.Log.Warn("the KOT password and all data pass unencrypted: give --tls-cert and --tls-key, or put a proxy with TLS before it", "addr", addr)
	}
}

// profileTime bounds one profile.
const profileTime = 10 * time.Minute

// profiles serves Go's profiles.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// Reload reads the certificates and the keyring again. What cannot be read
// stays as it is.
func (s *Server) Reload() error {
	err := errors.Join(s.keys.reload(), reloadAll(s.certs...))
	text := "keyring and certificates were read again"
	if err != nil {
		text = "not everything was read again: " + err.Error()
	}
	s.noteReload(text)
	return err
}

// noteReload has the node remember that something was read again, or was not.
func (s *Server) noteReload(text string) {
	s.node.Note(events.Event{Kind: events.Reload, Text: text})
}

// WaitReady returns when every check of the node passes, or ctx ends: then the
// error names the first one that does not.
func (s *Server) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		bad := firstBad(s.node.Checks(ctx))
		if bad == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errs.E(errs.Unavailable, "not ready, %s: %s", bad.Name, bad.Detail)
		case <-s.node.Done():
			return s.node.Err()
		case <-tick.C:
		}
	}
}

func firstBad(checks []cluster.Check) *cluster.Check {
	for i := range checks {
		if !checks[i].OK {
			return &checks[i]
		}
	}
	return nil
}

// newRegistry returns a registry with the series of the process itself.
func newRegistry(text string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), release(text),
	)
	return r
}

// release is a gauge that is always 1 and tells the release by its label.
func release(text string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "covey", Name: "build_info", Help: "Always 1; the label is the release.",
		ConstLabels: prometheus.Labels{"release": text},
	})
	g.Set(1)
	return g
}
