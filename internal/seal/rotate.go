package seal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Primary returns the id of the key that seals, and "" if k is nil.
func (k *Keyring) Primary() string {
	if k == nil {
		return ""
	}
	return k.keys.Load().primary
}

// IDs returns the ids of all keys in ascending order.
func (k *Keyring) IDs() []string {
	if k == nil {
		return nil
	}
	var ids []string
	for id := range k.keys.Load().aeads {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Holds reports whether the keyring has the key with this id.
func (k *Keyring) Holds(id string) bool {
	if k == nil {
		return false
	}
	_, ok := k.keys.Load().aeads[id]
	return ok
}

// KeyID returns the id of the key that sealed bytes of a Keyring name. It needs
// no keyring, and does not say that they open. Other bytes are errs.Internal.
func KeyID(sealed []byte) (string, error) {
	id, _, ok := parse(sealed)
	if !ok {
		return "", errs.E(errs.Internal, "sealed bytes are damaged or of a newer format")
	}
	return id, nil
}

// A Seed stands in for the randomness of SealFrom. Draw 32 random bytes for
// each request, and keep them as secret as a key until its end.
type Seed [32]byte

// SealFrom is Seal for the closure of a transaction, which may run again: the
// same plain and place seal the same from the same seed. The nonce depends on
// the plaintext too, so different ones never share it.
func (k *Keyring) SealFrom(seed Seed, plain, place []byte) ([]byte, error) {
	if seed == (Seed{}) {
		return nil, errs.E(errs.Internal, "a secret was to be sealed from an empty seed")
	}
	ring, err := k.ready()
	if err != nil {
		return nil, err
	}
	return ring.seal(plain, place, func(nonce, bound []byte) {
		h := hmac.New(sha256.New, seed[:])
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(bound))))
		h.Write(bound)
		h.Write(plain)
		copy(nonce, h.Sum(nil))
	}), nil
}

// Reseal returns what another key has sealed sealed from seed with the primary
// one, and false with the same bytes if that has sealed them already. Errors
// are those of Open.
func (k *Keyring) Reseal(seed Seed, sealed, place []byte) ([]byte, bool, error) {
	id, err := KeyID(sealed)
	if err != nil || k.Primary() == id {
		return sealed, false, err
	}
	plain, err := k.Open(sealed, place)
	if err != nil {
		return nil, false, err
	}
	defer clear(plain)
	again, err := k.SealFrom(seed, plain, place)
	return again, err == nil, err
}

// Reload is ReloadIf that lets every key go.
func (k *Keyring) Reload() (changed bool, err error) {
	return k.ReloadIf(func([]string) error { return nil })
}

// ReloadIf reads the keyring's file again and reports whether its keys or its
// primary key are others than before. On an error the keyring stays as it is.
// Where the file lacks keys that the keyring holds, mayGo is asked with their
// ids, ascending, and its error is that of ReloadIf. A file in which another key
// has taken the id of one that the keyring holds is errs.Invalid: what that key
// has sealed would not open. A keyring that came from no file does not change.
// Only one call at a time may be under way.
func (k *Keyring) ReloadIf(mayGo func(ids []string) error) (changed bool, err error) {
	if k == nil || k.path == "" {
		return false, nil
	}
	loaded, err := Load(k.path)
	if err != nil {
		return false, err
	}
	next, before := loaded.keys.Load(), k.keys.Load()
	var gone []string
	for id, old := range before.hashes {
		hash, there := next.hashes[id]
		if there && old != hash {
			return false, errs.E(errs.Invalid, "keyring file %s: key %s is another than the one that is in use under this id", k.path, id)
		}
		if !there {
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		if err := mayGo(gone); err != nil {
			return false, err
		}
	}
	k.keys.Store(next)
	return before.primary != next.primary || !maps.Equal(before.hashes, next.hashes), nil
}

// Rotate adds a new key to the keyring file and makes it the primary one, and
// returns its id. Old keys stay. Where nodes have files of their own, use Add,
// bring the file to all of them, and then Promote: a node that lacks the key
// cannot open what the others seal with it.
func Rotate(path string) (id string, err error) {
	return id, edit(path, func(f *file) error {
		id, err = f.add()
		f.Primary = id
		return err
	})
}

// Add adds a new key to the keyring file, which opens but does not seal until
// it is made the primary one, and returns its id.
func Add(path string) (id string, err error) {
	return id, edit(path, func(f *file) error {
		id, err = f.add()
		return err
	})
}

// Promote makes a key of the keyring file the primary one. An id that is not
// in it is errs.NotFound.
func Promote(path, id string) error {
	return edit(path, func(f *file) error {
		if !slices.ContainsFunc(f.Keys, func(k fileKey) bool { return k.ID == id }) {
			return errs.E(errs.NotFound, "keyring file %s has no key %q", path, id)
		}
		f.Primary = id
		return nil
	})
}

// Drop takes a key out of the keyring file: what is sealed with it, in backups
// too, cannot be opened any more. The primary key is errs.Invalid, an id that is
// not in the file errs.NotFound.
func Drop(path, id string) error {
	return edit(path, func(f *file) error {
		n := len(f.Keys)
		f.Keys = slices.DeleteFunc(f.Keys, func(k fileKey) bool { return k.ID == id })
		switch {
		case len(f.Keys) == n:
			return errs.E(errs.NotFound, "keyring file %s has no key %q", path, id)
		case f.Primary == id:
			return errs.E(errs.Invalid, "key %s is the primary one of keyring file %s: promote another first", id, path)
		}
		return nil
	})
}

// A KeyInfo tells of a key what may be shown.
type KeyInfo struct {
	ID      string
	Created time.Time // zero if the file does not say
	Primary bool
}

// Describe returns the keys of a keyring file in its order, which is that of
// their making. Errors are those of Load.
func Describe(path string) ([]KeyInfo, error) {
	f, err := readFile(path)
	if err == nil {
		err = f.check(path)
	}
	if err != nil {
		return nil, err
	}
	infos := make([]KeyInfo, 0, len(f.Keys))
	for _, k := range f.Keys {
		infos = append(infos, KeyInfo{ID: k.ID, Created: k.Created, Primary: k.ID == f.Primary})
	}
	return infos, nil
}

// add draws a key.
func (f *file) add() (string, error) {
	if len(f.Keys) >= maxKeys {
		return "", errs.E(errs.TooLarge, "the keyring holds %d keys, which is the limit", len(f.Keys))
	}
	k := drawKey()
	f.Keys = append(f.Keys, k)
	return k.ID, nil
}

// drawKey draws a key and an id, which is long enough not to come twice.
func drawKey() fileKey {
	k := fileKey{Key: make([]byte, keySize), Created: time.Now().UTC().Truncate(time.Second)}
	_, _ = rand.Read(k.Key) // documented never to return an error
	var id [4]byte
	_, _ = rand.Read(id[:])
	k.ID = "k" + hex.EncodeToString(id[:])
	return k
}

// edit changes a keyring file, which keeps its owner. A crash leaves the old or
// the new one. Two edits at once do not lose a key: one of them is errs.Conflict.
func edit(path string, change func(*file) error) error {
	path, err := target(path)
	if err != nil {
		return err
	}
	next := path + ".new"
	// It exists before the old file is read, so it is a lock too.
	err = writeNew(next, func() ([]byte, error) {
		f, err := readFile(path)
		if err != nil {
			return nil, err
		}
		if err := f.check(path); err != nil {
			return nil, err
		}
		if err := change(f); err != nil {
			return nil, err
		}
		if err := f.check(path); err != nil {
			return nil, err
		}
		return encodeFile(f)
	})
	if errors.Is(err, fs.ErrExist) {
		return errs.E(errs.Conflict, "%s exists: another change of the keyring is under way, or was cut off; remove it in that case", next)
	} else if err != nil {
		return fileError(err)
	}
	err = keepOwner(next, path)
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return fileError(errors.Join(err, os.Remove(next)))
	}
	return fileError(syncFolder(path))
}

// target is the file itself where path is a link: that is replaced, not the link.
func target(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errs.E(errs.NotFound, "keyring file %s does not exist", path)
	}
	return real, fileError(err)
}

// check refuses a file that Load would.
func (f *file) check(path string) error {
	if _, err := f.keyring(); err != nil {
		return errs.E(errs.Invalid, "keyring file %s: %w", path, err)
	}
	return nil
}

func encodeFile(f *file) ([]byte, error) {
	p, err := json.MarshalIndent(f, "", "  ")
	return append(p, '\n'), err
}

// fileError gives a kind to errors that have none.
func fileError(err error) error {
	var kind *errs.Error
	if err == nil || errors.As(err, &kind) {
		return err
	}
	return errs.E(errs.Invalid, "keyring file: %w", err)
}

// writeNew makes the file durable before anything is sealed with its key: a
// key lost in a crash would take everything sealed with it along. The file is
// there, empty, while content makes up what it will hold, and gone after an
// error, unless it was there before.
func writeNew(path string, content func() ([]byte, error)) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	p, err := content()
	if err == nil {
		_, err = f.Write(p)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncFolder(path)
}

func syncFolder(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
