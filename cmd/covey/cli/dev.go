package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/server"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
)

// devStart bounds how long a single node may take until it serves.
const devStart = 30 * time.Second

// devFlags are the flags of dev.
type devFlags struct {
	dataDir, addr, level, format string
	kotPasswordFile              string
	mail                         server.Mail
	smtpPassword                 string
	memory, allowPrivate         bool
}

func (a *app) newDev() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use: "dev", Short: "Run a single node on this machine, ready to use", Args: takes(0, 0),
		Long: `Run a single node on loopback, ready to use. Its data, its keys and its keyring
are kept in a folder, or forgotten at the end with --memory.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.dev(cmd.Context(), &f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.dataDir, "data-dir", "covey-dev", "`folder` for data and keys")
	fs.StringVar(&f.addr, "http-addr", "127.0.0.1:8700", "`host:port` on loopback")
	fs.StringVar(&f.kotPasswordFile, "kot-password-file", "", "`file` with the password of the KOT API, which is off without; or the password itself in "+envKOTPassword)
	addMail(fs, &f.mail, &f.smtpPassword)
	fs.BoolVar(&f.memory, "memory", false, "keep nothing: use a temporary folder, in memory where the system has one")
	fs.BoolVar(&f.allowPrivate, "webhook-allow-private", false, "calls to the outside (webhooks, a JWKS) may be plain HTTP and go to private addresses and any port")
	fs.StringVar(&f.level, "log-level", "warn", "debug, info, warn or error")
	fs.StringVar(&f.format, "log-format", "auto", "text, json, or auto: text on a terminal, else json")
	config.CallOnly(fs, "memory")
	return cmd
}

func (a *app) dev(ctx context.Context, f *devFlags) (err error) {
	log, err := a.logger(f.level, f.format, new(slog.LevelVar))
	if err != nil {
		return err
	}
	password, err := a.secret("kot-password-file", f.kotPasswordFile, envKOTPassword)
	if err != nil {
		return err
	}
	if f.mail.Password, err = a.secret("smtp-password-file", f.smtpPassword, envSMTPPassword); err != nil {
		return err
	}
	dir := f.dataDir
	if f.memory {
		if dir, err = memoryFolder(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	keys, err := prepareKeys(dir)
	if err != nil {
		return err
	}
	s, err := server.Open(ctx, server.Config{
		ID: "dev", DataDir: filepath.Join(dir, "node"), Release: a.env.Version,
		HTTPAddr: f.addr, PeerAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0", BootstrapExpect: 1,
		RootKey: keys.root.text, KeyringFile: keys.keyring, KOT: server.KOT{Password: password}, RestDB: server.RestDB{Key: keys.rest.text},
		Mail: f.mail, AllowPrivate: f.allowPrivate, Log: log,
	})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(run) }()
	wait, cancel := context.WithTimeout(run, devStart)
	err = s.WaitReady(wait)
	cancel()
	if err != nil {
		stop()
		<-done
		if ctx.Err() != nil {
			return nil // stopped while starting
		}
		return err
	}
	a.welcome(s.URL(), dir, keys)
	if url := s.KOTURL(); url != "" {
		fmt.Fprintf(a.env.Stdout, "The KOT API is on:\n\n  %s\n\n", kotCurl(url, f.kotPasswordFile))
	}
	fmt.Fprintf(a.env.Stdout, "Ctrl-C stops the node.\n")
	return <-done
}

// welcome says how to use the node. A key is shown when it was made, never
// again.
func (a *app) welcome(url, dir string, keys devKeys) {
	out := a.env.Stdout
	fmt.Fprintf(out, "Covey serves on %s, data in %s.\n", url, dir)
	if keys.root.fresh {
		fmt.Fprintf(out, "Root key, shown this once and kept in %s:\n  %s\n", keys.root.path, keys.root.text)
	}
	if keys.rest.fresh {
		fmt.Fprintf(out, "RestDB key, shown this once and kept in %s:\n  %s\n", keys.rest.path, keys.rest.text)
	}
	fmt.Fprintf(out, "\nPaste into another terminal:\n\n")
	restKey := fmt.Sprintf(`-H "x-apikey: $(cat '%s')"`, keys.rest.path)
	for _, line := range []string{
		fmt.Sprintf("B=%s/$(curl -s -X POST %s/)", url, url),
		"curl -X PUT -d world $B/hello",
		`curl -w '\n' $B/hello`,
		`curl -w '\n' -X PATCH -d +1 $B/hits`,
		`curl -w '\n' "$B/?values=true&format=json"`,
		fmt.Sprintf(`curl -w '\n' %s -H 'Content-Type: application/json' -d '{"name":"Ada"}' %s/rest/people`, restKey, url),
		fmt.Sprintf(`curl -w '\n' %s -g '%s/rest/people?q={"name":"Ada"}'`, restKey, url),
		fmt.Sprintf("curl -w '\\n' -d 'username=ada&email=ada@example.com&password=lovelace-1815' %s/api/auth/register/", url),
		fmt.Sprintf(`curl -w '\n' -H "Authorization: Bearer $(cat '%s')" %s/cluster/status`, keys.root.path, url),
	} {
		fmt.Fprintf(out, "  %s\n", line)
	}
	fmt.Fprintln(out)
}

// memoryFolder makes a temporary folder, on a file system in memory if there
// is the usual one.
func memoryFolder() (string, error) {
	const shm = "/dev/shm"
	if dir, err := os.MkdirTemp(shm, "covey-dev-"); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", "covey-dev-")
}

// devKeys are the secrets in dev's folder.
type devKeys struct {
	root, rest devKey // of the cluster, of the RestDB API's default database
	keyring    string // the keyring's file
}

// devKey is one key in a file of its own.
type devKey struct {
	text, path string
	fresh      bool // it was made just now
}

// prepareKeys makes the folder with its keys, or reads those that are there.
func prepareKeys(dir string) (devKeys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return devKeys{}, fmt.Errorf("data folder %s: %w: make it writable, or choose another with --data-dir", dir, err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return devKeys{}, err
	}
	k := devKeys{keyring: filepath.Join(dir, "keyring.json")}
	if _, err := os.Stat(k.keyring); errors.Is(err, os.ErrNotExist) {
		if _, err := seal.Create(k.keyring); err != nil {
			return devKeys{}, err
		}
	}
	if k.root, err = prepareKey(filepath.Join(dir, "root.key")); err != nil {
		return devKeys{}, err
	}
	k.rest, err = prepareKey(filepath.Join(dir, "restdb.key"))
	return k, err
}

func prepareKey(path string) (k devKey, err error) {
	k.path = path
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		k.text, k.fresh = auth.GenerateKey(), true
		return k, os.WriteFile(path, []byte(k.text+"\n"), 0o600)
	}
	k.text, err = readSecret("data-dir", path)
	return k, err
}
