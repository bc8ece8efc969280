package collection

import (
	"strconv"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// UsersCollection holds the users that a JWT can name, with their roles.
const UsersCollection = "users"

// CollectionInfo describes a collection to the operator.
type CollectionInfo struct {
	Name    string
	Count   int64 // documents
	Created int64 // unix milliseconds
	Schema  Schema
	Indexes []*Index // must not be changed
	Roles   *Roles   // nil: closed to users with a JWT
}

// CreateCollection creates an empty collection. One that is there is errs.Exists.
func (s *Store) CreateCollection(tx *kv.Tx, db, name string) error {
	if _, err := s.open(tx, db); err != nil {
		return err
	}
	if !ValidName(name) {
		return errs.E(errs.Invalid, "collection name %q: 1 to 64 letters, digits, _ and - are allowed, and no _ in front", name)
	}
	r, err := s.rows.get(tx, collectionKey(db, name))
	if err != nil {
		return err
	}
	if r != nil {
		return errs.E(errs.Exists, "collection %s is there already", name)
	}
	_, err = s.create(tx, db, name)
	return err
}

// DropCollection deletes a collection with its documents, indexes, schema and
// rules, in one commit whatever its size.
func (s *Store) DropCollection(tx *kv.Tx, db, name string) error {
	r, err := s.operatorRow(tx, db, name)
	if err != nil {
		return err
	}
	dropCollection(tx, db, name, r)
	return nil
}

// Collections returns up to Page collections of a database in the order of
// their names, from the first after the given one on; "" is the beginning.
func (s *Store) Collections(tx *kv.Tx, db, after string) ([]CollectionInfo, error) {
	if _, err := s.open(tx, db); err != nil {
		return nil, err
	}
	if len(after) > 64 {
		return nil, errs.E(errs.Invalid, "collection name of %d bytes, the limit is 64", len(after))
	}
	lo, hi := below(collectionByte, db)
	if after != "" {
		_, lo = tuple.Span(collectionKey(db, after))
	}
	var infos []CollectionInfo
	for rec, err := range tx.Scan(lo, hi) {
		if err != nil {
			return nil, err
		}
		if len(infos) == Page {
			break
		}
		name, err := collectionName(rec.Key, db)
		if err != nil {
			return nil, err
		}
		r, err := decodeRow(rec.Value)
		if err != nil {
			return nil, err
		}
		count, err := documentCount(tx, r.Number)
		if err != nil {
			return nil, err
		}
		infos = append(infos, CollectionInfo{
			Name: name, Count: count, Created: r.Created, Schema: r.Schema, Indexes: r.Indexes, Roles: r.Roles,
		})
	}
	return infos, nil
}

// operatorRow returns the row of a collection for the operator's verbs.
func (s *Store) operatorRow(tx *kv.Tx, db, name string) (*row, error) {
	if _, err := s.open(tx, db); err != nil {
		return nil, err
	}
	if !ValidName(name) {
		return nil, errs.E(errs.NotFound, "collection %q: not found", name)
	}
	r, err := s.rows.get(tx, collectionKey(db, name))
	if err == nil && r == nil {
		err = errs.E(errs.NotFound, "collection %s: not found", name)
	}
	return r, err
}

// create makes the row of a collection that is not there.
func (s *Store) create(tx *kv.Tx, db, name string) (*row, error) {
	number, err := s.nextNumber(tx)
	if err != nil {
		return nil, err
	}
	r := &row{Number: number, Created: tx.Now()}
	if field, ok := systemIndexes[name]; ok {
		index, err := s.nextNumber(tx)
		if err != nil {
			return nil, err
		}
		// Ready at once: there is no document yet. Who may create users must not be
		// able to take another's place, or his access.
		r.Indexes = []*Index{{Number: index, Name: field, Paths: []string{field}, Unique: name == UsersCollection, State: Ready}}
	}
	tx.Set(collectionKey(db, name), r.encode(), 0)
	return s.rows.get(tx, collectionKey(db, name))
}

// dropCollection deletes everything of a collection: 2 spans, and 1 for each index.
func dropCollection(tx *kv.Tx, db, name string, r *row) {
	tx.Delete(collectionKey(db, name))
	tx.Delete(countKey(r.Number))
	tx.DeleteSpan(documentSpan(r.Number))
	tx.DeleteSpan(tuple.Span(tuple.AppendUint(key(sequenceByte, 9), r.Number)))
	for _, ix := range r.Indexes {
		tx.DeleteSpan(tuple.Span(indexPrefix(ix.Number)))
		tx.Delete(buildKey(ix.Number))
	}
}

// nextNumber gives out a number for a collection or an index that no other
// ever had.
func (s *Store) nextNumber(tx *kv.Tx) (uint64, error) {
	rec, ok, err := tx.Get(numberKey())
	if err != nil {
		return 0, err
	}
	var last uint64
	if ok {
		if last, err = strconv.ParseUint(string(rec.Value), 10, 64); err != nil {
			return 0, errs.E(errs.Internal, "the last number of a collection is damaged")
		}
	}
	tx.Set(numberKey(), strconv.AppendUint(nil, last+1, 10), 0)
	return last + 1, nil
}

// documentCount returns how many documents a collection holds.
func documentCount(tx *kv.Tx, number uint64) (int64, error) {
	rec, ok, err := tx.Get(countKey(number))
	if err != nil || !ok {
		return 0, err
	}
	n, err := strconv.ParseInt(string(rec.Value), 10, 64)
	if err != nil {
		return 0, errs.E(errs.Internal, "the number of a collection's documents is damaged")
	}
	return n, nil
}

// collectionName reads the name from the key of a collection's row.
func collectionName(key []byte, db string) (string, error) {
	lo, _ := below(collectionByte, db)
	name, rest, err := tuple.String(key[len(lo):])
	if err != nil || len(rest) != 0 {
		return "", errs.E(errs.Internal, "the key of a collection's row is damaged")
	}
	return name, nil
}
