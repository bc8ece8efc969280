package kot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/database"
)

func (q *request) serveList() error {
	out := newObject(q)
	info, err := out.read(func(ctx context.Context, tx *kv.Tx) error {
		for name, err := range database.Names(tx) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			if more, err := out.add(name, database.Value{Kind: database.String, Text: filePath(name)}); !more || err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.finish(info)
}

// filePath is where the real server would keep the database called name, in a
// folder of ours. Nothing is there: clients use the names only.
func filePath(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "/KOT/KOT-" + hex.EncodeToString(sum[:])
}

func (q *request) serveGetAll() error {
	name, err := q.required("database_name")
	if err != nil {
		return err
	}
	return q.getAll(name, q.fields.text("encryption_key"))
}

// getAll answers with the values of a database: without an encryption key
// those that are not encrypted, with one those that it opens.
func (q *request) getAll(name, encryptionKey string) error {
	known := false
	out := newObject(q)
	info, err := out.read(func(ctx context.Context, tx *kv.Tx) error {
		d, ok, err := database.Find(tx, name)
		if known = ok; err != nil || !ok {
			return err
		}
		for e, err := range d.Entries() {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			v, err := q.shown(ctx, e.Packed, database.Address{Place: d.Place(), Key: e.Key}, encryptionKey)
			if err != nil {
				return err
			}
			if v.Kind == database.Null {
				continue
			}
			if more, err := out.add(e.Key, v); !more || err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !known {
		err = q.create(name)
	}
	if err != nil {
		return err
	}
	return out.finish(info)
}

// shown returns what get_all shows of a packed value, null for nothing.
func (q *request) shown(ctx context.Context, packed []byte, at database.Address, encryptionKey string) (database.Value, error) {
	if database.Sealed(packed) != (encryptionKey != "") {
		return database.Value{}, nil
	}
	v, err := q.Codec.Unpack(ctx, packed, at, encryptionKey)
	if errs.Is(err, errs.Invalid) {
		return database.Value{}, nil // another key's
	}
	return v, err
}

func (q *request) servePop() error {
	name, err := q.required("database_name")
	if err == nil {
		err = q.change(func(tx *kv.Tx) error { return database.Pop(tx, name) })
	}
	if err != nil {
		return err
	}
	return q.sentence("Database popped successfully")
}

func (q *request) servePopAll() error {
	if err := q.change(popAll); err != nil {
		return err
	}
	return q.sentence("All database popped successfully")
}

func (q *request) serveDrop() error {
	name, err := q.required("database_name")
	if err == nil {
		err = q.drop(name)
	}
	if err != nil {
		return err
	}
	return q.sentence("Database deleted successfully")
}

// drop removes a database with all that it holds.
func (q *request) drop(name string) error {
	return refused(q.change(func(tx *kv.Tx) error { return database.Delete(tx, name) }))
}

func (q *request) serveDropAll() error {
	if err := q.change(dropAll); err != nil {
		return err
	}
	return q.sentence("All database deleted successfully")
}

func popAll(tx *kv.Tx) error {
	database.PopAll(tx)
	return nil
}

func dropAll(tx *kv.Tx) error {
	database.DeleteAll(tx)
	return nil
}

// change commits what fn does, unless the request is a HEAD, which changes
// nothing and is answered as if.
func (q *request) change(fn func(*kv.Tx) error) error {
	if q.r.Method == http.MethodHead {
		return nil
	}
	res, err := q.update(fn)
	q.wrote(res)
	return err
}

func (q *request) serveRename() error {
	// A client that forgets the new name must not lose the database; the real
	// server's would.
	to, ok := q.fields.lookup("new_database_name")
	if !ok {
		return web.WithStatus(errs.E(errs.Invalid, "field new_database_name is missing"), http.StatusBadRequest)
	}
	if from, ok := q.fields.lookup("database_name"); ok {
		draft := database.NewPlace()
		if err := q.change(func(tx *kv.Tx) error { return database.Rename(tx, from, to, draft) }); err != nil {
			return err
		}
	}
	return q.sentence("Database renamed successfully")
}
