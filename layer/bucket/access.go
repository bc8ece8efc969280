package bucket

import (
	"strings"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
)

// A Need is one thing that a caller can want to do with a bucket.
type Need uint8

const (
	Read         Need = iota // read a key
	Write                    // set a key, change a counter, run a transaction
	Delete                   // delete a key
	List                     // list keys
	ListValues               // list keys with their values
	ChangePolicy             // change keys and default TTL
	DeleteBucket             // delete the bucket and all in it
	Mint                     // mint access tokens
	needs                    // how many there are
)

var needNames = [needs]string{
	"read keys", "write keys", "delete keys", "list keys", "list values", "change the policy", "delete the bucket", "mint access tokens",
}

// String returns what is needed as a verb, such as "read keys".
func (n Need) String() string { return needNames[n] }

// rights is a set of needs that are granted.
type rights uint16

func grant(ns ...Need) (r rights) {
	for _, n := range ns {
		r |= 1 << n
	}
	return r
}

func (r rights) has(n Need) bool { return r&(1<<n) != 0 }

// caller is who a credential proved to be. The zero value is anybody.
type caller struct {
	operator bool   // holds the cluster's root key
	holds    keySet // which of the bucket's keys it holds; one text can be several
	token    bool   // holds an access token with the fields below
	perms    Permissions
	prefix   []byte
	expiry   int64 // Unix ms
}

func (c *caller) anonymous() bool { return !c.operator && !c.token && c.holds == 0 }

// judge finds out who presents cred. Wrong credentials are
// errs.Unauthenticated, except in a bucket without any key, where there is
// nothing to be wrong against.
func (b *Bucket) judge(cred auth.Credential) (caller, error) {
	if cred.None() {
		return caller{}, nil
	}
	p := &b.policy
	set := p.keys()
	if set&^signingKey != 0 {
		h := p.salt.Hash(cred.Value)
		var holds keySet
		// All are compared, so that the time does not tell which one matched.
		for _, k := range [...]struct {
			key  keySet
			hash []byte
		}{{secretKey, p.secret}, {writeKey, p.write}, {readKey, p.read}} {
			if h.Equal(k.hash) {
				holds |= k.key
			}
		}
		if holds != 0 {
			return caller{holds: holds}, nil
		}
	}
	if set.has(signingKey) && strings.HasPrefix(cred.Value, tokenHead) {
		return b.verify(cred.Value)
	}
	if b.c.Root.Match(cred) {
		return caller{operator: true}, nil
	}
	if set == 0 {
		return caller{}, nil
	}
	return caller{}, errs.E(errs.Unauthenticated, "bucket %s: the credential is none of its keys and no access token of it", b.id)
}

// rights returns what c may do under p. This is the contract's table "who may
// do what", one line for each cell.
func (c *caller) rights(p *policy) rights {
	set := p.keys()
	var r rights
	switch {
	case c.operator, c.holds.has(secretKey):
		r = grant(Read, Write, Delete, List, ListValues, ChangePolicy, DeleteBucket)
		if set.has(signingKey) {
			r |= grant(Mint)
		}
		return r
	case c.token:
		return c.perms.rights(set)
	}
	if !set.has(readKey) || c.holds.has(readKey) {
		r |= grant(Read)
	}
	if !set.has(writeKey) || c.holds.has(writeKey) {
		r |= grant(Write, Delete)
	}
	if !set.has(secretKey) {
		r |= grant(List)
		if r.has(Read) {
			r |= grant(ListValues)
		}
	}
	// Without a secret key the write key deletes the bucket, without that the
	// read key, and without any of them everybody.
	switch {
	case set.has(secretKey):
	case set.has(writeKey):
		if c.holds.has(writeKey) {
			r |= grant(DeleteBucket)
		}
	case set.has(readKey):
		if c.holds.has(readKey) {
			r |= grant(DeleteBucket)
		}
	default:
		r |= grant(DeleteBucket)
	}
	return r
}

// Permissions is what an access token allows, below its prefix.
type Permissions uint8

const (
	PermRead      Permissions = 1 << iota // read keys, and see values in lists
	PermWrite                             // set and delete keys, counters, transactions
	PermEnumerate                         // list keys
	PermDelete                            // delete keys
	permAll       = PermRead | PermWrite | PermEnumerate | PermDelete
)

// ParsePermissions reads a list separated by commas of read, write, enumerate
// and delete. An empty list and an unknown word are errs.Invalid.
func ParsePermissions(list string) (Permissions, error) {
	var p Permissions
	for word := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(word) {
		case "read":
			p |= PermRead
		case "write":
			p |= PermWrite
		case "enumerate":
			p |= PermEnumerate
		case "delete":
			p |= PermDelete
		default:
			return 0, errs.E(errs.Invalid, "permissions are not a list of read, write, enumerate, delete")
		}
	}
	return p, nil
}

// rights returns what the permissions allow in a bucket with the given keys.
// Where reading is public a token need not name it.
func (p Permissions) rights(set keySet) rights {
	var r rights
	if p&PermRead != 0 || !set.has(readKey) {
		r |= grant(Read)
	}
	if p&PermWrite != 0 {
		r |= grant(Write, Delete)
	}
	if p&PermDelete != 0 {
		r |= grant(Delete)
	}
	if p&PermEnumerate != 0 {
		r |= grant(List)
		if r.has(Read) {
			r |= grant(ListValues)
		}
	}
	return r
}
