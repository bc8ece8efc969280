package media

import (
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/layer/collection"
)

// beatByte follows the key of an upload's marker in the key of its beat.
const beatByte = 0

func join(prefix, rest []byte) []byte { return append(prefix[:len(prefix):len(prefix)], rest...) }

func rowKey(database string, id collection.OID) []byte {
	return join(collection.MediaKeysOf(database).Row, id[:])
}

func nameKey(database, file string) []byte {
	return tuple.AppendString(collection.MediaKeysOf(database).Name, file)
}

// markerKey is there from the first chunk of an upload to its end. Chunks are
// guarded by it, so it never changes in between.
func markerKey(database string, upload collection.OID) []byte {
	return join(collection.MediaKeysOf(database).Upload, upload[:])
}

// beatKey says which files the upload holds and when it was last alive.
func beatKey(database string, upload collection.OID) []byte {
	return append(markerKey(database, upload), beatByte)
}

// readBeatKey reads a key of collection.Uploads; ok is false for a marker.
func readBeatKey(key []byte) (database string, upload collection.OID, ok bool) {
	database, rest, err := collection.UploadDatabase(key)
	if err != nil || len(rest) != len(upload)+1 {
		return "", upload, false
	}
	return database, collection.OID(rest[:len(upload)]), rest[len(upload)] == beatByte
}

func chunkPrefix(database string, id collection.OID) []byte {
	return join(collection.MediaKeysOf(database).Chunk, id[:])
}

func chunkKey(database string, id collection.OID, number uint64) []byte {
	return tuple.AppendUint(chunkPrefix(database, id), number)
}

func previewPrefix(database string, id collection.OID) []byte {
	return join(collection.MediaKeysOf(database).Preview, id[:])
}

func previewKey(database string, id collection.OID, kind Kind) []byte {
	return append(previewPrefix(database, id), byte(kind))
}
