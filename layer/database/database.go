package database

import (
	"iter"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// MaxName bounds names of databases and keys, in bytes.
const MaxName = 4096

// CheckName reports a text that is too long to be a name or a key. what says
// which it is, for the error: "database_name".
func CheckName(what, text string) error {
	if len(text) > MaxName {
		return errs.E(errs.TooLarge, "%s is %d bytes long, the limit is %d", what, len(text), MaxName)
	}
	return nil
}

// A Database is one database in one transaction.
type Database struct {
	tx    *kv.Tx
	place Place
}

// An Entry is one key with its packed value. It is valid for one step of the
// loop that gives it.
type Entry struct {
	Key    string
	Packed []byte
}

// Find returns the database called name; ok is false if there is none.
func Find(tx *kv.Tx, name string) (d *Database, ok bool, err error) {
	if CheckName("the database's name", name) != nil {
		return nil, false, nil // nothing of that length was ever created
	}
	row, ok, err := tx.Get(nameKey(name))
	if err != nil || !ok {
		return nil, false, err
	}
	place, err := parseRow(row.Value)
	if err != nil {
		return nil, false, err
	}
	return &Database{tx: tx, place: place}, true, nil
}

// Open is Find that creates the database at draft if there is none. draft must
// be drawn for this request.
func Open(tx *kv.Tx, name string, draft Place) (*Database, error) {
	if err := CheckName("the database's name", name); err != nil {
		return nil, err
	}
	d, ok, err := Find(tx, name)
	if err != nil || ok {
		return d, err
	}
	tx.Set(nameKey(name), draft.row(), 0)
	return &Database{tx: tx, place: draft}, nil
}

// Place returns where the database is.
func (d *Database) Place() Place { return d.place }

// Get returns the packed value under key, which the caller owns; ok is false
// if there is none.
func (d *Database) Get(key string) (packed []byte, ok bool, err error) {
	if CheckName("key", key) != nil {
		return nil, false, nil // nothing of that length was ever stored
	}
	rec, ok, err := d.tx.Get(dataKey(d.place.ID, key))
	return rec.Value, ok, err
}

// Put stores a packed value under key.
func (d *Database) Put(key string, packed []byte) error {
	if err := CheckName("key", key); err != nil {
		return err
	}
	d.tx.Set(dataKey(d.place.ID, key), packed, 0)
	return nil
}

// Delete removes key, if it is there.
func (d *Database) Delete(key string) {
	if CheckName("key", key) == nil {
		d.tx.Delete(dataKey(d.place.ID, key))
	}
}

// Entries iterates over the database in the order of its keys.
func (d *Database) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lo, hi := dataSpan(d.place.ID)
		for rec, err := range d.tx.Scan(lo, hi) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !yield(Entry{Key: string(rec.Key[dataPrefix:]), Packed: rec.Value}, nil) {
				return
			}
		}
	}
}

// Names iterates over the names of all databases in their order.
func Names(tx *kv.Tx) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		lo, hi := allNames()
		for rec, err := range tx.Scan(lo, hi) {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(string(rec.Key[2:]), nil) {
				return
			}
		}
	}
}

// Pop empties the database called name, which stays, if there is one.
func Pop(tx *kv.Tx, name string) error {
	d, ok, err := Find(tx, name)
	if err != nil || !ok {
		return err
	}
	tx.DeleteSpan(dataSpan(d.place.ID))
	return nil
}

// PopAll empties all databases, which stay.
func PopAll(tx *kv.Tx) { tx.DeleteSpan(allData()) }

// Delete removes the database called name with all that it holds. errs.NotFound
// if there is none.
func Delete(tx *kv.Tx, name string) error {
	d, ok, err := Find(tx, name)
	if err != nil {
		return err
	}
	if !ok {
		return errs.E(errs.NotFound, "there is no database of this name")
	}
	tx.Delete(nameKey(name))
	tx.DeleteSpan(dataSpan(d.place.ID))
	return nil
}

// DeleteAll removes all databases with all that they hold.
func DeleteAll(tx *kv.Tx) {
	tx.DeleteSpan(allNames())
	tx.DeleteSpan(allData())
}

// Rename calls the database from to. If there is a database called to already,
// nothing changes; if there is none called from, an empty one called to is
// created at draft.
func Rename(tx *kv.Tx, from, to string, draft Place) error {
	if err := CheckName("the new name", to); err != nil {
		return err
	}
	_, taken, err := Find(tx, to)
	if err != nil || taken {
		return err
	}
	place := draft
	d, ok, err := Find(tx, from)
	if err != nil {
		return err
	}
	if ok {
		place = d.place
		tx.Delete(nameKey(from))
	}
	tx.Set(nameKey(to), place.row(), 0)
	return nil
}
