package fleet

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Bounds of join tokens.
const (
	MinTokenLife = time.Second
	MaxTokenLife = 30 * 24 * time.Hour
	MaxTokens    = 1000 // that are kept at a time
	MaxHosts     = 16   // that a token names, or a node asks for
	// keepToken is how long a token is remembered after its time, so that who
	// comes late is told what is wrong with it.
	keepToken = 7 * 24 * time.Hour
)

// Token is the right of one new node to join, once. Of its secret only the hash
// is kept.
type Token struct {
	ID       string `json:"id"`
	Secret   []byte `json:"secret"`         // SHA-256
	Node     string `json:"node,omitempty"` // the only one that may use it; "" = any new one
	NonVoter bool   `json:"non_voter,omitempty"`

	// Hosts are the only names and addresses that its node may be certified for,
	// besides those of its own machine's loopback; none = any that are no other
	// member's.
	Hosts []string `json:"hosts,omitempty"`

	Created int64  `json:"created"` // unix milliseconds, like all times
	Expires int64  `json:"expires"`
	Revoked int64  `json:"revoked,omitempty"`
	UsedAt  int64  `json:"used_at,omitempty"`
	UsedBy  string `json:"used_by,omitempty"`  // node
	UsedKey []byte `json:"used_key,omitempty"` // SHA-256 of the public key that was certified
}

// HashToken returns what is kept of a token's secret. That is long and random,
// so a fast hash without salt is enough.
func HashToken(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// CreateToken stores a token with the ID, Secret, Node, NonVoter and Hosts of t,
// and returns it whole. An ID that is there is errs.Exists, one token too many
// errs.Limited.
func CreateToken(tx *kv.Tx, t Token, life time.Duration) (Token, error) {
	switch {
	case life < MinTokenLife || life > MaxTokenLife:
		return t, errs.E(errs.Invalid, "a join token is good for %v to %v, not for %v", MinTokenLife, MaxTokenLife, life)
	case t.ID == "" || len(t.ID) > maxName || len(t.Node) > maxName:
		return t, errs.E(errs.Invalid, "a join token's id and node have at most %d bytes", maxName)
	}
	if err := checkHosts(t.Hosts); err != nil {
		return t, err
	}
	tokens, err := rows[Token](tx, tokenByte)
	if err != nil {
		return t, err
	}
	if len(tokens) >= MaxTokens {
		return t, errs.E(errs.Limited, "there are %d join tokens, no more are kept", len(tokens))
	}
	for _, other := range tokens {
		if other.ID == t.ID {
			return t, errs.E(errs.Exists, "there is a join token %s already", t.ID)
		}
	}
	t.Created = tx.Now()
	t.Expires = t.Created + life.Milliseconds()
	t.Revoked, t.UsedAt, t.UsedBy, t.UsedKey = 0, 0, "", nil
	t.store(tx)
	return t, nil
}

func (t *Token) store(tx *kv.Tx) {
	left := time.Duration(t.Expires-tx.Now())*time.Millisecond + keepToken
	tx.Set(named(tokenByte, t.ID), encode(t), max(left, time.Second))
}

// Tokens returns all tokens that are remembered, in the order of their ids.
func Tokens(tx *kv.Tx) ([]Token, error) { return rows[Token](tx, tokenByte) }

// FindToken returns one token; errs.NotFound if it is not remembered.
func FindToken(tx *kv.Tx, id string) (t Token, err error) {
	ok, err := get(tx, named(tokenByte, id), &t)
	if err == nil && !ok {
		err = errs.E(errs.NotFound, "there is no join token %s", id)
	}
	return t, err
}

// ReplaceToken gives a token that nobody has used another secret.
func ReplaceToken(tx *kv.Tx, id string, secret []byte) (Token, error) {
	t, err := FindToken(tx, id)
	if err != nil {
		return t, err
	}
	if t.UsedAt != 0 || t.Revoked != 0 {
		return t, errs.E(errs.Conflict, "join token %s was used or revoked already", id)
	}
	t.Secret = secret
	t.store(tx)
	return t, nil
}

// RevokeToken makes a token useless. One that was used, or has expired, is
// useless already, and stays as it is.
func RevokeToken(tx *kv.Tx, id string) error {
	t, err := FindToken(tx, id)
	if err != nil || t.UsedAt != 0 || t.Revoked != 0 {
		return err
	}
	t.Revoked = tx.Now()
	t.store(tx)
	return nil
}

// Redemption is what a node presents to join.
type Redemption struct {
	ID     string
	Secret string
	Node   string
	Key    []byte   // SHA-256 of the public key that is to be certified
	Hosts  []string // that are to be certified with it

	// Members are those of the cluster, and by which hosts others reach them.
	Members []Called
}

// CheckToken returns the token that r may redeem, and changes nothing. The same
// node may redeem it again with the same key, for the same hosts, as long as it
// would be good: the answer to the first time may have been lost. Errors say what
// is wrong: errs.Unauthenticated for what is no token of this cluster,
// errs.Forbidden for one that is revoked, expired, for another node or for other
// hosts, errs.Conflict for one that was used.
func CheckToken(tx *kv.Tx, r Redemption) (t Token, err error) {
	if r.ID == "" || len(r.ID) > maxName {
		return t, errs.E(errs.Unauthenticated, "this is not a join token")
	}
	ok, err := get(tx, named(tokenByte, r.ID), &t)
	if err != nil {
		return t, err
	}
	switch {
	case !ok:
		return t, errs.E(errs.Unauthenticated, "the join token %s is not known: it is another cluster's, or long gone", r.ID)
	case subtle.ConstantTimeCompare(HashToken(r.Secret), t.Secret) != 1:
		return t, errs.E(errs.Unauthenticated, "the secret of the join token %s is not right", r.ID)
	case t.Revoked != 0:
		return t, errs.E(errs.Forbidden, "the join token %s was revoked %s", r.ID, when(t.Revoked))
	case t.Node != "" && t.Node != r.Node:
		return t, errs.E(errs.Forbidden, "the join token %s is for node %s and not for node %s", r.ID, t.Node, r.Node)
	case t.UsedAt != 0 && (t.UsedBy != r.Node || !bytes.Equal(t.UsedKey, r.Key)):
		return t, errs.E(errs.Conflict, "the join token %s was used by node %s %s: a token is good for one node, once", r.ID, t.UsedBy, when(t.UsedAt))
	case tx.Now() >= t.Expires:
		return t, errs.E(errs.Forbidden, "the join token %s expired %s", r.ID, when(t.Expires))
	}
	return t, t.admits(tx, r)
}

func when(ms int64) string { return "at " + time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// RedeemToken is CheckToken that uses the token up. Of a token for non-voters
// the node is never more, unless the operator says so later.
func RedeemToken(tx *kv.Tx, r Redemption) (Token, error) {
	t, err := CheckToken(tx, r)
	if err != nil || t.UsedAt != 0 {
		return t, err
	}
	t.UsedAt, t.UsedBy, t.UsedKey = tx.Now(), r.Node, r.Key
	t.store(tx)
	set(tx, named(memberByte, r.Node), Called{Node: r.Node, Hosts: r.Hosts})
	wish := WishNone // a node that was removed once may come back by a token
	if t.NonVoter {
		wish = WishNonVoter
	}
	return t, SetWish(tx, r.Node, wish)
}
