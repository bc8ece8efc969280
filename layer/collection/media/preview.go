package media

import (
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// A Kind is what is made of a picture.
type Kind byte

// The kinds, by the letters of the parameter s.
const (
	Thumbnail Kind = 't' // 128 pixels wide
	Web       Kind = 'w' // 640 pixels wide
)

// Width returns how wide pictures of the kind are, 0 for an unknown kind.
func (k Kind) Width() int {
	switch k {
	case Thumbnail:
		return 128
	case Web:
		return 640
	}
	return 0
}

// MaxPreview bounds a stored preview, in bytes. In the place of a longer one,
// the original is sent.
const MaxPreview = 1 << 20

// A Preview is a picture made of a file. One without a Type stands for the
// original: nothing smaller can be made.
type Preview struct {
	Type string
	Data []byte
}

// A stored preview begins with a byte for what it is.
const (
	isOriginal = 'o'
	isJPEG     = 'j'
	isPNG      = 'p'
)

var previewTypes = map[byte]string{isOriginal: "", isJPEG: "image/jpeg", isPNG: "image/png"}

// FindPreview returns a stored preview; ok is false if there is none.
func FindPreview(tx *kv.Tx, database string, id collection.OID, kind Kind) (p Preview, ok bool, err error) {
	rec, ok, err := tx.Get(previewKey(database, id, kind))
	if err != nil || !ok {
		return Preview{}, false, err
	}
	if len(rec.Value) == 0 {
		return Preview{}, false, errs.E(errs.Internal, "a stored preview is damaged")
	}
	name, known := previewTypes[rec.Value[0]]
	return Preview{Type: name, Data: rec.Value[1:]}, known, nil
}

// StorePreview stores a preview for ttl, 0 = as long as the file is there. If
// that is gone, nothing is stored.
func StorePreview(tx *kv.Tx, f *File, kind Kind, p Preview, ttl time.Duration) error {
	now, err := Get(tx, f.Database, f.ID)
	if err != nil || now == nil {
		return err
	}
	for letter, name := range previewTypes {
		if name == p.Type {
			tx.Set(previewKey(f.Database, f.ID, kind), append([]byte{letter}, p.Data...), ttl)
			return nil
		}
	}
	return errs.E(errs.Internal, "a preview of type %s cannot be stored", p.Type)
}
