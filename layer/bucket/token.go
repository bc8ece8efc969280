package bucket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// An access token is the text
//
//	cvt1_ base64url(permissions, uvarint(expiry in Unix ms), prefix, tag)
//
// with the 32 bytes of HMAC-SHA256 as the tag, under the bucket's signing key,
// over the bucket's id, its salt and the rest of the token. It is stored nowhere.
const (
	tokenHead   = "cvt1_"
	tokenDomain = "covey bucket token 1"
	maxToken    = len(tokenHead) + (1+binary.MaxVarintLen64+MaxKey+sha256.Size)*4/3 + 4
)

// A Grant is what an access token is minted for.
type Grant struct {
	Prefix      []byte // of keys; empty = all keys
	Permissions Permissions
	TTL         TTL // not stated = DefaultTokenTTL; 0 is errs.Invalid
}

// token is a token's content.
type token struct {
	perms  Permissions
	expiry uint64 // Unix ms
	prefix []byte
}

// Mint returns an access token for g, valid in this bucket from now on until
// its TTL is over or the signing key changes. It writes nothing. It needs the
// right to mint, and so a signing key; no permission, a prefix that is longer
// than a key, and a TTL of 0 are errs.Invalid.
func (b *Bucket) Mint(g Grant) (string, error) {
	if err := b.allow(Mint); err != nil {
		return "", err
	}
	ttl := g.TTL.or(DefaultTokenTTL)
	switch {
	case g.Permissions == 0 || g.Permissions&^permAll != 0:
		return "", errs.E(errs.Invalid, "access token without a permission")
	case len(g.Prefix) > MaxKey:
		return "", errs.E(errs.Invalid, "prefix is %d bytes long, the limit is %d", len(g.Prefix), MaxKey)
	case ttl == 0:
		return "", errs.E(errs.Invalid, "ttl of an access token is 0: it must end")
	}
	t := token{perms: g.Permissions, expiry: uint64(b.tx.Now() + ttl.Milliseconds()), prefix: g.Prefix}
	body := t.append(make([]byte, 0, maxToken))
	tag, err := b.tokenTag(body)
	if err != nil {
		return "", err
	}
	return tokenHead + base64.RawURLEncoding.EncodeToString(append(body, tag...)), nil
}

// verify judges a credential that looks like a token.
func (b *Bucket) verify(text string) (caller, error) {
	t, body, tag, ok := decodeToken(text)
	if !ok {
		return caller{}, b.errToken("malformed")
	}
	want, err := b.tokenTag(body)
	if err != nil {
		return caller{}, err
	}
	if !hmac.Equal(tag, want) {
		return caller{}, b.errToken("not one of this bucket, or its signing key has changed")
	}
	if t.expiry <= uint64(b.tx.Now()) {
		return caller{}, b.errToken("expired")
	}
	return caller{token: true, perms: t.perms, prefix: t.prefix, expiry: int64(t.expiry)}, nil
}

func (b *Bucket) errToken(why string) error {
	return errs.E(errs.Unauthenticated, "bucket %s: the access token is %s", b.id, why)
}

// tokenTag authenticates body for this bucket. The signing key is unsealed
// here and nowhere else, so only requests with a token pay for it. The salt is
// new with each creation of a bucket: tokens of a deleted bucket do not work in
// its successor of the same name.
func (b *Bucket) tokenTag(body []byte) ([]byte, error) {
	key, err := b.c.Keyring.Open(b.policy.signing, signingPlace(b.id))
	if err != nil {
		return nil, errs.E(errs.KindOf(err), "bucket %s: signing key does not open: %w", b.id, err)
	}
	m := hmac.New(sha256.New, key)
	head := make([]byte, 0, len(tokenDomain)+1+len(b.id)+len(b.policy.salt))
	head = append(head, tokenDomain...)
	head = append(head, byte(len(b.id)))
	head = append(head, b.id...)
	head = append(head, b.policy.salt[:]...)
	m.Write(head)
	m.Write(body)
	return m.Sum(nil), nil
}

// signingPlace is the place that a bucket's signing key is sealed for.
func signingPlace(id string) []byte { return append([]byte("bucket/signing_key/"), id...) }

func (t *token) append(dst []byte) []byte {
	dst = append(dst, byte(t.perms))
	dst = binary.AppendUvarint(dst, t.expiry)
	return append(dst, t.prefix...)
}

// decodeToken takes a token apart. Nothing in it is to be believed until its
// tag is checked.
func decodeToken(text string) (t token, body, tag []byte, ok bool) {
	if len(text) > maxToken || len(text) < len(tokenHead) || text[:len(tokenHead)] != tokenHead {
		return token{}, nil, nil, false
	}
	p, err := base64.RawURLEncoding.Strict().DecodeString(text[len(tokenHead):])
	if err != nil || len(p) < 2+sha256.Size || strings.ContainsAny(text, "\r\n") {
		return token{}, nil, nil, false
	}
	body, tag = p[:len(p)-sha256.Size], p[len(p)-sha256.Size:]
	t.perms = Permissions(body[0])
	t.expiry, t.prefix, ok = cutUvarint(body[1:], 1<<62)
	ok = ok && t.perms != 0 && t.perms&^permAll == 0 && len(t.prefix) <= MaxKey
	return t, body, tag, ok
}
