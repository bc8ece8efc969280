package collection

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// world is a store with verbs that fail the test. Collections are in the
// default database, and are created when something is put into them.
type world struct {
	t testing.TB
	*kvtest.Store
	s *Store
}

func newWorld(t testing.TB, cfg Config) *world {
	return &world{t: t, Store: kvtest.New(t), s: New(cfg)}
}

// at is when everything in a world is written.
var at = time.Date(2016, 3, 16, 21, 31, 31, 627_000_000, time.UTC)

// change runs fn in an Update and returns its error.
func (w *world) change(fn func(*kv.Tx) error) error {
	w.t.Helper()
	_, err := w.DB.Update(context.Background(), fn)
	return err
}

// must is change that fails the test.
func (w *world) must(fn func(*kv.Tx) error) {
	w.t.Helper()
	if err := w.change(fn); err != nil {
		w.t.Fatal(err)
	}
}

// look runs fn in a View.
func (w *world) look(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.DB.View(context.Background(), kv.Consistency{}, fn); err != nil {
		w.t.Fatal(err)
	}
}

// open opens a collection with all rights.
func (w *world) open(tx *kv.Tx, name string, need Need) (*Collection, error) {
	if need == Create {
		if r, err := w.s.rows.get(tx, collectionKey(DefaultDatabase, name)); err != nil || r == nil {
			if err := errors.Join(err, w.s.CreateCollection(tx, DefaultDatabase, name)); err != nil {
				return nil, err
			}
		}
	}
	return w.s.Operator(tx, DefaultDatabase, name, need)
}

// insert stores the documents of a body and returns the first's id.
func (w *world) insert(name, body string) OID {
	w.t.Helper()
	docs, err := w.tryInsert(name, body, WriteOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return docs[0].ID()
}

func (w *world) tryInsert(name, body string, o WriteOptions) (docs []Document, err error) {
	w.t.Helper()
	drafts, many, err := ParseDrafts([]byte(body), at)
	if err != nil {
		return nil, err
	}
	o.At, o.Many = at, many
	err = w.change(func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Create)
		if err != nil {
			return err
		}
		docs, err = c.Insert(drafts, o)
		return err
	})
	return docs, err
}

// put changes a document as a PUT does and returns it as reads show it.
func (w *world) put(name string, id OID, body string) (string, error) {
	w.t.Helper()
	return w.tryUpdate(name, id, body, false, WriteOptions{At: at})
}

func (w *world) tryUpdate(name string, id OID, body string, replace bool, o WriteOptions) (plain string, err error) {
	w.t.Helper()
	change, err := ParseChange([]byte(body), replace)
	if err != nil {
		return "", err
	}
	err = w.change(func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Update)
		if err != nil {
			return err
		}
		d, err := c.Update(id, change, o)
		if err == nil {
			plain = string(d.Plain(nil))
		}
		return err
	})
	return plain, err
}

// delete removes documents and returns which were there.
func (w *world) delete(name string, ids ...OID) (deleted []OID) {
	w.t.Helper()
	w.must(func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Delete)
		if err != nil {
			return err
		}
		deleted, err = c.Delete(ids)
		return err
	})
	return deleted
}

// stored returns all documents of a collection as they are stored.
func (w *world) stored(name string) (docs []string) {
	w.t.Helper()
	w.look(func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Read)
		if err != nil {
			return err
		}
		for d, err := range c.After(nil) {
			if err != nil {
				return err
			}
			docs = append(docs, string(d.JSON))
		}
		return nil
	})
	return docs
}

// plain returns a document as reads show it, "" if there is none.
func (w *world) plain(name string, id OID) (text string) {
	w.t.Helper()
	w.look(func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Read)
		if err != nil {
			return err
		}
		if d, ok, err := c.Get(id); err != nil || ok {
			text = string(d.Plain(nil))
			return err
		}
		return nil
	})
	return text
}

// count returns what the counter of a collection says.
func (w *world) count(name string) (n int64) {
	w.t.Helper()
	w.look(func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Read)
		if err != nil {
			return err
		}
		n, err = documentCount(tx, c.row.Number)
		return err
	})
	return n
}

// schema gives a collection a schema.
func (w *world) schema(name string, schema Schema) {
	w.t.Helper()
	w.must(func(tx *kv.Tx) error { return w.s.SetSchema(tx, DefaultDatabase, name, schema) })
}
