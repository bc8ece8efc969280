package admin

import (
	"context"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// collectionInfo is one collection in the list.
type collectionInfo struct {
	Name      string    `json:"name"`
	Documents int64     `json:"documents"`
	Indexes   int       `json:"indexes"`
	Created   time.Time `json:"created"`
}

func describeCollection(i collection.CollectionInfo) collectionInfo {
	return collectionInfo{Name: i.Name, Documents: i.Count, Indexes: len(i.Indexes), Created: time.UnixMilli(i.Created).UTC()}
}

// listCollections answers a page of the database's collections, from the first
// name after ?after=.
func (c *call) listCollections() (any, error) {
	var infos []collection.CollectionInfo
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		infos, err = c.Collections.Collections(tx, c.vars["db"], c.query.Value("after"))
		return err
	})
	page := struct {
		Collections []collectionInfo `json:"collections"`
		Next        string           `json:"next,omitempty"`
	}{Collections: make([]collectionInfo, 0, len(infos))}
	for _, i := range infos {
		page.Collections = append(page.Collections, describeCollection(i))
	}
	if len(infos) == collection.Page {
		page.Next = infos[len(infos)-1].Name
	}
	return page, err
}

// named is the body of a request that creates something by name.
type named struct {
	Name string `json:"name"`
}

func (c *call) createCollection() (any, error) {
	var body named
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	_, err := c.update(0, func(tx *kv.Tx) error { return c.Collections.CreateCollection(tx, c.vars["db"], body.Name) })
	return body, err
}

func (c *call) dropCollection() (any, error) {
	return c.change(func(tx *kv.Tx) error { return c.Collections.DropCollection(tx, c.vars["db"], c.vars["coll"]) })
}

// info reads what is known of the collection that the path names.
func (c *call) info() (info collection.CollectionInfo, err error) {
	name := c.vars["coll"]
	err = c.view(func(_ context.Context, tx *kv.Tx) error {
		// The list goes by names, and this one follows what it begins with.
		after := name[:max(len(name)-1, 0)]
		for {
			page, err := c.Collections.Collections(tx, c.vars["db"], after)
			if err != nil {
				return err
			}
			for _, i := range page {
				if i.Name == name {
					info = i
					return nil
				}
			}
			if len(page) < collection.Page || page[len(page)-1].Name > name {
				return errs.E(errs.NotFound, "collection %q: not found", name)
			}
			after = page[len(page)-1].Name
		}
	})
	return info, err
}

func (c *call) showCollection() (any, error) {
	info, err := c.info()
	return describeCollection(info), err
}

func (c *call) showSchema() (any, error) {
	info, err := c.info()
	if info.Schema.Fields == nil {
		info.Schema.Fields = []collection.Field{} // a list, also when it is empty
	}
	return info.Schema, err
}

func (c *call) setSchema() (any, error) {
	var schema collection.Schema
	if err := c.decode(&schema); err != nil {
		return nil, err
	}
	return c.change(func(tx *kv.Tx) error {
		return c.Collections.SetSchema(tx, c.vars["db"], c.vars["coll"], schema)
	})
}

// roles is what users with a JWT may do, as the API shows it.
type roles struct {
	Read    []string `json:"read"`
	Create  []string `json:"create"`
	Update  []string `json:"update"`
	Delete  []string `json:"delete"`
	Private bool     `json:"private"`
}

func (c *call) showRoles() (any, error) {
	var rules *collection.Roles
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		rules, err = c.Collections.Roles(tx, c.vars["db"], c.vars["coll"])
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case rules == nil:
		return nil, errs.E(errs.NotFound, "collection %s has no rules, so it is closed to users with a JWT", c.vars["coll"])
	}
	list := func(names []string) []string { return append([]string{}, names...) } // a list, also when it is empty
	return roles{list(rules.Read), list(rules.Create), list(rules.Update), list(rules.Delete), rules.Private}, nil
}

func (c *call) setRoles() (any, error) {
	var r roles
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	return c.change(func(tx *kv.Tx) error {
		return c.Collections.SetRoles(tx, c.vars["db"], c.vars["coll"], &collection.Roles{
			Read: r.Read, Create: r.Create, Update: r.Update, Delete: r.Delete, Private: r.Private,
		})
	})
}

func (c *call) listIndexes() (any, error) {
	var list struct {
		Indexes []collection.IndexStatus `json:"indexes"`
	}
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		list.Indexes, err = c.Collections.Indexes(tx, c.vars["db"], c.vars["coll"])
		return err
	})
	return list, err
}

func (c *call) createIndex() (any, error) {
	var spec collection.IndexSpec
	if err := c.decode(&spec); err != nil {
		return nil, err
	}
	var made collection.IndexStatus
	res, err := c.update(0, func(tx *kv.Tx) (err error) {
		made, err = c.Collections.CreateIndex(tx, c.vars["db"], c.vars["coll"], spec)
		tx.Reply([]byte(made.Name))
		return err
	})
	if err != nil || !res.Duplicate {
		return made, err
	}
	// An earlier try made it; how far it is the list tells.
	return collection.IndexStatus{Name: string(res.Reply), Paths: spec.Paths, Unique: spec.Unique, State: collection.Building}, nil
}

func (c *call) dropIndex() (any, error) {
	return c.change(func(tx *kv.Tx) error {
		return c.Collections.DropIndex(tx, c.vars["db"], c.vars["coll"], c.vars["index"])
	})
}
