package server

import (
	"cmp"
	"context"
	"log/slog"
	"os"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/fleet"
)

// Check returns what Open would say against the configuration before it opens
// ports or the data: a *ConfigError, or nil. It reads the files that are named
// and those of a join, and changes nothing outside of c, into which goes what
// the node got when it joined by a token.
func (c *Config) Check() error {
	if err := c.check(); err != nil {
		return &ConfigError{err}
	}
	return nil
}

func (c *Config) check() error {
	if c.PeerTLS == (TLSFiles{}) {
		if _, err := os.Stat(c.peerPath("cert.pem")); err == nil {
			if err := c.adopt(); err != nil {
				return err
			}
		}
	} else if c.JoinTokenFile != "" {
		return c.join(context.Background()) // it refuses the two together, and asks nobody
	}
	as := *c
	if as.JoinTokenFile != "" && as.PeerTLS == (TLSFiles{}) {
		text, err := readBounded(as.JoinTokenFile, 16<<10)
		if err == nil {
			_, err = fleet.ParseToken(string(text))
		}
		if err != nil {
			return errs.E(errs.Invalid, "--join-token-file: %w", err)
		}
		as.Insecure = true // until the token gives certificates
	}
	as.Log = slog.New(slog.DiscardHandler)
	p, err := as.parse()
	if err != nil {
		return err
	}
	if _, err := as.buckets(p, nil); err != nil {
		return err
	}
	conf := as.forNode(p)
	// A file may leave these to the command line.
	conf.ID, conf.DataDir = cmp.Or(c.ID, "n1"), cmp.Or(c.DataDir, ".")
	return conf.Check()
}

// GossipKeyName returns what the key in a file for GossipKeyFile is called, ""
// for no file. A name tells nothing of the key.
func GossipKeyName(path string) (string, error) {
	key, err := readGossipKey(path)
	if err != nil || key == nil {
		return "", err
	}
	return cluster.PrintOf(key).String(), nil
}
