package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/coveydb/covey/internal/errs"
)

const (
	format1   = 1
	keySize   = 32 // AES-256
	nonceSize = 12
	tagSize   = 16
	maxID     = 32
)

// A Keyring seals and opens secrets. Only Reload changes it. It is safe for
// concurrent use. A nil *Keyring is a node without one: to seal with it is
// errs.Invalid and to open errs.Unavailable, with a text that says what to do.
type Keyring struct {
	path  string // "" = none
	keys  atomic.Pointer[keys]
	stray atomic.Pointer[string] // why nothing is sealed, see Refuse
}

// keys are what a keyring holds at one time.
type keys struct {
	primary string
	aeads   map[string]cipher.AEAD
	hashes  map[string][sha256.Size]byte // of the keys
}

func newKeyring(primary string, all map[string][]byte) (*Keyring, error) {
	ring := &keys{
		primary: primary, aeads: make(map[string]cipher.AEAD, len(all)), hashes: make(map[string][sha256.Size]byte, len(all)),
	}
	for id, key := range all {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, errs.E(errs.Internal, "keyring: key %s: %w", id, err)
		}
		ring.aeads[id], err = cipher.NewGCM(block)
		if err != nil {
			return nil, errs.E(errs.Internal, "keyring: key %s: %w", id, err)
		}
		ring.hashes[id] = sha256.Sum256(key)
	}
	k := &Keyring{}
	k.keys.Store(ring)
	return k, nil
}

// Refuse makes everything that seals return errs.Unavailable with a reason,
// until it is called with "". What is sealed already opens as before.
func (k *Keyring) Refuse(reason string) {
	if reason == "" {
		k.stray.Store(nil)
		return
	}
	k.stray.Store(&reason)
}

// ready returns the keys to seal with.
func (k *Keyring) ready() (*keys, error) {
	if k == nil {
		return nil, errNoKeyring()
	}
	if why := k.stray.Load(); why != nil {
		return nil, errs.E(errs.Unavailable, "%s", *why)
	}
	return k.keys.Load(), nil
}

// Seal encrypts plain for one place with the primary key. The same plain
// seals differently each time, so call it before a transaction, not in its
// closure. One key may seal 2^32 secrets.
func (k *Keyring) Seal(plain, place []byte) ([]byte, error) {
	ring, err := k.ready()
	if err != nil {
		return nil, err
	}
	return ring.seal(plain, place, func(nonce, _ []byte) {
		_, _ = rand.Read(nonce) // documented never to return an error
	}), nil
}

// seal encrypts with the primary key and the nonce that draw fills in, which
// is shown what the ciphertext will be bound to.
func (ring *keys) seal(plain, place []byte, draw func(nonce, bound []byte)) []byte {
	head := make([]byte, 0, 2+len(ring.primary)+nonceSize+len(plain)+tagSize)
	head = append(head, format1, byte(len(ring.primary)))
	head = append(head, ring.primary...)
	nonce, bound := head[len(head):len(head)+nonceSize], bind(head, place)
	draw(nonce, bound)
	return ring.aeads[ring.primary].Seal(head[:len(head)+nonceSize], nonce, plain, bound)
}

// Open decrypts what Seal returned for the same place. Bytes that were
// changed, or moved from another place, are errs.Internal. A key that the
// keyring does not hold is errs.Unavailable, as another node may hold it, and
// this one too once it has its file; the error names the key's id.
func (k *Keyring) Open(sealed, place []byte) ([]byte, error) {
	if k == nil {
		return nil, errs.E(errs.Unavailable, "this node has no keyring, so it cannot open secrets; start every node with the same --keyring-file")
	}
	id, rest, ok := parse(sealed)
	if !ok {
		return nil, errs.E(errs.Internal, "sealed bytes are damaged or of a newer format")
	}
	aead, ok := k.keys.Load().aeads[id]
	if !ok {
		return nil, errs.E(errs.Unavailable, "the keyring of this node lacks the master key %s; give every node the same keyring file", id)
	}
	head := sealed[:len(sealed)-len(rest)]
	plain, err := aead.Open(nil, rest[:nonceSize], rest[nonceSize:], bind(head, place))
	if err != nil {
		return nil, errs.E(errs.Internal, "sealed bytes do not open with key %q: damaged, or moved from another place", id)
	}
	return plain, nil
}

// parse splits sealed into the key's id and what follows it: nonce,
// ciphertext and tag.
func parse(sealed []byte) (id string, rest []byte, ok bool) {
	if len(sealed) < 2 || sealed[0] != format1 {
		return "", nil, false
	}
	n := int(sealed[1])
	rest = sealed[2:]
	if n == 0 || n > maxID || len(rest) < n+nonceSize+tagSize || !validID(string(rest[:n])) {
		return "", nil, false
	}
	return string(rest[:n]), rest[n:], true
}

// bind returns the additional data: the header, whose length it states itself,
// and the place.
func bind(head, place []byte) []byte {
	return append(append(make([]byte, 0, len(head)+len(place)), head...), place...)
}

func validID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

func errNoKeyring() error {
	return errs.E(errs.Invalid, "this node has no keyring to seal secrets with; start every node with the same --keyring-file")
}

// String returns a placeholder, so that a printed struct shows no key.
func (k *Keyring) String() string { return "[keyring]" }

// Format prints what String returns, whatever the verb.
func (k *Keyring) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// LogValue returns what String does, for log/slog.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }
