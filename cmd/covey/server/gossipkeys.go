package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/node/folder"
)

// peerFolder is the part of the data folder that holds what this node got from
// its cluster to be one of its peers:
//
//	gossip.json   the gossip keys that the cluster agreed on last
//	joined.json   what a join token gave, besides:
//	key.pem, cert.pem, ca.pem
//	renewed.json  the pair that takes the place of key.pem and cert.pem, until it has
const peerFolder = "peer"

// keptKeys is this node's copy of the cluster's gossip keys, with which it starts:
// it must find the others before it can learn of newer ones. It is sealed if the
// node has a keyring; else it lies as open as a peer's key does.
type keptKeys struct {
	Cluster    string   `json:"cluster_id"`
	Generation uint64   `json:"generation"` // 0 = those of before the cluster agreed on any
	Keys       [][]byte `json:"keys,omitempty"`
	Sealed     []byte   `json:"sealed,omitempty"` // Keys, as JSON
}

func (c *Config) peerPath(name string) string { return filepath.Join(c.DataDir, peerFolder, name) }

func (c *Config) keptPath() string { return c.peerPath("gossip.json") }

func keptPlace() []byte { return []byte("covey gossip keys kept by a node") }

// gossipEncrypted reports whether this node has a gossip key, one way or another.
func (c *Config) gossipEncrypted() bool {
	if c.GossipKeyFile != "" {
		return true
	}
	_, err := os.Stat(c.keptPath())
	return err == nil
}

// openGossipKeys finds the keys to begin with: those that the cluster agreed on
// while this node was part of it, or else that of --gossip-key-file.
func (c *Config) openGossipKeys(p *parsed) error {
	first, err := readGossipKey(c.GossipKeyFile)
	if err != nil {
		return err
	}
	if first != nil {
		p.gossipKeys = [][]byte{first}
	}
	k, err := readKept(c.keptPath(), p.keyring)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil && first == nil:
		return err
	case err != nil:
		c.Log.Warn("the gossip keys in the data folder cannot be read, the one of --gossip-key-file is tried", "err", err)
		return nil
	}
	p.gossipKeys, p.kept = k.Keys, k
	of := c.clusterOfData()
	if of == "" && first != nil && !slices.ContainsFunc(k.Keys, func(key []byte) bool { return bytes.Equal(key, first) }) {
		// Its data is gone, or was moved aside to rejoin: the cluster that it finds may
		// be the one of these keys, or another that begins with the file.
		p.gossipKeys = append(slices.Clone(k.Keys[:min(len(k.Keys), cluster.MaxKeys-1)]), first)
	}
	// The cluster that was recovered after most of it was lost is another one, and
	// agrees on keys anew: its nodes begin with the file, which they all have.
	if of != "" && of != k.Cluster {
		c.Log.Warn("the gossip keys in the data folder are those of another cluster", "theirs", k.Cluster, "ours", of, "used", first == nil)
		if p.kept.Generation = 0; first != nil {
			p.gossipKeys, p.kept = [][]byte{first}, keptKeys{}
		}
	}
	return nil
}

// clusterOfData returns the id of the cluster that the data folder is of; "" if
// it is of none yet, or cannot be read, which opening it will say.
func (c *Config) clusterOfData() string {
	f, err := folder.Read(c.DataDir)
	if err != nil {
		return ""
	}
	return f.ClusterID().String()
}

// readKept opens the copy. One that is sealed with a key that ring lacks is
// errs.Unavailable.
func readKept(path string, ring *seal.Keyring) (k keptKeys, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	err = json.Unmarshal(text, &k)
	if err == nil && k.Sealed != nil {
		var plain []byte
		if plain, err = ring.Open(k.Sealed, keptPlace()); err != nil {
			return k, errs.E(errs.KindOf(err), "the gossip keys in %s are sealed: %w", path, err)
		}
		err = json.Unmarshal(plain, &k.Keys)
		k.Sealed = nil
	}
	if err == nil && len(k.Keys) == 0 {
		err = errors.New("it holds no key")
	}
	if err != nil {
		return k, errs.E(errs.Invalid, "the gossip keys in %s are damaged: %w: remove the file and give --gossip-key-file", path, err)
	}
	return k, nil
}

// writeKept replaces the copy, as a whole.
func writeKept(path string, ring *seal.Keyring, k keptKeys) error {
	if ring != nil {
		plain, err := json.Marshal(k.Keys)
		if err != nil {
			return err
		}
		if k.Sealed, err = ring.Seal(plain, keptPlace()); err != nil {
			return err
		}
		k.Keys = nil
	}
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return errs.E(errs.Invalid, "data folder: %w", err)
	}
	return pki.Replace(path, append(text, '\n'), 0o600)
}
