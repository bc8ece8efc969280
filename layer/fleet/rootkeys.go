package fleet

import (
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// RootKey is one of the operator's keys, as a salted hash.
type RootKey struct {
	ID      string    `json:"id"`
	Created int64     `json:"created"` // unix milliseconds
	Salt    auth.Salt `json:"salt"`
	Hash    auth.Hash `json:"hash"`
}

// MaxRootKeys bounds how many there are at a time, and how many of files are
// remembered as dropped: each costs a hash where a credential is judged.
const MaxRootKeys = 16

type droppedRow struct {
	At   int64     `json:"at"`
	Salt auth.Salt `json:"salt"`
	Hash auth.Hash `json:"hash"`
}

// ReadRootKeys returns the keys that are valid on every node, and those of files
// that no node takes any more.
func ReadRootKeys(tx *kv.Tx) (set auth.RootSet, err error) {
	valid, err := rows[RootKey](tx, rootByte)
	if err != nil {
		return set, err
	}
	dropped, err := rows[droppedRow](tx, droppedByte)
	if err != nil {
		return set, err
	}
	for _, k := range valid {
		set.Valid = append(set.Valid, auth.NamedHash{ID: k.ID, Salted: auth.Salted{Salt: k.Salt, Hash: k.Hash}})
	}
	for _, d := range dropped {
		set.Dropped = append(set.Dropped, auth.Salted{Salt: d.Salt, Hash: d.Hash})
	}
	return set, nil
}

// RootKeys returns the keys that were made, in the order of their ids.
func RootKeys(tx *kv.Tx) ([]RootKey, error) { return rows[RootKey](tx, rootByte) }

// AddRootKey stores a key with the hash of its text. A key under the same ID
// gets the new text.
func AddRootKey(tx *kv.Tx, id string, hash auth.Salted) (RootKey, error) {
	k := RootKey{ID: id, Created: tx.Now(), Salt: hash.Salt, Hash: hash.Hash}
	if id == "" || id == auth.FileKey || len(id) > maxName {
		return k, errs.E(errs.Invalid, "%q cannot be the id of a root key", id)
	}
	keys, err := RootKeys(tx)
	if err != nil {
		return k, err
	}
	if len(keys) >= MaxRootKeys {
		return k, errs.E(errs.Conflict, "there are %d root keys already: drop one that nobody uses", len(keys))
	}
	set(tx, named(rootByte, id), k)
	return k, nil
}

// RootDrop names a root key that is to be valid no more.
type RootDrop struct {
	ID   string
	By   string       // the id of the key that the request was made with
	File *auth.Salted // that of this node's file, nil = it has none
}

// DropRootKey makes a key useless on all nodes. The one that the request was made
// with is errs.Conflict, so that some key is left that its holder has.
func DropRootKey(tx *kv.Tx, d RootDrop) error {
	if d.ID == d.By {
		return errs.E(errs.Conflict, "root key %s is the one that this request was made with: make it with another key, so that you are not locked out", d.ID)
	}
	if d.ID == auth.FileKey {
		return dropFile(tx, d)
	}
	var k RootKey
	ok, err := get(tx, named(rootByte, d.ID), &k)
	if err != nil {
		return err
	}
	if !ok {
		return errs.E(errs.NotFound, "there is no root key %s", d.ID)
	}
	tx.Delete(named(rootByte, d.ID))
	return nil
}

// dropFile remembers the hash of a file's key, which stands in files that only
// their owners can change.
func dropFile(tx *kv.Tx, d RootDrop) error {
	if d.File == nil {
		return errs.E(errs.NotFound, "the node that was asked has no root key of a file, or it was dropped already: ask a node that has it")
	}
	dropped, err := rows[droppedRow](tx, droppedByte)
	if err != nil {
		return err
	}
	if len(dropped) >= MaxRootKeys {
		return errs.E(errs.Limited, "%d root keys of files are remembered as dropped, no more are", len(dropped))
	}
	at := tuple.AppendBytes(key(droppedByte), d.File.Hash[:])
	set(tx, at, droppedRow{At: tx.Now(), Salt: d.File.Salt, Hash: d.File.Hash})
	return nil
}
