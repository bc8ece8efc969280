package collection

import "github.com/coveydb/covey/internal/tuple"

// The layer's keys, all below one byte:
//
//	'c' 'g'                                  -> settings of the cluster
//	'c' 'd' string(database)                 -> row of a database
//	'c' 's' string(database) string(name)    -> setting of a database
//	'c' 'a' string(database) hash            -> access key, by the SHA-256 of its text
//	'c' 'r' string(database) hash            -> refresh token, by the SHA-256 of its text
//	'c' 'c' string(database) string(name)    -> row of a collection
//	'c' 'i'                                  -> the last number given to a collection or an index
//	'c' 'n' uint(collection)                 -> how many documents it holds, a counter
//	'c' 'q' uint(collection) string(field)   -> the last number given to an auto-increment field
//	'c' 'o' uint(collection) id              -> document
//	'c' 'x' uint(index) values... id         -> entry of an index, empty
//	'c' 'x' uint(index) values...            -> entry of a unique index without nulls: the id
//	'c' 'b' uint(index)                      -> how far the build of an index has come
//	'c' 'e' string(database) uint(collection) id -> documents that a commit deleted, for listeners
//	'c' 'p' string(database) random          -> message that was published
//	'c' 't' string(database) hash            -> what a public link stands for, by the SHA-256 of its token
//	'c' 'h' string(database)                 -> webhooks of a database
//	'c' 'm' string(database) id              -> media file
//	'c' 'f' string(database) string(file)    -> its id, by the name that it was given
//	'c' 'u' string(database) id              -> upload under way, by the id of its first file
//	'c' 'k' string(database) id uint(number) -> chunk of a file
//	'c' 'y' string(database) id kind         -> picture that was made of a file
//
// Numbers stand for names in the keys of data, so that data is short and a
// collection that is created again never meets what an earlier one left.
const (
	layerByte      = 'c'
	clusterByte    = 'g'
	databaseByte   = 'd'
	settingByte    = 's'
	accessByte     = 'a'
	refreshByte    = 'r'
	collectionByte = 'c'
	numberByte     = 'i'
	countByte      = 'n'
	sequenceByte   = 'q'
	documentByte   = 'o'
	indexByte      = 'x'
	buildByte      = 'b'
	deletionByte   = 'e'
	messageByte    = 'p'
	linkByte       = 't'
	hookByte       = 'h'
	mediaByte      = 'm'
	fileByte       = 'f'
	uploadByte     = 'u'
	chunkByte      = 'k'
	previewByte    = 'y'
)

// key begins a key of a kind, in a slice of its own with room for n more bytes.
func key(kind byte, n int) []byte { return append(make([]byte, 0, 2+n), layerByte, kind) }

func clusterKey() []byte { return key(clusterByte, 0) }
func numberKey() []byte  { return key(numberByte, 0) }

func databaseKey(database string) []byte {
	return tuple.AppendString(key(databaseByte, len(database)+3), database)
}

func settingKey(database, name string) []byte {
	return tuple.AppendString(tuple.AppendString(key(settingByte, len(database)+len(name)+6), database), name)
}

func accessKey(database string, hash []byte) []byte {
	return append(tuple.AppendString(key(accessByte, len(database)+3+len(hash)), database), hash...)
}

func refreshKey(database string, hash []byte) []byte {
	return append(tuple.AppendString(key(refreshByte, len(database)+3+len(hash)), database), hash...)
}

func hooksKey(database string) []byte {
	return tuple.AppendString(key(hookByte, len(database)+3), database)
}

func linkKey(database string, hash []byte) []byte {
	return append(tuple.AppendString(key(linkByte, len(database)+3+len(hash)), database), hash...)
}

func collectionKey(database, name string) []byte {
	return tuple.AppendString(tuple.AppendString(key(collectionByte, len(database)+len(name)+6), database), name)
}

// below returns the span of the keys of a kind that belong to a database.
func below(kind byte, database string) (lo, hi []byte) {
	return tuple.Span(tuple.AppendString(key(kind, len(database)+3), database))
}

func countKey(collection uint64) []byte { return tuple.AppendUint(key(countByte, 9), collection) }

func sequenceKey(collection uint64, field string) []byte {
	return tuple.AppendString(tuple.AppendUint(key(sequenceByte, 12+len(field)), collection), field)
}

func documentKey(collection uint64, id OID) []byte {
	return append(tuple.AppendUint(key(documentByte, 9+len(id)), collection), id[:]...)
}

func documentSpan(collection uint64) (lo, hi []byte) {
	return tuple.Span(tuple.AppendUint(key(documentByte, 9), collection))
}

// documentID reads the id from the key of a document.
func documentID(key []byte) OID { return OID(key[len(key)-len(OID{}):]) }

func indexPrefix(index uint64) []byte { return tuple.AppendUint(key(indexByte, 9), index) }
func buildKey(index uint64) []byte    { return tuple.AppendUint(key(buildByte, 9), index) }

// buildSpan holds the builds of all indexes.
func buildSpan() (lo, hi []byte) { return tuple.Span(key(buildByte, 0)) }

// buildIndex reads the index from a key of buildSpan.
func buildIndex(key []byte) (uint64, error) {
	index, _, err := tuple.Uint(key[2:])
	return index, err
}

// deletionPrefix is what the keys of a database's deletions begin with.
func deletionPrefix(database string, n int) []byte {
	return tuple.AppendString(key(deletionByte, len(database)+3+n), database)
}

// deletionKey is that of the deletion whose first document is id.
func deletionKey(database string, collection uint64, id OID) []byte {
	return append(tuple.AppendUint(deletionPrefix(database, 9+len(id)), collection), id[:]...)
}

// messagePrefix is what the keys of a database's messages begin with.
func messagePrefix(database string, n int) []byte {
	return tuple.AppendString(key(messageByte, len(database)+3+n), database)
}
