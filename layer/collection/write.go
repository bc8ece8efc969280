package collection

import (
	"net/http"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// WriteOptions are what holds for all documents of one write.
type WriteOptions struct {
	At           time.Time // of _created and _changed, drawn before the transaction
	IfVersion    *int64    // Update: errs.Exists unless the document has this version
	SkipValidate bool      // the schema is not asked; for full-access keys only
	Many         bool      // Insert: the client sent an array, so a ValidationError says which element
	Texts        bool      // the values are the texts of a form: a text is read as its field's type
}

// Get returns one document that the caller may see.
func (c *Collection) Get(id OID) (Document, bool, error) {
	rec, ok, err := c.tx.Get(documentKey(c.row.Number, id))
	if err != nil || !ok {
		return Document{}, false, err
	}
	d, err := openDocument(rec.Value)
	if err != nil || !c.sees(d) {
		return Document{}, false, err
	}
	return d, true, nil
}

// sees reports whether the caller may know of a document.
func (c *Collection) sees(d Document) bool { return !c.mine || d.CreatedBy() == c.by }

// Insert stores new documents, all or none, and returns them as they are
// stored. errs.Exists if a given id is taken, *ValidationError if the schema or
// a unique index refuses one. Ids that are not whole are drawn in the order of
// the drafts and kept there, so that a transaction that runs again stores the
// same documents.
func (c *Collection) Insert(drafts []Draft, o WriteOptions) ([]Document, error) {
	if err := c.opened(Create); err != nil {
		return nil, err
	}
	now := timeText(o.At)
	m := meta{created: now, changed: now, createdBy: c.by, changedBy: c.by}
	check := c.checker(o)
	docs := make([]Document, 0, len(drafts))
	for i := range drafts {
		if o.Many {
			check.index = &i
		}
		if !drafts[i].Given && drafts[i].ID.begun() {
			drafts[i].ID = c.store.ids.complete(drafts[i].ID)
		}
		d, err := c.insert(drafts[i], m, check)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	if err := check.done(); err != nil {
		return nil, err
	}
	if len(docs) > 0 {
		c.tx.Add(countKey(c.row.Number), command.Int(int64(len(docs))), 0)
	}
	return docs, c.told(http.MethodPost, docs)
}

func (c *Collection) insert(draft Draft, m meta, check *checker) (Document, error) {
	fields, ok, err := check.fields(split(draft.Members), nil)
	if err != nil || !ok {
		return Document{}, err
	}
	key := documentKey(c.row.Number, draft.ID)
	if draft.Given {
		_, taken, err := c.tx.Get(key)
		if err != nil {
			return Document{}, err
		}
		if taken {
			return Document{}, errs.E(errs.Exists, "the _id %s is taken", draft.ID)
		}
	}
	d := newDocument(draft.ID, fields, draft.Parent.fields(), m)
	return d, c.put(nil, d, check)
}

// put stores a document in the place of old; nil: of none.
func (c *Collection) put(old *Document, d Document, check *checker) error {
	if n, limit := len(d.JSON), c.store.cfg.MaxDocument; n > limit {
		return errs.E(errs.TooLarge, "a document of %d bytes, the limit is %d", n, limit)
	}
	taken, err := c.putEntries(old, &d)
	if err != nil {
		return err
	}
	for _, field := range taken {
		check.add(field, "this value is taken", codeUnique)
	}
	c.tx.Set(documentKey(c.row.Number, d.ID()), d.record(), 0)
	return nil
}

// Update changes one document and returns it as it is stored. errs.NotFound if
// the caller sees none of this id, errs.Exists if it has not the version that o
// wants, *ValidationError as with Insert, which is asked about all fields of the
// document and not only those that change.
func (c *Collection) Update(id OID, change Change, o WriteOptions) (Document, error) {
	if err := c.opened(Update); err != nil {
		return Document{}, err
	}
	old, ok, err := c.Get(id)
	if err != nil {
		return Document{}, err
	}
	if !ok {
		return Document{}, errNoDocument(id)
	}
	version := old.Version()
	if o.IfVersion != nil && *o.IfVersion != version {
		return Document{}, errs.E(errs.Exists, "the document has version %d, not %d", version, *o.IfVersion)
	}
	before, parent := old.fields()
	after, err := change.apply(before)
	if err != nil {
		return Document{}, err
	}
	check := c.checker(o)
	fields, ok, err := check.fields(after, before)
	if err != nil {
		return Document{}, err
	}
	if !ok {
		return Document{}, check.done()
	}
	d := newDocument(id, fields, parent, meta{
		created: old.created(), changed: timeText(o.At), createdBy: old.CreatedBy(), changedBy: c.by, version: version + 1,
	})
	if err := c.put(&old, d, check); err != nil {
		return Document{}, err
	}
	if err := check.done(); err != nil {
		return Document{}, err
	}
	return d, c.told(http.MethodPut, []Document{d})
}

func errNoDocument(id OID) error { return errs.E(errs.NotFound, "there is no document %s", id) }

// Delete removes the documents of these ids and returns which of them were
// there, in the order given. It reads each document, so one transaction can
// delete as many as it may read (command.MaxReads, less what else it reads).
func (c *Collection) Delete(ids []OID) (deleted []OID, err error) {
	if err := c.opened(Delete); err != nil {
		return nil, err
	}
	var creators []string // for listeners
	for _, id := range ids {
		old, ok, err := c.Get(id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if err := c.drop(old); err != nil {
			return nil, err
		}
		deleted = append(deleted, id)
		if c.isPrivate() {
			creators = append(creators, old.CreatedBy())
		}
	}
	c.less(len(deleted))
	c.tellGone(deleted, creators)
	return deleted, c.toldGone(deleted)
}

func (c *Collection) drop(old Document) error {
	if _, err := c.putEntries(&old, nil); err != nil {
		return err
	}
	c.tx.Delete(documentKey(c.row.Number, old.ID()))
	return nil
}

func (c *Collection) less(n int) {
	if n > 0 {
		c.tx.Add(countKey(c.row.Number), command.Int(int64(-n)), 0)
	}
}

// Clear removes all documents that the caller sees and returns their ids in
// ascending order. For a caller who sees all of them the commit has one span to
// delete, however many there are, and the ids for listeners.
func (c *Collection) Clear() (deleted []OID, err error) {
	if err := c.opened(Delete); err != nil {
		return nil, err
	}
	lo, hi := documentSpan(c.row.Number)
	var creators []string // for listeners
	for rec, err := range c.tx.Scan(lo, hi) {
		if err != nil {
			return nil, err
		}
		if c.isPrivate() {
			d, err := openDocument(rec.Value)
			if err != nil {
				return nil, err
			}
			if !c.sees(d) {
				continue
			}
			creators = append(creators, d.CreatedBy())
		}
		deleted = append(deleted, documentID(rec.Key))
	}
	if c.mine {
		return c.Delete(deleted)
	}
	if len(deleted) > 0 {
		c.tx.DeleteSpan(lo, hi)
		c.clearEntries()
		c.less(len(deleted))
		c.tellGone(deleted, creators)
	}
	return deleted, c.toldGone(deleted)
}

// opened reports a use that the collection was not opened for: roles and scopes
// were asked about another one.
func (c *Collection) opened(need Need) error {
	if c.need != need {
		return errs.E(errs.Internal, "collection %s was opened for need %d and used for %d", c.name, c.need, need)
	}
	return nil
}
