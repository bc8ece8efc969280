package collection

import (
	"time"

	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// This file is what layer/collection/media needs of this room.

// mediaScope is in front of an id where a key's scope is asked about a file.
const mediaScope = "_media/"

// media reports whether the field holds ids of media files.
func (r *fieldRule) media() bool { return r.Type == typeImage || r.Type == typeFile }

// MediaKeys are the prefixes of all keys that the media files of one database
// have.
type MediaKeys struct {
	Row, Name, Upload, Chunk, Preview []byte
}

// MediaKeysOf returns the prefixes for a database. Each slice is its caller's
// own, without room to append in place.
func MediaKeysOf(database string) MediaKeys {
	prefix := func(kind byte) []byte {
		p := tuple.AppendString(key(kind, len(database)+3), database)
		return p[:len(p):len(p)]
	}
	return MediaKeys{
		Row: prefix(mediaByte), Name: prefix(fileByte), Upload: prefix(uploadByte),
		Chunk: prefix(chunkByte), Preview: prefix(previewByte),
	}
}

// Uploads holds the uploads under way in all databases.
func Uploads() (lo, hi []byte) { return tuple.Span(key(uploadByte, 0)) }

// UploadDatabase reads the name of the database from a key of Uploads, and
// returns what follows it.
func UploadDatabase(key []byte) (database string, rest []byte, err error) {
	return tuple.String(key[2:])
}

// dropMedia deletes all media files of a database, and what is left of uploads
// that are under way: those find their markers gone.
func dropMedia(tx *kv.Tx, database string) {
	for _, kind := range []byte{mediaByte, fileByte, uploadByte, chunkByte, previewByte} {
		tx.DeleteSpan(below(kind, database))
	}
}

// Locate returns the database that a request to host means, for what is public
// in it. An unknown one is errs.Unavailable.
func (s *Store) Locate(tx *kv.Tx, host string) (database string, err error) {
	database, _, err = s.locate(tx, host)
	return database, err
}

// DrawID draws an id of the given time. It is not secret, and no two are the
// same.
func (s *Store) DrawID(at time.Time) OID { return s.ids.complete(idAt(at)) }

// MaxMedia returns the most bytes that one media file may have, 0 if the
// operator has not said.
func (e *Session) MaxMedia() (int64, error) {
	d, err := e.store.database(e.tx, e.db)
	if err != nil || d == nil {
		return 0, err
	}
	return d.MaxMedia, nil
}
