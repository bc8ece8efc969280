package seal

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/coveydb/covey/internal/errs"
)

// What a password's hash costs: one of OWASP's equal choices for argon2id, some
// 25 ms of one core. It is the one with the least memory, as every hash takes
// that anew, and the collector's work for it is felt by all requests.
const (
	passwordTime   = 5
	passwordMemory = 7 << 10 // KiB
)

// maxWaiting bounds who waits to derive: the last one waits some two seconds.
const maxWaiting = 24

// restTimes is for how many times as long as it has worked a slot rests then.
const restTimes = 2

// Passwords hashes and checks passwords, no more than maxDerivations at once and
// on no more than half the cores, a third of the time, so that a flood of logins
// takes little of what other requests need. Safe for concurrent use.
type Passwords struct {
	cost   Cost
	head   string        // begins every hash
	places chan struct{} // held while waiting or deriving
	slots  chan struct{} // held while deriving, and for a rest
}

// Cost is what a guess takes from who has a hash. It is part of the hash's
// form: what was hashed at one cost is refused at another, so that no stored
// hash can ask for more. The zero Cost is the only one outside tests, where
// hashing would take most of the time.
type Cost struct {
	Passes uint32
	KiB    uint32
}

// NewPasswords returns a Passwords that hashes at a cost.
func NewPasswords(c Cost) *Passwords {
	if c == (Cost{}) {
		c = Cost{Passes: passwordTime, KiB: passwordMemory}
	}
	slots := max(1, min(maxDerivations, runtime.GOMAXPROCS(0)/2))
	return &Passwords{
		cost: c, head: fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, c.KiB, c.Passes, argonThreads),
		places: make(chan struct{}, slots+maxWaiting), slots: make(chan struct{}, slots),
	}
}

// Parts of a hash: a 16 byte salt and a 32 byte key, in base64 without padding.
const passwordHashSize = 32

// Hash returns the argon2id hash of a password in its usual text form, with a
// salt of its own. It takes some 25 ms of one core, and longer when others hash
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
	return p.head + enc.EncodeToString(salt[:]) + "$" + enc.EncodeToString(key), nil
}

// Match reports whether a password is the one that hash was made of. It costs
// the same whatever hash is: where there is none to compare with, pass "", and
// the time does not tell. Errors are those of Hash, and errs.Internal for a
// hash of another form.
func (p *Passwords) Match(ctx context.Context, hash, password string) (bool, error) {
	salt, want, ok := p.parse(hash)
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

var errBusy = errs.E(errs.Unavailable, "too many passwords are being checked; try again")

// Busy is errs.Unavailable while too many wait already: what Hash and Match
// would most likely return, before anything is done for them.
func (p *Passwords) Busy() error {
	if len(p.places) == cap(p.places) {
		return errBusy
	}
	return nil
}

func (p *Passwords) derive(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		return nil, errBusy
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	began := time.Now()
	key := argon2.IDKey([]byte(password), salt, p.cost.Passes, p.cost.KiB, argonThreads, passwordHashSize)
	time.AfterFunc(restTimes*time.Since(began), func() { <-p.slots })
	return key, nil
}

func (p *Passwords) parse(hash string) (salt, key []byte, ok bool) {
	rest, ok := strings.CutPrefix(hash, p.head)
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
