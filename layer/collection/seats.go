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
	mu    sync.Mutex
	known map[string]*catalog
}

// maxCatalogs bounds what is remembered.
const maxCatalogs = 100

// catalog returns the collections of a database as tx sees them. As many rows
// of which the newest is the same are the same rows: whatever was made or
// changed since would be newer, and nothing that is gone comes back as old.
func (s *Store) catalog(tx *kv.Tx, db string) (*catalog, error) {
	var newest uint64
	count := 0
	for rec, err := range tx.Scan(below(collectionByte, db)) {
		if err != nil {
			return nil, err
		}
		newest = max(newest, rec.Version)
		count++
	}
	s.catalogs.mu.Lock()
	known := s.catalogs.known[db]
	s.catalogs.mu.Unlock()
	if known != nil && known.newest == newest && len(known.seats) == count {
		return known, nil
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
	s.catalogs.mu.Lock()
	defer s.catalogs.mu.Unlock()
	if s.catalogs.known == nil || len(s.catalogs.known) >= maxCatalogs {
		s.catalogs.known = make(map[string]*catalog)
	}
	s.catalogs.known[db] = c
	return c, nil
}
