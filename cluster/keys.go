package cluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/hashicorp/memberlist"

	"github.com/coveydb/covey/internal/errs"
)

// MaxKeys bounds how many gossip keys a node holds at a time.
const MaxKeys = 4

// KeyPrint tells gossip keys apart, and tells nothing of a key that was drawn at
// random. The zero value is none.
type KeyPrint [8]byte

// PrintOf returns what key is called.
func PrintOf(key []byte) KeyPrint {
	h := sha256.Sum256(append([]byte("covey gossip key\x00"), key...))
	return KeyPrint(h[:])
}

// String returns 16 hexadecimal digits, or "" for the zero value.
func (p KeyPrint) String() string {
	if p == (KeyPrint{}) {
		return ""
	}
	return hex.EncodeToString(p[:])
}

// KeyNames returns the names of the gossip keys that a node announces, the one
// it sends with first; none if it gossips in clear text.
func (m Meta) KeyNames() (names []string) {
	for _, p := range m.Keys {
		if name := p.String(); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func prints(keys [][]byte) (p [MaxKeys]KeyPrint) {
	for i, key := range keys[:min(len(keys), MaxKeys)] {
		p[i] = PrintOf(key)
	}
	return p
}

// appendPrints leaves out those that are none, which stand behind all others.
func appendPrints(dst []byte, all [MaxKeys]KeyPrint) []byte {
	for _, p := range all {
		if p == (KeyPrint{}) {
			break
		}
		dst = append(dst, p[:]...)
	}
	return dst
}

// readPrints reads what appendPrints wrote, as far as it is whole and fits.
func readPrints(p []byte) (all [MaxKeys]KeyPrint) {
	for i := range all {
		if len(p) < len(KeyPrint{}) || KeyPrint(p) == (KeyPrint{}) {
			break
		}
		all[i], p = KeyPrint(p), p[len(KeyPrint{}):]
	}
	return all
}

// checkKeys is errs.Invalid for keys that gossip cannot use.
func checkKeys(keys [][]byte) error {
	if len(keys) > MaxKeys {
		return errs.E(errs.Invalid, "%d gossip keys, at most %d may be held", len(keys), MaxKeys)
	}
	for i, key := range keys {
		if memberlist.ValidateKey(key) != nil {
			return errs.E(errs.Invalid, "gossip key: %d bytes, 16, 24 or 32 are needed", len(key))
		}
		if slices.ContainsFunc(keys[:i], func(k []byte) bool { return bytes.Equal(k, key) }) {
			return errs.E(errs.Invalid, "gossip key %s is there twice", PrintOf(key))
		}
	}
	return nil
}

// newKeys returns nil, which is clear text, for no keys.
func newKeys(keys [][]byte) (*memberlist.Keyring, error) {
	if err := checkKeys(keys); err != nil || len(keys) == 0 {
		return nil, err
	}
	own := make([][]byte, len(keys))
	for i, key := range keys {
		own[i] = bytes.Clone(key)
	}
	ring, err := memberlist.NewKeyring(own, own[0])
	if err != nil {
		return nil, errs.E(errs.Invalid, "gossip keys: %w", err)
	}
	return ring, nil
}

// Keys returns the keys that are held, the one that sends first; none for clear
// text. They are secrets, and the caller's.
func (g *Gossip) Keys() (keys [][]byte) {
	if g.keys == nil {
		return nil
	}
	for _, key := range g.keys.GetKeys() {
		keys = append(keys, bytes.Clone(key))
	}
	return keys
}

// SetKeys makes these the keys that are held, at once and for connections that
// are open too, and announces it. The first one sends: the others must hold it
// by then. Gossip that began in clear text, or without keys now, is
// errs.Invalid: it takes a restart to begin or end encryption.
func (g *Gossip) SetKeys(keys [][]byte) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	if g.keys == nil || len(keys) == 0 {
		return errs.E(errs.Invalid, "encryption of gossip begins and ends with a restart of the node")
	}
	g.turn.Lock()
	defer g.turn.Unlock()
	if err := g.install(keys); err != nil {
		return errs.E(errs.Internal, "gossip keys: %w", err)
	}
	g.mu.Lock()
	g.meta.Keys = prints(keys)
	g.mu.Unlock()
	signal(g.stir)
	return nil
}

// install adds what is missing, orders the keys as they are given, and takes out
// what is left behind them, from the end: the keyring takes a key out of a slice
// that those who decrypt may be reading, which is safe for its last element only.
// While it orders, a message may go out under another key that is held; who
// cannot read it is sent the next one.
func (g *Gossip) install(keys [][]byte) error {
	for _, key := range keys {
		if err := g.keys.AddKey(bytes.Clone(key)); err != nil {
			return err
		}
	}
	if have := g.keys.GetKeys(); !slices.EqualFunc(have[:len(keys)], keys, bytes.Equal) {
		for _, key := range slices.Backward(keys) {
			if err := g.keys.UseKey(key); err != nil {
				return err
			}
		}
	}
	have := g.keys.GetKeys()
	for _, key := range slices.Backward(have[len(keys):]) {
		if err := g.keys.RemoveKey(key); err != nil {
			return err
		}
	}
	return nil
}
