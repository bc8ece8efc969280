package collection

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection/query"
)

// Limits of indexes.
const (
	MaxIndexes    = 32 // of one collection
	MaxIndexPaths = 6  // of one index: a key of that many values fits into the store's limit
)

// IndexSpec is what an index is to be. The name is made of the paths if it is
// empty.
type IndexSpec struct {
	Name   string   `json:"name"`
	Paths  []string `json:"paths"`
	Unique bool     `json:"unique"`
}

// IndexStatus is an index as the operator sees it.
type IndexStatus struct {
	Name   string     `json:"name"`
	Paths  []string   `json:"paths"`
	Unique bool       `json:"unique"`
	State  IndexState `json:"state"`
	Reason string     `json:"reason,omitempty"` // why it failed
	Done   int64      `json:"done,omitempty"`   // documents that a build has put in
	Total  int64      `json:"total,omitempty"`  // documents of the collection, while it is built
}

// prepare parses the paths.
func (ix *Index) prepare() error {
	ix.parsed = make([]query.Path, 0, len(ix.Paths))
	for _, text := range ix.Paths {
		path, err := query.ParsePath(text)
		if err != nil {
			return err
		}
		ix.parsed = append(ix.parsed, path)
	}
	return nil
}

// span returns the bounds of all entries of the index.
func (ix *Index) span() (lo, hi []byte) { return tuple.Span(indexPrefix(ix.Number)) }

func (r *row) index(name string) *Index {
	for _, ix := range r.Indexes {
		if ix.Name == name {
			return ix
		}
	}
	return nil
}

// putEntries brings the indexes from a document's old state (nil: it was not
// there) to its new one (nil: it is gone). If values that have to be unique are
// taken it writes nothing and returns the paths of the indexes that say so.
func (c *Collection) putEntries(old, now *Document) (taken []string, err error) {
	var changes []entryChange
	many := false
	for i, ix := range c.row.Indexes {
		if ix.State == Failed {
			continue
		}
		ch, arrays, err := ix.change(old, now)
		if err != nil {
			return nil, err
		}
		if arrays && !ix.Many {
			c.row = c.row.clone() // rows are shared
			c.row.Indexes[i].Many, many = true, true
		}
		free, err := ch.free(c.tx)
		if err != nil {
			return nil, err
		}
		if !free {
			taken = append(taken, ix.Paths...)
		}
		changes = append(changes, ch)
	}
	if len(taken) > 0 {
		return taken, nil
	}
	for i := range changes {
		if err := changes[i].write(c.tx); err != nil {
			return nil, err
		}
	}
	if many {
		c.setRow(c.row)
	}
	return nil, nil
}

// entryChange is what a write does to one index.
type entryChange struct {
	ix        *Index
	id        OID
	gone, new []entry
}

// change compares the entries of a document's states. many says that the new
// one has an array.
func (ix *Index) change(old, now *Document) (ch entryChange, many bool, err error) {
	ch.ix = ix
	if old != nil {
		ch.id = old.ID()
		// A document that cannot be in the index, because it was there before,
		// is not: the build is going to fail of it.
		if ch.gone, _, err = ix.entries(old); err != nil && !errs.Is(err, errs.Invalid) {
			return ch, false, err
		}
	}
	if now != nil {
		ch.id = now.ID()
		if ch.new, many, err = ix.entries(now); err != nil {
			return ch, false, err
		}
	}
	if old != nil && now != nil {
		ch.gone, ch.new = without(ch.gone, ch.new), without(ch.new, ch.gone)
	}
	return ch, many, nil
}

// without returns the entries of a that are not in b, both in order.
func without(a, b []entry) (rest []entry) {
	for _, e := range a {
		_, found := slices.BinarySearchFunc(b, e, func(x, y entry) int { return bytes.Compare(x.key, y.key) })
		if !found {
			rest = append(rest, e)
		}
	}
	return rest
}

// free reports whether no other document has what has to be unique. The reads
// are guarded: one who takes it meanwhile makes the transaction run again.
func (ch *entryChange) free(tx *kv.Tx) (bool, error) {
	for _, e := range ch.new {
		if !e.owned {
			continue
		}
		rec, ok, err := tx.Get(e.key)
		if err != nil {
			return false, err
		}
		if ok && !bytes.Equal(rec.Value, ch.id[:]) {
			return false, nil
		}
	}
	return true, nil
}

func (ch *entryChange) write(tx *kv.Tx) error {
	for _, e := range ch.gone {
		if e.owned && ch.ix.State == Building {
			// This document may not be in the index yet, and another with the
			// same value may: then the build is going to fail, or this one goes.
			rec, ok, err := tx.Get(e.key)
			if err != nil {
				return err
			}
			if !ok || !bytes.Equal(rec.Value, ch.id[:]) {
				continue
			}
		}
		tx.Delete(e.key)
	}
	for _, e := range ch.new {
		e.put(tx, ch.id)
	}
	return nil
}

func (e entry) put(tx *kv.Tx, id OID) {
	if e.owned {
		tx.Set(e.key, id[:], 0)
	} else {
		tx.Set(e.key, nil, 0)
	}
}

// clearEntries deletes all entries of all indexes.
func (c *Collection) clearEntries() {
	for _, ix := range c.row.Indexes {
		c.tx.DeleteSpan(ix.span())
	}
}

// CreateIndex gives a collection an index. Documents that are there already are
// put in by a Builder; until then no query uses it. errs.NotFound without the
// collection, errs.Exists if the name or the same index is there.
func (s *Store) CreateIndex(tx *kv.Tx, db, coll string, spec IndexSpec) (IndexStatus, error) {
	ix, err := s.addIndex(tx, db, coll, spec)
	if err != nil {
		return IndexStatus{}, err
	}
	return ix.status(), nil
}

// DropIndex removes an index and its entries. errs.Conflict if the schema makes
// its field unique.
func (s *Store) DropIndex(tx *kv.Tx, db, coll, name string) error {
	r, err := s.operatorRow(tx, db, coll)
	if err != nil {
		return err
	}
	if ix := r.index(name); ix != nil && ix.Unique && len(ix.Paths) == 1 {
		for _, f := range r.Schema.Fields {
			if f.Unique && f.Name == ix.Paths[0] {
				return errs.E(errs.Conflict, "the schema of collection %s makes field %s unique, which needs index %s; change the schema", coll, f.Name, name)
			}
		}
	}
	return s.dropIndex(tx, db, coll, name)
}

// Indexes returns the indexes of a collection, the oldest first.
func (s *Store) Indexes(tx *kv.Tx, db, coll string) ([]IndexStatus, error) {
	r, err := s.operatorRow(tx, db, coll)
	if err != nil {
		return nil, err
	}
	list := make([]IndexStatus, 0, len(r.Indexes))
	for _, ix := range r.Indexes {
		st := ix.status()
		if ix.State == Building {
			b, _, err := readBuild(tx, ix.Number)
			if err != nil {
				return nil, err
			}
			total, err := documentCount(tx, r.Number)
			if err != nil {
				return nil, err
			}
			st.Done, st.Total = min(b.Done, total), total
		}
		list = append(list, st)
	}
	return list, nil
}

func (ix *Index) status() IndexStatus {
	return IndexStatus{Name: ix.Name, Paths: ix.Paths, Unique: ix.Unique, State: ix.State, Reason: ix.Reason}
}

// addIndex puts an index into a collection's row. It is ready at once if there
// are no documents.
func (s *Store) addIndex(tx *kv.Tx, db, coll string, spec IndexSpec) (*Index, error) {
	r, err := s.operatorRow(tx, db, coll)
	if err != nil {
		return nil, err
	}
	ix, err := newIndex(r, spec)
	if err != nil {
		return nil, err
	}
	if ix.Number, err = s.nextNumber(tx); err != nil {
		return nil, err
	}
	for _, err := range tx.Scan(documentSpan(r.Number)) {
		if err != nil {
			return nil, err
		}
		ix.State = Building
		break
	}
	if ix.State == Building {
		buildRow{Database: db, Collection: coll}.put(tx, ix.Number)
	}
	r = r.clone()
	r.Indexes = append(r.Indexes, ix)
	tx.Set(collectionKey(db, coll), r.encode(), 0)
	return ix, nil
}

// newIndex checks a spec against what a collection has.
func newIndex(r *row, spec IndexSpec) (*Index, error) {
	switch n := len(spec.Paths); {
	case n == 0 || n > MaxIndexPaths:
		return nil, errs.E(errs.Invalid, "an index on %d fields; it has 1 to %d", n, MaxIndexPaths)
	case len(r.Indexes) >= MaxIndexes:
		return nil, errs.E(errs.Invalid, "a collection has at most %d indexes", MaxIndexes)
	}
	ix := &Index{Name: spec.Name, Paths: slices.Clone(spec.Paths), Unique: spec.Unique, State: Ready}
	if err := ix.prepare(); err != nil {
		return nil, err
	}
	for i, p := range ix.parsed { // a[0].b is a.0.b
		ix.Paths[i] = p.String()
	}
	for i, p := range ix.Paths {
		if p == "_id" || slices.Contains(ix.Paths[:i], p) {
			return nil, errs.E(errs.Invalid, "an index on %s: _id needs none, and a field stands in it once", strings.Join(ix.Paths, ", "))
		}
	}
	for _, o := range r.Indexes {
		if slices.Equal(o.Paths, ix.Paths) && o.Unique == ix.Unique {
			return nil, errs.E(errs.Exists, "index %s is on the same fields", o.Name)
		}
	}
	if ix.Name == "" {
		ix.Name = freeName(r, ix.Paths)
	}
	if !validIndexName(ix.Name) {
		return nil, errs.E(errs.Invalid, "index name %q: 1 to 64 letters, digits, _, - and .", ix.Name)
	}
	if r.index(ix.Name) != nil {
		return nil, errs.E(errs.Exists, "index %s exists", ix.Name)
	}
	return ix, nil
}

// maxIndexName leaves room for a number behind a name that is made.
const maxIndexName = 64

func validIndexName(name string) bool {
	return name != "" && len(name) <= maxIndexName && strings.IndexFunc(name, notInIndexName) < 0
}

func notInIndexName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.'
}

// freeName makes a name of paths.
func freeName(r *row, paths []string) string {
	name := strings.Map(func(c rune) rune {
		if notInIndexName(c) {
			return '-'
		}
		return c
	}, strings.Join(paths, "_"))
	name = name[:min(len(name), maxIndexName-4)]
	free := name
	for n := 2; r.index(free) != nil; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free
}

// dropIndex takes an index out of a collection's row and deletes its entries.
func (s *Store) dropIndex(tx *kv.Tx, db, coll, name string) error {
	r, err := s.operatorRow(tx, db, coll)
	if err != nil {
		return err
	}
	ix := r.index(name)
	if ix == nil {
		return errs.E(errs.NotFound, "collection %s has no index %s", coll, name)
	}
	r = r.clone()
	r.Indexes = slices.DeleteFunc(r.Indexes, func(o *Index) bool { return o.Name == name })
	tx.Set(collectionKey(db, coll), r.encode(), 0)
	tx.DeleteSpan(ix.span())
	tx.Delete(buildKey(ix.Number))
	return nil
}
