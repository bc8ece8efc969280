package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/doctor"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/cmd/covey/server"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/node/room"
)

// doctorFlags are those of serve, and those that say where the cluster is.
type doctorFlags struct {
	serve serveFlags
	conn  connection
	all   *pflag.FlagSet
}

func (a *app) newDoctor() *cobra.Command {
	var f doctorFlags
	var settings []doctor.Finding
	cmd := &cobra.Command{
		Use: "doctor", Short: "Find what is wrong with a node and its cluster", Args: takes(0, 0),
		Long: `Find what is wrong with a node, its machine and its cluster, and say what to do.
Give the node's own settings: --config, variables, or the flags of "covey serve".
The node may be up or down. Without --id, --data-dir and --config only the cluster
behind --endpoint is looked at. What concerns the cluster needs the root key.

The exit code is 1 when there is a problem; warnings alone are 0.

Checks: ` + strings.Join(doctor.Names(), ", ") + ".",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), &f, settings) },
	}
	cmd.PersistentPreRun = func(cmd *cobra.Command, _ []string) { settings = a.fillTolerant(cmd) }
	f.all = cmd.Flags()
	f.serve.add(f.all)
	f.conn.reach(f.all)
	return cmd
}

// fillTolerant fills the flags of cmd as fill does, but returns what is wrong
// with the file or the environment as findings.
func (a *app) fillTolerant(cmd *cobra.Command) (findings []doctor.Finding) {
	wrong := func(text, do string) {
		findings = append(findings, doctor.Finding{State: doctor.Problem, Text: text, Do: do})
	}
	known, src := a.settings(), a.sources()
	for _, name := range config.UnknownVariables(a.env.Environ, known, plainVariables()) {
		findings = append(findings, doctor.Finding{State: doctor.Warning, Text: "the variable " + name + " is not known and has no effect", Do: "correct its name, or unset it"})
	}
	for _, p := range config.Check(cmd.Flags(), known, src) {
		switch {
		case p.Name == "":
			wrong(p.Text, "correct the file; covey config example shows one")
		default:
			wrong(fmt.Sprintf("%s: %s: %s", p.From, p.Name, p.Text), "correct it; covey config example shows all settings")
		}
	}
	return findings
}

func (a *app) doctor(ctx context.Context, f *doctorFlags, settings []doctor.Finding) error {
	if _, err := a.outputFormat(); err != nil {
		return err
	}
	s, err := a.subject(f, settings)
	if err != nil {
		return err
	}
	if s.Client != nil {
		defer s.Client.Close()
	}
	findings := doctor.Judge(s, doctor.Examine(ctx, s))
	if err := ctx.Err(); err != nil {
		return err
	}
	r := output.Result{Columns: []string{"STATE", "CHECK", "FINDING", "WHAT TO DO"}}
	count := map[doctor.State]int{}
	for _, found := range findings {
		count[found.State]++
		r.Rows = append(r.Rows, output.Row{Cells: []string{string(found.State), found.Check, found.Text, found.Do}, Doc: found})
	}
	if err := a.write(r); err != nil {
		return err
	}
	warnings := fmt.Sprintf("%d %s", count[doctor.Warning], plural(count[doctor.Warning], "warning", "warnings"))
	if n := count[doctor.Problem]; n > 0 {
		return fmt.Errorf("%d %s, %s", n, plural(n, "problem", "problems"), warnings)
	}
	a.note("no problems, %s", warnings)
	return nil
}

// subject is what the settings name. An error is one of the command line; what
// is wrong with the node's settings is a finding.
func (a *app) subject(f *doctorFlags, settings []doctor.Finding) (*doctor.Subject, error) {
	conf := &f.serve.Config
	s := &doctor.Subject{
		Local: conf.ID != "" || conf.DataDir != "" || a.sources().File != "", Settings: settings, Release: a.env.Version,
		Chosen: f.conn.endpoints[0] != client.DefaultEndpoint || len(f.conn.endpoints) > 1,
	}
	if s.Local {
		a.describe(s, f)
	}
	return s, a.connect(s, f)
}

// describe fills in what concerns the node on this machine.
func (a *app) describe(s *doctor.Subject, f *doctorFlags) {
	conf := &f.serve.Config
	s.Watermark, _ = room.Parse(conf.DiskWatermark) // what is wrong with it Check tells
	for _, p := range a.serveProblems(f) {
		text := p.Text
		if p.From != "" {
			text = p.From + ": " + text
		}
		s.Settings = append(s.Settings, doctor.Finding{State: doctor.Problem, Text: text, Do: "correct it; covey config print --sources shows where each setting comes from"})
	}
	_ = a.checkServe(&f.serve) // for what it fills in: what a join gave, the secrets
	if len(s.Settings) == 0 && (conf.DataDir == "" || conf.ID == "" && a.sources().File != "") {
		s.Settings = append(s.Settings, doctor.Finding{State: doctor.Problem, Text: "--id and --data-dir are needed", Do: "give those that the node is started with"})
	}
	s.ID, s.DataDir, s.Join, s.Gossip, s.Heartbeat = conf.ID, conf.DataDir, conf.Join, conf.GossipAddr, conf.Heartbeat
	s.Expect = conf.BootstrapExpect
	s.HTTPAddr, s.PeerAddr, s.Advertise, s.HTTPS = conf.HTTPAddr, conf.PeerAddr, conf.Advertise, conf.HTTPTLS.Cert != ""
	s.Doors = []doctor.Door{
		{Flag: "http-addr", Addr: conf.HTTPAddr}, {Flag: "peer-addr", Addr: conf.PeerAddr}, {Flag: "gossip-addr", Addr: conf.GossipAddr, UDP: true},
	}
	for _, d := range []doctor.Door{{Flag: "kot-addr", Addr: conf.KOT.Addr}, {Flag: "pprof-addr", Addr: conf.PprofAddr}} {
		if d.Addr != "" {
			s.Doors = append(s.Doors, d)
		}
	}
	for _, name := range secretFiles {
		if flag := f.all.Lookup(name); flag != nil && flag.Value.String() != "" {
			s.Secrets = append(s.Secrets, doctor.File{Flag: name, Path: flag.Value.String()})
		}
	}
	for _, c := range []doctor.Certificates{
		{Use: "peer", CA: conf.PeerTLS.CA, Cert: conf.PeerTLS.Cert, Key: conf.PeerTLS.Key},
		{Use: "http", Cert: conf.HTTPTLS.Cert, Key: conf.HTTPTLS.Key},
	} {
		if c.Cert != "" {
			s.TLS = append(s.TLS, c)
		}
	}
	s.GossipKey, _ = server.GossipKeyName(conf.GossipKeyFile) // likewise
	if conf.KeyringFile != "" {
		s.Keyring, _ = seal.Load(conf.KeyringFile) // what is wrong with it has been told
	} else if conf.Keyring != "" {
		s.Keyring, _ = seal.Parse(conf.Keyring)
	}
}

// serveProblems returns everything that serve would refuse. It leaves f as it is.
func (a *app) serveProblems(f *doctorFlags) []config.Problem {
	var own serveFlags
	flags := serveFlagSet(&own)
	flags.VisitAll(func(to *pflag.Flag) {
		from := f.all.Lookup(to.Name).Value
		if list, ok := from.(pflag.SliceValue); ok {
			_ = to.Value.(pflag.SliceValue).Replace(list.GetSlice())
			return
		}
		_ = to.Value.Set(from.String())
	})
	settings, err := config.Explain(flags, func(flag string) bool { return a.given[flag] }, a.sources())
	if err != nil {
		settings = nil // what is wrong with the file has been told
	}
	c := checker{app: *a, flags: flags, serve: &own, settings: settings}
	return c.all()
}

// secretFiles are the settings that name files with secrets.
var secretFiles = []string{
	"root-key-file", "keyring-file", "gossip-key-file", "peer-key", "tls-key", "kot-password-file", "restdb-key-file", "smtp-password-file",
	"join-token-file", "s3-access-key-file", "s3-secret-key-file",
}

// connect makes the client that asks the cluster: the endpoints that were
// chosen, else the node on this machine.
func (a *app) connect(s *doctor.Subject, f *doctorFlags) error {
	root, err := a.secret("root-key-file", f.serve.rootKeyFile, envRootKey)
	if err != nil && !s.Local {
		return err // of a node it is a finding
	}
	conf, err := f.conn.tls()
	if err != nil {
		return err
	}
	endpoints := f.conn.endpoints
	if s.Local && !s.Chosen {
		scheme := "http://"
		if s.HTTPS {
			scheme = "https://"
		}
		endpoints = []string{scheme + doctor.Dialable(s.HTTPAddr)}
		if s.HTTPS && f.conn.caFile == "" {
			if conf, err = ownTLS(healthFlags{cert: f.serve.HTTPTLS.Cert, clientCert: f.conn.clientCert, clientKey: f.conn.clientKey}); err != nil {
				conf = &tls.Config{MinVersion: tls.VersionTLS12} // what is wrong with the file is a finding
			}
		}
	}
	if !s.Local {
		s.HTTPS = strings.HasPrefix(endpoints[0], "https://")
	}
	if f.conn.clientCert != "" {
		pair, err := tls.LoadX509KeyPair(f.conn.clientCert, f.conn.clientKey)
		if err != nil {
			return fmt.Errorf("--client-cert and --client-key: %w", err)
		}
		s.ClientCert = &pair
	}
	s.Endpoint, s.RootKey = endpoints[0], root != ""
	s.Client, err = client.New(client.Config{Endpoints: endpoints, RootKey: root, Timeout: f.conn.timeout, TLS: conf})
	if err != nil {
		return &usageError{err}
	}
	return nil
}
