package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/node"
)

// stopTime bounds the handing over of the lead at the end.
const stopTime = 10 * time.Second

// Server is one node that serves clients.
type Server struct {
	cfg      Config
	node     *node.Node
	listener net.Listener
	http     *httpapi.Server
	cert     *certificate // nil for plain HTTP
	profiles net.Listener // nil when none are served
}

// Open opens the ports and the data folder. The node finds or forms its cluster
// by itself while Run serves. The caller must call Run, which releases all.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	p, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	root := auth.NewRootKey(cfg.RootKey)
	buckets, err := bucket.New(bucket.Config{
		MaxValue: cfg.KVdbMaxValue, CreateNeedsRoot: cfg.KVdbCreate == "root", Root: root, Keyring: p.keyring,
	})
	if err != nil {
		return nil, errs.E(errs.KindOf(err), "--kvdb-max-value: %w", err)
	}
	s := &Server{cfg: cfg, cert: p.httpTLS}
	if err := s.listen(); err != nil {
		return nil, errors.Join(err, s.closeListeners())
	}
	registry := newRegistry(cfg.Release)
	s.node, err = node.Open(ctx, node.Config{
		ID: cfg.ID, DataDir: cfg.DataDir, Release: cfg.Release,
		PeerAddr: cfg.PeerAddr, GossipAddr: cfg.GossipAddr, HTTPAddr: s.advertised(), Advertise: cfg.Advertise,
		BootstrapExpect: cfg.BootstrapExpect, Join: cfg.Join, NonVoter: cfg.NonVoter,
		RaftLog: p.raftLog, Heartbeat: cfg.Heartbeat, StableFor: cfg.StableFor,
		TLS: p.peerTLS, GossipKey: p.gossipKey, Logger: cfg.Log, Metrics: registry,
	})
	if err != nil {
		return nil, errors.Join(err, s.closeListeners())
	}
	handler := httpapi.New(httpapi.Config{
		Cluster: s.node, DB: kv.New(s.node), Buckets: buckets, Registry: registry, Root: root,
		KVdbRateLimits: p.limits, Proxies: p.proxies, Log: cfg.Log,
	})
	s.http = httpapi.NewServer(handler, httpapi.Timeouts{}, p.httpTLS.config(), cfg.Log)
	return s, nil
}

// listen opens the HTTP port first: it is the one that a second node on the
// same machine most often meets taken.
func (s *Server) listen() error {
	var err error
	if s.listener, err = net.Listen("tcp", s.cfg.HTTPAddr); err != nil {
		return listenError("--http-addr", s.cfg.HTTPAddr, err)
	}
	if s.cfg.PprofAddr == "" {
		return nil
	}
	if !loopback(s.cfg.PprofAddr) {
		return errs.E(errs.Invalid, "--pprof-addr %s: profiles tell much and cost much, so they are served on loopback only", s.cfg.PprofAddr)
	}
	if s.profiles, err = net.Listen("tcp", s.cfg.PprofAddr); err != nil {
		return listenError("--pprof-addr", s.cfg.PprofAddr, err)
	}
	return nil
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
	for _, l := range []net.Listener{s.listener, s.profiles} {
		if l != nil {
			all = append(all, l.Close())
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

// Addr is the address on which HTTP is served.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is where a client on this machine reaches the node.
func (s *Server) URL() string {
	if s.cert != nil {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// Run serves until ctx ends or the node has to stop; then it releases
// everything. An error says why the node had to stop, or could not stop well.
func (s *Server) Run(ctx context.Context) error {
	serve, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var httpErr error
	wg.Go(func() {
		defer stop()
		httpErr = s.http.Serve(serve, s.listener)
	})
	if s.profiles != nil {
		wg.Go(func() { s.serveProfiles(serve) })
	}
	s.cfg.Log.Info("serving", "http", s.URL(), "peers", s.node.PeerAddr(), "gossip", s.node.GossipAddr(), "data", s.cfg.DataDir)
	select {
	case <-serve.Done():
		s.cfg.Log.Info("stopping: requests under way finish, then the lead goes to another member")
	case <-s.node.Done():
		stop()
	}
	wg.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return errors.Join(s.node.Err(), httpErr, s.node.Close(end))
}

// serveProfiles serves Go's profiles until ctx ends.
func (s *Server) serveProfiles(ctx context.Context) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { srv.Close() })()
	if err := srv.Serve(s.profiles); !errors.Is(err, http.ErrServerClosed) {
		s.cfg.Log.Warn("profiles are no longer served", "err", err)
	}
}

// Reload reads the HTTP certificate again.
func (s *Server) Reload() error {
	if s.cert == nil {
		return nil
	}
	return s.cert.reload()
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
