package collection

import (
	"slices"
	"strings"
	"sync"

	"github.com/coveydb/covey/kv"
)

// seat is one collection of a database under its name.
type seat struct {
	name string
	row  *row
}

// catalog is all collections of a database, as of some version. Listeners share
// it. It does not change.
type catalog struct {
	seats    []*seat // by name
	byNumber map[uint64]*seat
	newest   uint64 // the latest version of a row
}

func (c *catalog) find(name string) *seat {
	i, ok := slices.BinarySearchFunc(c.seats, name, func(s *seat, name string) int { return strings.Compare(s.name, name) })
	if !ok {
		return nil
	}
	return c.seats[i]
}

// catalogs remembers the last catalog of each database, so that thousands of
// listeners do not have one each. Safe for concurrent use.
type catalogs struct {
	making sync.Mutex // held while one is made, for which all who need it wait; taken before mu

	mu    sync.Mutex
	known map[string]knownCatalog
}

// knownCatalog is a catalog, and the latest version of the store at which it was
// seen to be the one.
type knownCatalog struct {
	*catalog
	at uint64
}

// maxCatalogs bounds what is remembered.
const maxCatalogs = 100

// recall returns what is remembered, the zero value for nothing.
func (c *catalogs) recall(db string) knownCatalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[db]
}

// remember takes a catalog for the next ones who ask. They ask on newer states:
// whoever is late with an old one leaves what is known to them.
func (c *catalogs) remember(db string, next knownCatalog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have, ok := c.known[db]
	if ok && have.at > next.at {
		return
	}
	if c.known == nil || !ok && len(c.known) >= maxCatalogs {
		c.known = make(map[string]knownCatalog)
	}
	c.known[db] = next
}

// catalog returns the collections of a database as tx, which only reads, sees
// them. When a row changes all listeners ask at once, most of them on one
// version: one of them makes the catalog, the others take it without a look.
func (s *Store) catalog(tx *kv.Tx, db string) (*catalog, error) {
	if known := s.catalogs.recall(db); known.catalog != nil && known.at == tx.Version() {
		return known.catalog, nil
	}
	newest, count, err := glance(tx, db)
	if err != nil {
		return nil, err
	}
	if c := s.catalogs.match(tx, db, newest, count); c != nil {
		return c, nil
	}
	s.catalogs.making.Lock()
	defer s.catalogs.making.Unlock()
	if c := s.catalogs.match(tx, db, newest, count); c != nil {
		return c, nil
	}
	c := &catalog{byNumber: make(map[uint64]*seat, count), newest: newest}
	for rec, err := range tx.Scan(below(collectionByte, db)) {
		if err != nil {
			return nil, err
		}
		name, err := collectionName(rec.Key, db)
		if err != nil {
			return nil, err
		}
		r, err := s.rows.get(tx, collectionKey(db, name))
		if err != nil {
			return nil, err
		}
		t := &seat{name: name, row: r}
		c.seats = append(c.seats, t)
		c.byNumber[r.Number] = t
	}
	s.catalogs.remember(db, knownCatalog{c, tx.Version()})
	return c, nil
}

// glance counts the rows of a database's collections, and finds the latest of
// their versions.
func glance(tx *kv.Tx, db string) (newest uint64, count int, err error) {
	for rec, err := range tx.Scan(below(collectionByte, db)) {
		if err != nil {
			return 0, 0, err
		}
		newest = max(newest, rec.Version)
		count++
	}
	return newest, count, nil
}

// match returns what is remembered if tx, at which glance has found newest and
// count, sees the same; else nil. As many rows of which the newest is the same are
// the same rows: whatever was made or changed since would be newer, and nothing
// that is gone comes back as old.
func (c *catalogs) match(tx *kv.Tx, db string, newest uint64, count int) *catalog {
	known := c.recall(db)
	if known.catalog == nil || known.newest != newest || len(known.seats) != count {
		return nil
	}
	if known.at < tx.Version() {
		c.remember(db, knownCatalog{known.catalog, tx.Version()})
	}
	return known.catalog
}
