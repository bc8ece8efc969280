package kot

import (
	"context"
	"errors"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/database"
)

// target is a key of a database.
type target struct{ database, key string }

// check reports a name that is too long to be stored. Only storing has to ask:
// nothing else is there under such a name.
func (t target) check() error {
	if err := database.CheckName("database_name", t.database); err != nil {
		return err
	}
	return database.CheckName("key", t.key)
}

// target reads the two fields that name one key.
func (q *request) target() (t target, err error) {
	if t.database, err = q.required("database_name"); err != nil {
		return t, err
	}
	t.key, err = q.required("key")
	return t, err
}

func (q *request) serveSet() error {
	t, err := q.target()
	if err != nil {
		return err
	}
	var v database.Value
	if text, ok := q.fields.lookup("value"); ok {
		v = database.Value{Kind: database.String, Text: text}
	}
	// Any text asks for compression, "False" too.
	o := database.Options{EncryptionKey: q.fields.text("encryption_key"), Compress: q.fields.text("compress") != ""}
	if err := q.set(t, v, o); err != nil {
		return err
	}
	return q.sentence("Data set successfully")
}

// maxMoves bounds how often a value is packed anew because its database went
// elsewhere meanwhile.
const maxMoves = 8

// errMoved ends a transaction whose value was sealed for another place.
var errMoved = errs.E(errs.Unavailable, "the database was renamed, removed or created again meanwhile; nothing was applied, try again")

// set stores v. What is encrypted is sealed for the place that the database
// has, before the transaction, so the transaction checks that it is still
// there.
//
// The draft is never a place that was seen: a database that is renamed takes
// its place along, and the old name created again must not lead there.
func (q *request) set(t target, v database.Value, o database.Options) error {
	if err := t.check(); err != nil {
		return err
	}
	ctx, cancel := q.patience()
	defer cancel()
	draft := database.NewPlace()
	place := draft
	if o.EncryptionKey != "" {
		var err error
		if place, err = q.place(ctx, t.database, draft); err != nil {
			return err
		}
	}
	for range maxMoves {
		packed, err := q.Codec.Pack(ctx, v, database.Address{Place: place, Key: t.key}, o)
		if err != nil {
			return err
		}
		var now database.Place
		res, err := q.DB.Update(ctx, func(tx *kv.Tx) error {
			d, err := database.Open(tx, t.database, draft)
			if err != nil {
				return err
			}
			if now = d.Place(); o.EncryptionKey != "" && now != place {
				return errMoved
			}
			return d.Put(t.key, packed)
		})
		if !errors.Is(err, errMoved) {
			q.wrote(res)
			return err
		}
		place = now
	}
	return errMoved
}

// place returns where the database called name is, or draft if there is none.
// Any state will do, since the answer is checked when it is used.
func (q *request) place(ctx context.Context, name string, draft database.Place) (database.Place, error) {
	place := draft
	_, err := q.DB.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		d, ok, err := database.Find(tx, name)
		if ok {
			place = d.Place()
		}
		return err
	})
	return place, err
}

func (q *request) serveGet() error {
	t, err := q.target()
	if err != nil {
		return err
	}
	return q.get(t, q.fields.text("encryption_key"))
}

// get answers with the value of a key, null if there is none.
func (q *request) get(t target, encryptionKey string) error {
	ctx, cancel := q.patience()
	defer cancel()
	var packed []byte
	var place database.Place
	var known, ok bool
	info, err := q.DB.View(ctx, q.consistency(), func(tx *kv.Tx) error {
		d, found, err := database.Find(tx, t.database)
		if known = found; err != nil || !found {
			return err
		}
		place = d.Place()
		packed, ok, err = d.Get(t.key)
		return err
	})
	if err == nil && !known {
		err = q.create(t.database)
	}
	if err != nil {
		return err
	}
	q.achieved(info)
	var v database.Value
	if ok {
		v, err = q.Codec.Unpack(ctx, packed, database.Address{Place: place, Key: t.key}, encryptionKey)
		if err != nil {
			return refused(err)
		}
	}
	return q.json(appendValue(nil, v))
}

func (q *request) serveDelete() error {
	name, err := q.required("database_name")
	if err != nil {
		return err
	}
	key, ok := q.fields.lookup("key")
	if ok {
		err = q.remove(target{name, key})
	} else {
		err = q.create(name)
	}
	if err != nil {
		return err
	}
	return q.sentence("Data deleted successfully")
}

// remove deletes a key, if it is there; it creates the database, if it is not.
func (q *request) remove(t target) error {
	draft := database.NewPlace()
	res, err := q.update(func(tx *kv.Tx) error {
		d, err := database.Open(tx, t.database, draft)
		if err != nil {
			return err
		}
		d.Delete(t.key)
		return nil
	})
	q.wrote(res)
	return err
}
