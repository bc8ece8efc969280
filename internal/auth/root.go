package auth

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

// Salted is a key in storage with its salt.
type Salted struct {
	Salt Salt
	Hash Hash
}

// NewSalted returns the hash of a key's text with a new salt.
func NewSalted(text string) Salted {
	s := Salted{Salt: NewSalt()}
	s.Hash = s.Salt.Hash(text)
	return s
}

// Match reports in constant time whether c is the key.
func (s Salted) Match(c Credential) bool { return !c.None() && s.Salt.Hash(c.Value).Equal(s.Hash[:]) }

// FileKey is the id of the root key that a node was started with.
const FileKey = "file"

// NamedHash is a root key that the cluster keeps.
type NamedHash struct {
	ID string
	Salted
}

// RootSet is what the cluster knows of root keys besides those that nodes were
// started with.
type RootSet struct {
	Valid   []NamedHash // on every node
	Dropped []Salted    // valid on no node, whatever its file says
}

// A RootKey is what the operator proves to be the operator with: the key that
// the node was started with, if it was with one, and those that the cluster
// keeps, which are known by their salted hashes only. It is safe for concurrent
// use. A nil *RootKey matches nothing.
type RootKey struct {
	text Credential // that the node was started with; none = it was with none
	file Salted     // of text
	now  atomic.Pointer[rootState]
}

// rootState is what is valid now. It does not change.
type rootState struct {
	file  bool // the node's own key is
	valid []NamedHash
}

// NewRootKey returns the root key whose text is given, and nil, which matches
// nothing, for an empty text.
func NewRootKey(text string) *RootKey {
	if text == "" {
		return nil
	}
	return NewRootKeys(text)
}

// NewRootKeys is NewRootKey for a node of a cluster that keeps root keys: without
// a text it matches those that Follow is told of.
func NewRootKeys(text string) *RootKey {
	k := &RootKey{text: Credential{Value: text}, file: NewSalted(text)}
	k.now.Store(&rootState{file: text != ""})
	return k
}

// Follow replaces what the cluster keeps. The slices are k's from then on.
func (k *RootKey) Follow(set RootSet) { k.now.Store(k.under(set)) }

// under is what is valid while the cluster keeps set.
func (k *RootKey) under(set RootSet) *rootState {
	s := &rootState{file: !k.text.None(), valid: set.Valid}
	for _, d := range set.Dropped {
		if d.Match(k.text) {
			s.file = false
		}
	}
	return s
}

// Match reports whether c is one of the root keys, in a time that does not
// depend on how much of it is right. No credential never matches.
func (k *RootKey) Match(c Credential) bool {
	_, ok := k.Which(c)
	return ok
}

// Which is Match that tells the id of the key: FileKey for the node's own.
func (k *RootKey) Which(c Credential) (id string, ok bool) {
	if k == nil {
		return "", false
	}
	return k.which(k.now.Load(), c)
}

// WhichUnder is Which while the cluster keeps set, whether Follow was told of it
// or not.
func (k *RootKey) WhichUnder(set RootSet, c Credential) (id string, ok bool) {
	if k == nil {
		return "", false
	}
	return k.which(k.under(set), c)
}

func (k *RootKey) which(s *rootState, c Credential) (id string, ok bool) {
	if c.None() {
		return "", false
	}
	if s.file && k.file.Match(c) {
		return FileKey, true
	}
	for _, v := range s.valid {
		if v.Match(c) {
			return v.ID, true
		}
	}
	return "", false
}

// File returns the hash of the key that the node was started with, unless there
// is none, or it was dropped.
func (k *RootKey) File() (file Salted, ok bool) {
	if k == nil || !k.now.Load().file {
		return Salted{}, false
	}
	return k.file, true
}

// None reports whether no credential can match: there is no key.
func (k *RootKey) None() bool {
	if k == nil {
		return true
	}
	s := k.now.Load()
	return !s.file && len(s.valid) == 0
}

// String returns a placeholder, so that a RootKey in a struct that is printed
// does not show its hash.
func (k *RootKey) String() string { return redacted }

// Format prints what String returns, whatever the verb.
func (k *RootKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns what String does, for log/slog.
func (k *RootKey) LogValue() slog.Value { return slog.StringValue(redacted) }
