package restdb

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// insertion is a POST of documents.
type insertion struct {
	drafts []collection.Draft
	many   bool
	o      collection.WriteOptions
}

// insertion reads the request of a POST.
func (q *request) insertion() (in insertion, err error) {
	body, err := q.content()
	if err != nil {
		return in, err
	}
	q.acceptable()
	q.noCondition()
	if q.bad == nil {
		in.drafts, in.many, err = collection.ParseDrafts(body.object(), q.at)
		q.note(err)
	}
	// The layer lets only full-access keys pass by the schema.
	in.o = collection.WriteOptions{At: q.at, SkipValidate: q.noValidation(), Many: in.many, Texts: body.texts}
	return in, nil
}

// name gives the documents ids that a repeat of the request with this identity
// arrives at too: it has to learn only the second of the first try.
func (in *insertion) name(request command.ID, at time.Time) {
	for i := range in.drafts {
		d := &in.drafts[i]
		if d.Given {
			continue
		}
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(append([]byte("covey restdb id 1"), request[:]...), uint64(i)))
		binary.BigEndian.PutUint32(d.ID[:], uint32(at.Unix()))
		copy(d.ID[4:], sum[:])
	}
}

// noValidation reports whether the client wants the schema passed by.
func (q *request) noValidation() bool {
	v, ok := q.query.Lookup("validate")
	return ok && v != "" && !isOn(v)
}

// insert serves POST of a collection: all documents of the body, or none.
func (q *request) insert() error {
	in, err := q.insertion()
	if err != nil {
		return err
	}
	return q.store(in, func(s *collection.Session, need collection.Need) (*collection.Collection, error) {
		return q.open(s, q.collection, need)
	})
}

// insertChild serves POST of a child field.
func (q *request) insertChild() error {
	in, err := q.insertion()
	if err != nil {
		return err
	}
	parent := q.oid(q.id)
	return q.store(in, func(s *collection.Session, need collection.Need) (*collection.Collection, error) {
		of, c, err := q.openChild(s, parent, need)
		if err != nil {
			return nil, err
		}
		for i := range in.drafts {
			in.drafts[i].Parent = of.ChildOf(parent, q.field)
		}
		return c, nil
	})
}

// openChild opens the collection of a document, which has to be there, and the
// one behind its child field.
func (q *request) openChild(s *collection.Session, parent collection.OID, need collection.Need) (of, children *collection.Collection, err error) {
	if of, err = q.open(s, q.collection, collection.Read); err != nil {
		return nil, nil, err
	}
	if children, err = s.Child(of, q.field, need); err != nil {
		return nil, nil, err
	}
	_, ok, err := of.Get(parent)
	if err == nil && !ok {
		err = errs.E(errs.NotFound, "there is no document %s", parent)
	}
	return of, children, err
}

// opener opens what an insertion goes to.
type opener func(*collection.Session, collection.Need) (*collection.Collection, error)

// store commits an insertion and answers it.
func (q *request) store(in insertion, open opener) error {
	ctx, cancel := q.patience()
	defer cancel()
	var answer []byte
	res, err := q.update(ctx, func(tx *kv.Tx, s *collection.Session) error {
		c, err := open(s, collection.Create)
		if err != nil {
			return err
		}
		if q.once.key != "" {
			in.name(q.identity(s.Database()), q.at)
			tx.Reply(binary.BigEndian.AppendUint64(nil, uint64(q.at.Unix())))
		}
		docs, err := c.Insert(in.drafts, in.o)
		if err != nil {
			return err
		}
		answer, err = written(ctx, c, docs, in.many)
		return err
	})
	if err != nil {
		return err
	}
	if res.Duplicate {
		if answer, err = q.again(in, res, open); err != nil {
			return err
		}
	}
	q.wrote(res)
	return q.reply(http.StatusCreated, answer)
}

// again answers a request whose first try has taken effect: with its documents
// as they are now, but for those that have been deleted since.
func (q *request) again(in insertion, first kv.Result, open opener) (answer []byte, err error) {
	if len(first.Reply) != 8 {
		return nil, errs.E(errs.Internal, "the first try of an insertion left %d bytes", len(first.Reply))
	}
	at := time.Unix(int64(binary.BigEndian.Uint64(first.Reply)), 0)
	ctx, cancel := q.patience()
	defer cancel()
	_, err = q.view(kv.Consistency{}, func(_ *kv.Tx, s *collection.Session) error {
		// Who may create but not read gets the answer all the same. With a
		// full-access key Create would be a write where the collection is gone.
		need := collection.Create
		if s.Full() {
			need = collection.Read
		}
		c, err := open(s, need)
		if err != nil {
			return err
		}
		in.name(q.identity(s.Database()), at)
		var docs []collection.Document
		for _, draft := range in.drafts {
			d, ok, err := c.Get(draft.ID)
			switch {
			case err != nil:
				return err
			case ok:
				docs = append(docs, d)
			case !in.many:
				return errs.E(errs.NotFound, "the first try of this request created the document %s, which has been deleted since", draft.ID)
			}
		}
		answer, err = written(ctx, c, docs, in.many)
		return err
	})
	return answer, err
}
