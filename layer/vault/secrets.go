package vault

import (
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/coveydb/covey/internal/errs"
)

// maxUnwrapped bounds the data keys that a node remembers, of some 500 bytes
// each.
const maxUnwrapped = 4096

// unwrapped remembers data keys by the hash of their wrapped form and their
// place, so that a request does not unwrap what the last one did. The zero
// value is empty. Safe for concurrent use.
type unwrapped struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]cipher.AEAD
}

func (u *unwrapped) get(name [sha256.Size]byte) cipher.AEAD {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known[name]
}

func (u *unwrapped) put(name [sha256.Size]byte, aead cipher.AEAD) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.known == nil || len(u.known) >= maxUnwrapped {
		u.known = make(map[[sha256.Size]byte]cipher.AEAD)
	}
	u.known[name] = aead
}

// needKeyring returns errs.Unavailable if this node has no keyring.
func (s *Store) needKeyring() error {
	if s.cfg.Keyring == nil {
		return errs.E(errs.Unavailable, "this node has no keyring, so it cannot seal or open secrets; start every node with the same --keyring-file")
	}
	return nil
}

// dataKeyPlace is what a data key of an organization is bound to.
func dataKeyPlace(uid []byte, id uint32) []byte { return fmt.Appendf(nil, "vault/org/%x/%d", uid, id) }

// tokenPlace is what the token of a user is bound to.
func tokenPlace(uid []byte) []byte { return fmt.Appendf(nil, "vault/token/%x", uid) }

// addDataKey makes up a data key for an organization, which has its uid, and
// adds it to the row: from now on that key seals.
func (s *Session) addDataKey(o *organizationRow) error {
	if err := s.store.needKeyring(); err != nil {
		return err
	}
	key, err := s.random()
	if err != nil {
		return err
	}
	id := uint32(1)
	if n := len(o.Keys); n > 0 {
		id = o.Keys[n-1].ID + 1
	}
	wrapped, err := s.store.cfg.Keyring.SealFrom(s.draw.seed, key, dataKeyPlace(o.UID, id))
	if err != nil {
		return err
	}
	o.Keys = append(o.Keys, dataKey{ID: id, Wrapped: wrapped})
	return nil
}

// newUID makes up the uid of a row.
func (s *Session) newUID() ([]byte, error) {
	p, err := s.random()
	if err != nil {
		return nil, err
	}
	return p[:uidSize], nil
}

// random makes up 32 bytes, other ones each time.
func (s *Session) random() ([]byte, error) {
	if s.draw.none() {
		return nil, errs.E(errs.Internal, "something was to be made up in a transaction without randomness")
	}
	s.drawn++
	return s.draw.bytes("random", s.drawn), nil
}

// openKey is a data key of an organization, by the bytes that it is wrapped in.
type openKey struct {
	wrapped *byte
	aead    cipher.AEAD
}

// aead returns the data key of an organization that has this id.
func (s *Session) aead(o *organizationRow, id uint32) (cipher.AEAD, error) {
	for _, k := range o.Keys {
		if k.ID != id || len(k.Wrapped) == 0 {
			continue
		}
		if s.last.wrapped == &k.Wrapped[0] {
			return s.last.aead, nil
		}
		aead, err := s.store.unwrap(k.Wrapped, dataKeyPlace(o.UID, id))
		if err == nil {
			s.last = openKey{&k.Wrapped[0], aead}
		}
		return aead, err
	}
	return nil, errs.E(errs.Internal, "a value is sealed with data key %d, which its organization does not have", id)
}

func (s *Store) unwrap(wrapped, place []byte) (cipher.AEAD, error) {
	name := sha256.Sum256(append(append(make([]byte, 0, len(wrapped)+len(place)), wrapped...), place...))
	if aead := s.dataKeys.get(name); aead != nil {
		return aead, nil
	}
	key, err := s.cfg.Keyring.Open(wrapped, place)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	s.dataKeys.put(name, aead)
	return aead, nil
}

// sealValue encrypts the value of a variable for its place. It takes the
// nonce from the Session's Draw, so it may be called in a transaction. A node
// that lacks the master key is errs.Unavailable.
func (s *Session) sealValue(o *organizationRow, e *environmentRow, key string, value []byte) ([]byte, error) {
	return s.sealAt(o, value, valuePlace(o, e, key))
}

// sealAt encrypts a secret of an organization for a place.
func (s *Session) sealAt(o *organizationRow, secret, place []byte) ([]byte, error) {
	if len(o.Keys) == 0 {
		return nil, errs.E(errs.Internal, "an organization has no data key")
	}
	id := o.Keys[len(o.Keys)-1].ID
	aead, err := s.aead(o, id)
	if err != nil {
		return nil, err
	}
	return s.draw.seal(aead, id, secret, place)
}

// openValue decrypts what sealValue returned for the same place. A node that
// lacks the master key is errs.Unavailable; a value that is damaged or was moved is
// errs.Internal.
func (s *Session) openValue(o *organizationRow, e *environmentRow, key string, sealed []byte) ([]byte, error) {
	return s.openAt(o, sealed, valuePlace(o, e, key))
}

// openAt decrypts what sealAt returned for the same place.
func (s *Session) openAt(o *organizationRow, sealed, place []byte) ([]byte, error) {
	id, err := keyOf(sealed)
	if err != nil {
		return nil, err
	}
	aead, err := s.aead(o, id)
	if err != nil {
		return nil, err
	}
	return openWith(aead, sealed, place)
}
