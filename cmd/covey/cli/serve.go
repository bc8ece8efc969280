package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/demo"
	"github.com/coveydb/covey/cmd/covey/server"
	"github.com/coveydb/covey/httpapi/keynest"
	"github.com/coveydb/covey/node/room"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	server.Config
	rootKeyFile     string
	kotPasswordFile string
	restKeyFile     string
	smtpPassword    string
	s3              s3Files
	logLevel        string
	logFormat       string
	stopWithStdin   bool
}

func (f *serveFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.ID, "id", "", "this node's `name` in the cluster, for ever (required)")
	fs.StringVar(&f.DataDir, "data-dir", "", "`folder` for everything that this node keeps (required)")
	fs.StringVar(&f.HTTPAddr, "http-addr", "127.0.0.1:8700", "`host:port` for clients")
	fs.StringVar(&f.PeerAddr, "peer-addr", "127.0.0.1:8701", "`host:port` for Raft and calls between nodes")
	fs.StringVar(&f.GossipAddr, "gossip-addr", "127.0.0.1:8702", "`host:port` for gossip, TCP and UDP")
	fs.StringVar(&f.Advertise, "advertise", "", "`host` or IP that other nodes reach this one by (default that of --peer-addr)")
	fs.IntVar(&f.BootstrapExpect, "bootstrap-expect", 0, "form the first cluster as soon as `N` nodes with this flag see each other; 0 = never")
	fs.StringSliceVar(&f.Join, "join", nil, "gossip `addresses` of some nodes, comma-separated")
	fs.BoolVar(&f.NonVoter, "non-voter", false, "serve clients, but take no part in elections and quorums")
	fs.StringVar(&f.RaftLog, "raft-log", "wal", "how the Raft log is kept: wal or bolt")
	fs.StringVar(&f.DiskWatermark, "disk-watermark", room.DefaultWatermark, "free `space` on the disk of --data-dir below which writes that add data are refused: bytes (2GiB), a share, or both")
	fs.DurationVar(&f.Heartbeat, "heartbeat", time.Second, "Raft's heartbeat and election time-out")
	fs.DurationVar(&f.DrainTime, "drain-time", 5*time.Second, "how long a node that stops is not ready but serves, for load balancers to notice; 0 = not at all")
	fs.StringVar(&f.rootKeyFile, "root-key-file", "", "`file` with the cluster's root key, for the operator's API; or the key itself in "+envRootKey)
	fs.StringVar(&f.KeyringFile, "keyring-file", "", "`file` with the keys that seal secrets; or its content in "+envKeyring)
	fs.StringVar(&f.GossipKeyFile, "gossip-key-file", "", "`file` with the key that encrypts gossip: 16, 24 or 32 bytes in base64 or hexadecimal")
	fs.StringVar(&f.JoinTokenFile, "join-token-file", "", "`file` with a join token, which gives a new node its certificate, the CA and the gossip key (covey cluster token create)")
	fs.StringVar(&f.PeerTLS.CA, "peer-ca", "", "`file` with the CA of the nodes' certificates")
	fs.StringVar(&f.PeerTLS.Cert, "peer-cert", "", "`file` with this node's certificate for other nodes")
	fs.StringVar(&f.PeerTLS.Key, "peer-key", "", "`file` with the key of --peer-cert")
	fs.StringVar(&f.HTTPTLS.Cert, "tls-cert", "", "`file` with the certificate for clients: HTTPS instead of HTTP")
	fs.StringVar(&f.HTTPTLS.Key, "tls-key", "", "`file` with the key of --tls-cert")
	fs.StringVar(&f.HTTPTLS.CA, "tls-client-ca", "", "`file` with the CAs of clients: only those with a certificate are served")
	fs.BoolVar(&f.RequireTLS, "require-tls", false, "refuse to start if any port would be in clear text")
	fs.BoolVar(&f.Insecure, "insecure", false, "listen beyond this machine in clear text, for clients and for other nodes")
	fs.StringVar(&f.KVdbRateLimit, "kvdb-rate-limit", "off", "of the KVdb API, for each client address: off, document, or `limits` such as \"1000 per hour, 50 per second\"")
	fs.IntVar(&f.KVdbMaxValue, "kvdb-max-value", 16384, "largest value of the KVdb API in `bytes`")
	fs.StringVar(&f.KVdbCreate, "kvdb-create", "open", "who may create buckets: open (everybody) or root (the holder of the root key)")
	fs.StringVar(&f.kotPasswordFile, "kot-password-file", "", "`file` with the password of the KOT API, which is off without; or the password itself in "+envKOTPassword)
	fs.StringVar(&f.KOT.Addr, "kot-addr", "", "`host:port` that serves the KOT API alone, besides --http-addr")
	fs.StringVar(&f.KOT.Restricted, "kot-restricted", "", "`endpoints` of the KOT API to close, comma-separated: \"set, delete\"")
	fs.StringVar(&f.KOT.RateLimit, "kot-rate-limit", "off", "of the KOT API, for each endpoint and client address: off, document, or `limits` such as \"5 per hour, 1 per minute\"")
	fs.StringVar(&f.restKeyFile, "restdb-key-file", "", "`file` with a full-access key of the RestDB API's default database; or the key itself in "+envRestDBKey)
	fs.StringVar(&f.RestDB.RateLimit, "restdb-rate-limit", "off", "of the RestDB API, for each client address: off, or `limits` such as \"1000 per hour, 50 per second\"")
	fs.StringVar(&f.RestDB.AutoCreate, "restdb-auto-create", "on", "whether the first document makes a collection: on, or off")
	addKeyNest(fs, &f.KeyNest)
	addMail(fs, &f.Mail, &f.smtpPassword)
	addBackups(fs, &f.Backups, &f.s3)
	fs.BoolVar(&f.AllowPrivate, "webhook-allow-private", false, "calls to the outside (webhooks, a JWKS) may be plain HTTP and go to private addresses and any port")
	fs.StringVar(&f.TrustedProxies, "trusted-proxies", "", "`networks` of proxies whose X-Forwarded-For counts, comma-separated")
	fs.StringVar(&f.PprofAddr, "pprof-addr", "", "`host:port` on loopback for Go's profiles (default none)")
	fs.StringVar(&f.AccessLog, "access-log", "off", "whether every request has a line in the log: on, or off; never keys, queries or bodies")
	fs.DurationVar(&f.SlowRequest, "slow-request", time.Second, "requests that take at least so long have a line in the log; 0 = none")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&f.logFormat, "log-format", "auto", "text, json, or auto: text on a terminal, else json")
	fs.BoolVar(&f.stopWithStdin, demo.StopWithStdin, false, "stop when standard input ends")
	config.CallOnly(fs, demo.StopWithStdin)
	if err := fs.MarkHidden(demo.StopWithStdin); err != nil {
		panic(err) // the flag is one line above
	}
}

// addKeyNest adds the flags of the KeyNest API.
func addKeyNest(fs *pflag.FlagSet, k *server.KeyNest) {
	fs.StringVar(&k.Registration, "keynest-registration", "open", "who makes accounts of the KeyNest API: open (everybody registers) or closed (the operator)")
	fs.BoolVar(&k.ViewerExport, "keynest-viewer-export", false, "viewers of an organization may export its environments")
	fs.StringVar(&k.Origins, "keynest-cors-origins", keynest.DefaultOrigins, "`origins` of pages that may call the KeyNest API, comma-separated; * for all, off for none")
	fs.StringVar(&k.RateLimit, "keynest-rate-limit", "off", "of the KeyNest API, for each user, or address without a token: off, document, or `limits` such as \"1000 per hour, 50 per minute\"")
	fs.StringVar(&k.EntryLimit, "keynest-auth-rate-limit", keynest.DefaultEntryLimit, "of the KeyNest API's login, registration and change of password, for each client address: off, or `limits`")
}

// addMail adds the flags of the relay that sends mails.
func addMail(fs *pflag.FlagSet, m *server.Mail, passwordFile *string) {
	fs.StringVar(&m.URL, "smtp", "", "`URL` of the relay that sends mails: smtp://user@host:587 or smtps://user@host:465 (default none: mails stay queued)")
	fs.StringVar(passwordFile, "smtp-password-file", "", "`file` with the password of the user in --smtp; or the password itself in "+envSMTPPassword)
	fs.StringVar(&m.From, "smtp-from", "", "`address` that mails are from: \"Shop <shop@example.com>\"")
}

func (a *app) newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use: "serve", Short: "Run one node", Args: takes(0, 0),
		Long: `Run one node. Three nodes that name each other with --join and the same
--bootstrap-expect form a cluster; a node started later with --join alone
becomes a member by itself.

SIGTERM and SIGINT stop gracefully, a second one at once. SIGHUP reads the log
level, the certificates and the keyring again; certificates and the keyring are
also read when their files change.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.ID == "" || f.DataDir == "" {
				return usagef("--id and --data-dir are needed; to try things out: covey dev")
			}
			return a.serve(cmd.Context(), &f, nil)
		},
	}
	f.add(cmd.Flags())
	return cmd
}

// serve runs a node until ctx ends. ready, which may be nil, is called when the
// node can serve clients.
func (a *app) serve(ctx context.Context, f *serveFlags, ready func(*server.Server)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.stopWithStdin {
		go func() { // ends with the process
			_, _ = io.Copy(io.Discard, a.env.Stdin)
			cancel()
		}()
	}
	var level slog.LevelVar
	log, err := a.logger(f.logLevel, f.logFormat, &level)
	if err != nil {
		return err
	}
	if err := a.readSecrets(f); err != nil {
		return err
	}
	f.Release, f.Log, f.LogLevel = a.env.Version, log, &level
	s, err := server.Open(ctx, f.Config)
	if err != nil {
		return err
	}
	defer a.onHangup(func() { a.reload(s, &level, log) })()
	if ready != nil {
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			if s.WaitReady(ctx) == nil && ctx.Err() == nil {
				ready(s)
			}
		})
	}
	return s.Run(ctx)
}

// reload does what SIGHUP asks for.
func (a *app) reload(s reloader, level *slog.LevelVar, log *slog.Logger) {
	var f serveFlags
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	fs.ParseErrorsAllowlist.UnknownFlags = true // those of the root command
	f.add(fs)
	err := fs.Parse(a.args)
	if err == nil {
		err = a.fill(fs)
	}
	if err == nil {
		err = level.UnmarshalText([]byte(f.logLevel))
	}
	if err != nil {
		log.Error("settings were not read again", "err", err)
	}
	if err := s.Reload(); err != nil {
		log.Error("a certificate or the keyring was not read again", "err", err)
		return
	}
	log.Info("read again: log level, certificates and keyring", "level", level.Level())
}

// reloader is a server whose files are read again.
type reloader interface{ Reload() error }

// onHangup calls f at each SIGHUP until the returned function is called.
func (a *app) onHangup(f func()) (stop func()) {
	hangups := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(hangups, hangup...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-hangups:
				f()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(done)
		<-ended
	}
}

// logger returns a logger on stderr whose level can be changed.
func (a *app) logger(level, format string, to *slog.LevelVar) (*slog.Logger, error) {
	if err := to.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level %q is none of debug, info, warn, error", level)
	}
	switch {
	case format == "json" || format == "auto" && !a.env.StderrTerminal:
		return slog.New(slog.NewJSONHandler(a.env.Stderr, &slog.HandlerOptions{Level: to})), nil
	case format == "text" || format == "auto":
		return slog.New(tint.NewTextHandler(a.env.Stderr, &tint.Options{
			Level: to, TimeFormat: time.StampMilli, NoColor: !a.env.StderrTerminal || !a.color(),
		})), nil
	}
	return nil, usagef("--log-format %q is none of text, json, auto", format)
}
