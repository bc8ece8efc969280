package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// pageBytes is about how much one page of documents holds.
const pageBytes = 4 << 20

// documentPage is a page of a collection.
type documentPage struct {
	Documents []json.RawMessage `json:"documents"`
	Next      string            `json:"next,omitempty"` // ?after= of the next page; absent on the last
}

// listDocuments answers documents in the order of their ids, from the first
// after ?after=, ?limit= of them or fewer, as they are stored.
func (c *call) listDocuments() (any, error) {
	limit, err := pageLimit(c.query)
	if err != nil {
		return nil, err
	}
	var after *collection.OID
	if text := c.query.Value("after"); text != "" {
		id, ok := collection.ParseOID(text)
		if !ok {
			return nil, errs.E(errs.Invalid, "after is not the id of a document")
		}
		after = &id
	}
	page := documentPage{Documents: []json.RawMessage{}}
	err = c.view(func(_ context.Context, tx *kv.Tx) error {
		coll, err := c.Collections.Operator(tx, c.vars["db"], c.vars["coll"], collection.Read)
		if err != nil {
			return err
		}
		size := 0
		var last collection.OID
		for doc, err := range coll.After(after) {
			if err != nil {
				return err
			}
			if len(page.Documents) == limit || size >= pageBytes {
				page.Next = last.String()
				return nil
			}
			plain := doc.Plain(nil)
			page.Documents, size, last = append(page.Documents, plain), size+len(plain), doc.ID()
		}
		return nil
	})
	return page, err
}

// inserted is what insertDocuments did.
type inserted struct {
	Inserted int `json:"inserted"`
	Skipped  int `json:"skipped"`
}

// insertDocuments stores a list of documents, all or none, but those whose _id
// is taken: so a repeat goes on where an earlier request stopped.
func (c *call) insertDocuments() (any, error) {
	at := time.Now()
	drafts, many, err := collection.ParseDrafts(c.body, at)
	if err == nil && !many {
		err = errs.E(errs.Invalid, "the body is not a list of documents")
	}
	if err != nil {
		return nil, err
	}
	var did inserted
	res, err := c.update(0, func(tx *kv.Tx) error {
		coll, err := c.Collections.Operator(tx, c.vars["db"], c.vars["coll"], collection.Create)
		if err != nil {
			return err
		}
		fresh := make([]collection.Draft, 0, len(drafts))
		for _, d := range drafts {
			taken := false
			if d.Given {
				if _, taken, err = coll.Get(d.ID); err != nil {
					return err
				}
			}
			if !taken {
				fresh = append(fresh, d)
			}
		}
		if len(fresh) > 0 {
			if _, err := coll.Insert(fresh, collection.WriteOptions{At: at, Many: true}); err != nil {
				return err
			}
		}
		did = inserted{Inserted: len(fresh), Skipped: len(drafts) - len(fresh)}
		reply, err := json.Marshal(did)
		tx.Reply(reply)
		return err
	})
	if err == nil && res.Duplicate {
		err = json.Unmarshal(res.Reply, &did)
	}
	return did, inWords(err)
}

// inWords says in the message what a schema has against documents: the answers
// of this API hold no list for that.
func inWords(err error) error {
	var v *collection.ValidationError
	if !errors.As(err, &v) {
		return err
	}
	const shown = 5
	var faults []string
	for _, f := range v.List[:min(len(v.List), shown)] {
		text := fmt.Sprintf("field %q", f.Field)
		if len(f.Message) > 0 {
			text += ": " + f.Message[0]
		}
		faults = append(faults, text)
	}
	return errs.E(errs.Invalid, "validation failed: %s", strings.Join(faults, "; "))
}
