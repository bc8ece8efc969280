package seal

import (
	"container/list"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"golang.org/x/crypto/argon2"

	"github.com/coveydb/covey/internal/errs"
)

// SaltSize is the length of a passphrase's salt in bytes.
const SaltSize = 16

// Cost of deriving a key: Argon2id as OWASP's Password Storage Cheat Sheet
// recommends at least, some 20 ms of one core. It is part of the format: what
// was sealed opens only at the same cost.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
)

// Bounds of what a Passphrases may use at once: derivations need 19 MiB each,
// keys that are remembered 200 bytes each.
const (
	maxDerivations = 2
	maxRemembered  = 1024
)

// Passphrases derives keys from passphrases, and remembers the latest so that
// a caller who uses one again and again pays once. It keeps neither passphrases
// nor anything that outlives the process. Safe for concurrent use.
type Passphrases struct {
	secret [32]byte      // makes the names of remembered keys useless elsewhere
	slots  chan struct{} // held while deriving

	mu     sync.Mutex
	known  map[[sha256.Size]byte]*list.Element // of *remembered
	recent *list.List                          // the latest in front
}

type remembered struct {
	name [sha256.Size]byte
	key  *PassphraseKey
}

// NewPassphrases returns a Passphrases that remembers nothing yet.
func NewPassphrases() *Passphrases {
	p := &Passphrases{
		slots: make(chan struct{}, maxDerivations),
		known: make(map[[sha256.Size]byte]*list.Element), recent: list.New(),
	}
	_, _ = rand.Read(p.secret[:]) // documented never to return an error
	return p
}

// Key returns the key for a passphrase of any length and a salt. It may take
// tens of milliseconds, and longer when others derive too: call it before a
// transaction. The error is ctx's.
func (p *Passphrases) Key(ctx context.Context, passphrase string, salt [SaltSize]byte) (*PassphraseKey, error) {
	mac := hmac.New(sha256.New, p.secret[:])
	mac.Write(salt[:])
	_, _ = io.WriteString(mac, passphrase)
	name := [sha256.Size]byte(mac.Sum(nil))
	if k := p.recall(name); k != nil {
		return k, nil
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if k := p.recall(name); k != nil { // derived by another while we waited
		return k, nil
	}
	k := &PassphraseKey{}
	copy(k.key[:], argon2.IDKey([]byte(passphrase), salt[:], argonTime, argonMemory, argonThreads, uint32(len(k.key))))
	p.remember(name, k)
	return k, nil
}

func (p *Passphrases) recall(name [sha256.Size]byte) *PassphraseKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.known[name]
	if e == nil {
		return nil
	}
	p.recent.MoveToFront(e)
	return e.Value.(*remembered).key
}

func (p *Passphrases) remember(name [sha256.Size]byte, k *PassphraseKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[name] != nil {
		return
	}
	if p.recent.Len() >= maxRemembered {
		delete(p.known, p.recent.Remove(p.recent.Back()).(*remembered).name)
	}
	p.known[name] = p.recent.PushFront(&remembered{name: name, key: k})
}

// A PassphraseKey seals and opens secrets with AES-256-GCM. Every secret has a
// key of its own, derived from this one and 32 random bytes with HKDF-SHA256,
// so any number may be sealed. Safe for concurrent use.
type PassphraseKey struct{ key [keySize]byte }

// Layout of what a PassphraseKey seals: the format, the random bytes, the
// ciphertext and its tag.
const (
	passphraseFormat1 = 1
	randomSize        = 32
	passphraseHead    = 1 + randomSize
)

// Seal encrypts plain for one place. The same plain seals differently each
// time, so call it before a transaction, not in its closure.
func (k *PassphraseKey) Seal(plain, place []byte) ([]byte, error) {
	head := make([]byte, passphraseHead, passphraseHead+len(plain)+tagSize)
	head[0] = passphraseFormat1
	_, _ = rand.Read(head[1:]) // documented never to return an error
	aead, nonce, err := k.one(head)
	if err != nil {
		return nil, err
	}
	return aead.Seal(head, nonce, plain, bind(head, place)), nil
}

// Open decrypts what Seal returned for the same place. Bytes of another key, or
// changed, or moved from another place, are errs.Invalid.
func (k *PassphraseKey) Open(sealed, place []byte) ([]byte, error) {
	if len(sealed) < passphraseHead+tagSize || sealed[0] != passphraseFormat1 {
		return nil, errs.E(errs.Internal, "sealed bytes are damaged or of a newer format")
	}
	head := sealed[:passphraseHead]
	aead, nonce, err := k.one(head)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, sealed[passphraseHead:], bind(head, place))
	if err != nil {
		return nil, errs.E(errs.Invalid, "does not open with this key")
	}
	return plain, nil
}

// one derives the key and the nonce of one secret.
func (k *PassphraseKey) one(head []byte) (cipher.AEAD, []byte, error) {
	material, err := hkdf.Key(sha256.New, k.key[:], head[1:], "covey passphrase 1", keySize+nonceSize)
	if err != nil {
		return nil, nil, errs.E(errs.Internal, "derive a key: %w", err)
	}
	block, err := aes.NewCipher(material[:keySize])
	if err != nil {
		return nil, nil, errs.E(errs.Internal, "derive a key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, errs.E(errs.Internal, "derive a key: %w", err)
	}
	return aead, material[keySize:], nil
}

// Format prints a placeholder, whatever the verb.
func (k *PassphraseKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[key]") }

// LogValue returns a placeholder, for log/slog.
func (k *PassphraseKey) LogValue() slog.Value { return slog.StringValue("[key]") }
