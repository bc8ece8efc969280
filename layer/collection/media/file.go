package media

import (
	"encoding/json"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// Sizes.
const (
	ChunkSize  = 256 << 10
	DefaultMax = 10 << 20 // bytes of one file, unless the operator says otherwise
	MaxFiles   = 100      // of one upload
)

// A File is the row of a media file. It never changes once it is stored.
type File struct {
	ID          collection.OID  `json:"-"`
	Database    string          `json:"-"`
	Created     int64           `json:"created"` // unix milliseconds
	By          string          `json:"by"`
	Name        string          `json:"name"` // as the client called it, cleaned
	File        string          `json:"file"` // what it can be asked for by, besides its id
	Type        string          `json:"type"`
	Size        int64           `json:"size"`
	Sum         string          `json:"sum"`             // SHA-256 of its bytes, hexadecimal
	Width       int             `json:"width,omitempty"` // of a picture as it is meant to be seen; 0: it is none
	Height      int             `json:"height,omitempty"`
	Orientation int             `json:"orientation,omitempty"`
	EXIF        json.RawMessage `json:"exif,omitempty"` // an object
}

// meta is a File as clients see it (RestDB contract, section 7; sizes in pixels
// are ours).
type meta struct {
	ID        string          `json:"_id"`
	Created   string          `json:"_created"`
	CreatedBy string          `json:"_createdby"`
	App       string          `json:"app"`
	OrigName  string          `json:"origname"`
	File      string          `json:"file"`
	FileSize  int64           `json:"filesize"`
	MediaType string          `json:"mediatype"`
	Width     int             `json:"width,omitempty"`
	Height    int             `json:"height,omitempty"`
	EXIF      json.RawMessage `json:"exif"`
}

// Meta returns the file's metadata as a JSON object.
func (f *File) Meta() []byte {
	m := meta{
		ID: f.ID.String(), Created: time.UnixMilli(f.Created).UTC().Format("2006-01-02T15:04:05.000Z"), CreatedBy: f.By,
		App: f.Database, OrigName: f.Name, File: f.File, FileSize: f.Size, MediaType: f.Type, Width: f.Width, Height: f.Height, EXIF: f.EXIF,
	}
	if m.EXIF == nil {
		m.EXIF = json.RawMessage("{}")
	}
	return encode(m)
}

func encode(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts, numbers, and an object that was parsed
	}
	return p
}

// Get returns the file with this id, nil if there is none.
func Get(tx *kv.Tx, database string, id collection.OID) (*File, error) {
	rec, ok, err := tx.Get(rowKey(database, id))
	if err != nil || !ok {
		return nil, err
	}
	f := &File{ID: id, Database: database}
	if err := json.Unmarshal(rec.Value, f); err != nil {
		return nil, &errs.Error{Kind: errs.Internal, Msg: "the row of a media file is damaged", Err: err}
	}
	return f, nil
}

// Find returns the file with this id or file name, nil if there is none.
func Find(tx *kv.Tx, database, name string) (*File, error) {
	if id, ok := collection.ParseOID(name); ok {
		return Get(tx, database, id)
	}
	if len(name) > maxFile {
		return nil, nil
	}
	rec, ok, err := tx.Get(nameKey(database, name))
	if err != nil || !ok {
		return nil, err
	}
	if len(rec.Value) != len(collection.OID{}) {
		return nil, errs.E(errs.Internal, "the name of a media file is damaged")
	}
	return Get(tx, database, collection.OID(rec.Value))
}

// Delete deletes a file and all that was made of it. No such file is
// errs.NotFound.
func Delete(tx *kv.Tx, database string, id collection.OID) error {
	f, err := Get(tx, database, id)
	if err != nil {
		return err
	}
	if f == nil {
		return errs.E(errs.NotFound, "there is no media file %s", id)
	}
	tx.Delete(rowKey(database, id))
	tx.Delete(nameKey(database, f.File))
	tx.DeleteSpan(tuple.Span(chunkPrefix(database, id)))
	tx.DeleteSpan(tuple.Span(previewPrefix(database, id)))
	return nil
}

// Expansion returns what collection.ExpandOptions.Media wants: the metadata of
// the file with an id, nil if there is none.
func Expansion(tx *kv.Tx, database string, id collection.OID) ([]byte, error) {
	f, err := Get(tx, database, id)
	if err != nil || f == nil {
		return nil, err
	}
	return f.Meta(), nil
}
