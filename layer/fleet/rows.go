package fleet

import (
	"encoding/json"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
)

// Store is what needs the cluster's keyring among the functions of this package.
// It is safe for concurrent use.
type Store struct{ keyring *seal.Keyring }

// New returns a Store. Without a keyring (nil) secrets are neither set nor read:
// errs.Invalid and errs.Unavailable, with a text that says what to do.
func New(keyring *seal.Keyring) *Store { return &Store{keyring} }

// get reads the row under key into row; false if there is none.
func get(tx *kv.Tx, key []byte, row any) (bool, error) {
	rec, ok, err := tx.Get(key)
	if err != nil || !ok {
		return false, err
	}
	return true, decode(rec.Value, row)
}

// rows reads all rows of a kind in the order of their names.
func rows[T any](tx *kv.Tx, kind byte) (list []T, err error) {
	for rec, err := range tx.Scan(all(kind)) {
		if err != nil {
			return nil, err
		}
		var row T
		if err := decode(rec.Value, &row); err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	return list, nil
}

func set(tx *kv.Tx, key []byte, row any) { tx.Set(key, encode(row), 0) }

func encode(row any) []byte {
	p, err := json.Marshal(row)
	if err != nil {
		panic(err) // rows hold nothing that cannot be encoded
	}
	return p
}

func decode(p []byte, row any) error {
	if err := json.Unmarshal(p, row); err != nil {
		return &errs.Error{Kind: errs.Internal, Msg: "what is stored about the cluster is damaged", Err: err}
	}
	return nil
}
