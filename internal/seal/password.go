package seal

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/coveydb/covey/internal/errs"
)

// maxWaiting bounds who waits for one of the maxDerivations: at some 20 ms each
// the last one waits less than a second.
const maxWaiting = 64

// Passwords hashes and checks passwords, no more than maxDerivations at once, so
// that a flood of logins takes neither all cores nor much memory. Safe for
// concurrent use.
type Passwords struct {
	places chan struct{} // held while waiting or deriving
	slots  chan struct{} // held while deriving
}

// NewPasswords returns a Passwords.
func NewPasswords() *Passwords {
	return &Passwords{places: make(chan struct{}, maxDerivations+maxWaiting), slots: make(chan struct{}, maxDerivations)}
}

// Parts of a hash: a 16 byte salt and a 32 byte key, in base64 without padding.
const passwordHashSize = 32

// passwordHead begins every hash: the cost is part of the form, and no stored
// hash can ask for more.
const passwordHead = "$argon2id$v=19$m=19456,t=2,p=1$"

// Hash returns the argon2id hash of a password in its usual text form, with a
// salt of its own. It takes some 20 ms of one core, and longer when others hash
// too: call it before a transaction. When too many wait already it is
// errs.Unavailable; other errors are ctx's.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	var salt [SaltSize]byte
	_, _ = rand.Read(salt[:]) // documented never to return an error
	key, err := p.derive(ctx, password, salt[:])
	if err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding
	return passwordHead + enc.EncodeToString(salt[:]) + "$" + enc.EncodeToString(key), nil
}

// Match reports whether a password is the one that hash was made of. It costs
// the same whatever hash is: where there is none to compare with, pass "", and
// the time does not tell. Errors are those of Hash, and errs.Internal for a
// hash of another form.
func (p *Passwords) Match(ctx context.Context, hash, password string) (bool, error) {
	salt, want, ok := parsePassword(hash)
	if !ok && hash != "" {
		return false, errs.E(errs.Internal, "a password's hash is damaged or of a newer form")
	}
	if !ok {
		salt, want = make([]byte, SaltSize), make([]byte, passwordHashSize)
	}
	key, err := p.derive(ctx, password, salt)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, want) == 1 && ok, nil
}

func (p *Passwords) derive(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		return nil, errs.E(errs.Unavailable, "too many passwords are being checked; try again")
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, passwordHashSize), nil
}

func parsePassword(hash string) (salt, key []byte, ok bool) {
	rest, ok := strings.CutPrefix(hash, passwordHead)
	if !ok {
		return nil, nil, false
	}
	first, second, ok := strings.Cut(rest, "$")
	if !ok {
		return nil, nil, false
	}
	enc := base64.RawStdEncoding.Strict()
	salt, err := enc.DecodeString(first)
	if err != nil || len(salt) != SaltSize {
		return nil, nil, false
	}
	key, err = enc.DecodeString(second)
	return salt, key, err == nil && len(key) == passwordHashSize
}
