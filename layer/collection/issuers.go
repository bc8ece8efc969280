package collection

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/dial"
	"github.com/coveydb/covey/internal/errs"
)

// Bounds of JWK sets and of fetching them.
const (
	maxKeySet    = 256 << 10 // bytes
	maxSetKeys   = 100
	maxIssuers   = 256 // sets that are remembered
	maxIssuerURL = 2 << 10
	minKeyBits   = 2048
	maxKeyBits   = 8192

	fetchTimeout = 5 * time.Second
	maxRedirects = 3
	keepKeys     = 10 * time.Minute // a fetched set is used so long without asking again
	outliveKeys  = time.Hour        // and so long when asking fails
	askAgain     = 30 * time.Second // between two attempts
)

// verifyKey is one public key of a JWK set.
type verifyKey struct {
	id  string
	rsa *rsa.PublicKey
}

// issuers holds the keys of those who sign tokens with RS256, by the text of
// the setting: a JWK set itself or its URL. Safe for concurrent use.
type issuers struct {
	client *http.Client
	mu     sync.Mutex
	known  map[string]*issuer
}

// issuer is one set of keys. The token in busy is held while somebody fetches.
type issuer struct {
	busy chan struct{}

	mu      sync.Mutex
	keys    []verifyKey
	fetched time.Time // of keys
	tried   time.Time
}

func newIssuers(control dial.Control, plain bool) *issuers {
	dialer := &net.Dialer{Timeout: fetchTimeout, Control: control}
	return &issuers{
		client: &http.Client{
			Timeout: fetchTimeout,
			// No proxy: it would dial in our place, past the guard.
			Transport: &http.Transport{
				DialContext: dialer.DialContext, TLSHandshakeTimeout: fetchTimeout, ForceAttemptHTTP2: true,
				MaxIdleConns: maxIssuers, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
			},
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) > maxRedirects {
					return errors.New("too many redirects")
				}
				return checkIssuerURL(r.URL.String(), plain)
			},
		},
		known: make(map[string]*issuer),
	}
}

// checkIssuerURL refuses what keys are not fetched from.
func checkIssuerURL(text string, plain bool) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxIssuerURL || !printable(text) || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !plain) {
		return errs.E(errs.Invalid, "%s: it must be a JWK set or an https URL without a password", SettingJWKS)
	}
	return nil
}

// find returns the key that a token names by its id, or the only key when it
// names none. It may fetch keys over the network, so call it outside
// transactions; at is now. No such key is errs.Unauthenticated; keys that
// cannot be had, errs.Unavailable.
func (s *issuers) find(ctx context.Context, source, id string, at time.Time) (*rsa.PublicKey, error) {
	is, err := s.issuer(source)
	if err != nil {
		return nil, err
	}
	if key := is.lookUp(id, at, keepKeys); key != nil {
		return key, nil
	}
	if strings.HasPrefix(source, "{") {
		return nil, errNoKey()
	}
	select {
	case is.busy <- struct{}{}:
		defer func() { <-is.busy }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // also when both could be had
		return nil, errs.E(errs.Unavailable, "the request has ended before the keys of tokens were fetched")
	}
	// Somebody else may have fetched meanwhile.
	if key := is.lookUp(id, at, keepKeys); key != nil {
		return key, nil
	}
	if is.begin(at) {
		// A caller who gives up must not count as an issuer that fails.
		keys, err := s.fetch(context.WithoutCancel(ctx), source)
		if err == nil {
			is.set(keys, at)
		}
	}
	if key := is.lookUp(id, at, outliveKeys); key != nil {
		return key, nil
	}
	if is.fresh(at) {
		return nil, errNoKey()
	}
	return nil, errs.E(errs.Unavailable, "the keys that tokens are verified with cannot be fetched now")
}

func errNoKey() error {
	return errs.E(errs.Unauthenticated, "the token is signed with a key that is not known")
}

// issuer returns what is remembered of a source. A set that is given itself is
// parsed here, once.
func (s *issuers) issuer(source string) (*issuer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if is, ok := s.known[source]; ok {
		return is, nil
	}
	is := &issuer{busy: make(chan struct{}, 1)}
	if strings.HasPrefix(source, "{") {
		keys, err := parseKeySet([]byte(source))
		if err != nil {
			return nil, &errs.Error{Kind: errs.Internal, Msg: "the stored JWK set is damaged", Err: err}
		}
		is.keys = keys
	}
	if len(s.known) >= maxIssuers {
		clear(s.known)
	}
	s.known[source] = is
	return is, nil
}

// lookUp returns a key of the set if it is not older than age. A set that was
// given itself has no age.
func (is *issuer) lookUp(id string, at time.Time, age time.Duration) *rsa.PublicKey {
	is.mu.Lock()
	defer is.mu.Unlock()
	if !is.fetched.IsZero() && at.Sub(is.fetched) > age {
		return nil
	}
	if id == "" {
		if len(is.keys) == 1 {
			return is.keys[0].rsa
		}
		return nil
	}
	for _, k := range is.keys {
		if k.id == id {
			return k.rsa
		}
	}
	return nil
}

// begin notes an attempt, unless the last one was a moment ago: tokens with
// invented key ids must not make us a nuisance to the issuer.
func (is *issuer) begin(at time.Time) bool {
	is.mu.Lock()
	defer is.mu.Unlock()
	if !is.tried.IsZero() && at.Sub(is.tried) < askAgain {
		return false
	}
	is.tried = at
	return true
}

func (is *issuer) set(keys []verifyKey, at time.Time) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys, is.fetched = keys, at
}

func (is *issuer) fresh(at time.Time) bool {
	is.mu.Lock()
	defer is.mu.Unlock()
	return !is.fetched.IsZero() && at.Sub(is.fetched) <= outliveKeys
}

func (s *issuers) fetch(ctx context.Context, source string) ([]verifyKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end, or of no use
	if answer.StatusCode != http.StatusOK {
		return nil, errs.E(errs.Unavailable, "status %d", answer.StatusCode)
	}
	p, err := io.ReadAll(io.LimitReader(answer.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	if len(p) > maxKeySet {
		return nil, errs.E(errs.TooLarge, "a JWK set of over %d bytes", maxKeySet)
	}
	return parseKeySet(p)
}

// parseKeySet reads the RSA keys for signatures with RS256 from a JWK set (RFC
// 7517); others are passed over. A set without one is errs.Invalid, and so is
// one with a private key, which does not belong here.
func parseKeySet(p []byte) ([]verifyKey, error) {
	var set struct {
		Keys []struct {
			Kty, Kid, Use, Alg, N, E, D string
		} `json:"keys"`
	}
	if err := json.Unmarshal(p, &set); err != nil || !utf8.Valid(p) || len(set.Keys) > maxSetKeys {
		return nil, errs.E(errs.Invalid, "%s: not a JWK set of at most %d keys", SettingJWKS, maxSetKeys)
	}
	var keys []verifyKey
	for _, k := range set.Keys {
		if k.D != "" {
			return nil, errs.E(errs.Invalid, "%s: it holds a private key; only public ones belong here", SettingJWKS)
		}
		if k.Kty != "RSA" || k.Use != "" && k.Use != "sig" || k.Alg != "" && k.Alg != algorithmRS256 {
			continue
		}
		key, ok := publicKey(k.N, k.E)
		if !ok {
			return nil, errs.E(errs.Invalid, "%s: an RSA key is damaged, or has not %d to %d bits", SettingJWKS, minKeyBits, maxKeyBits)
		}
		keys = append(keys, verifyKey{id: k.Kid, rsa: key})
	}
	if len(keys) == 0 {
		return nil, errs.E(errs.Invalid, "%s: it holds no RSA key for signatures with RS256", SettingJWKS)
	}
	return keys, nil
}

// publicKey reads modulus and exponent (RFC 7518, 6.3.1).
func publicKey(n, e string) (*rsa.PublicKey, bool) {
	modulus, err1 := base64.RawURLEncoding.DecodeString(n)
	exponent, err2 := base64.RawURLEncoding.DecodeString(e)
	if err1 != nil || err2 != nil || len(modulus) > maxKeyBits/8 || len(exponent) > 4 {
		return nil, false
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	ok := key.N.BitLen() >= minKeyBits && key.N.Bit(0) == 1 && key.E >= 3 && key.E&1 == 1 && key.E <= 1<<31-1
	return key, ok
}
