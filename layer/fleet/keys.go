package fleet

import "github.com/coveydb/covey/internal/tuple"

// The layer's keys, all below one byte:
//
//	'f' 'a'                -> what is wanted of the membership
//	'f' 'w' string(node)   -> what is wanted of one node
//	'f' 't' string(token)  -> join token, until some time after it is of no use
//	'f' 'n' string(node)   -> what a node that joined by a token may be called
//	'f' 'b'                -> how the scheduled backups stand
//	'f' 'c'                -> authority that signs nodes' certificates
//	'f' 'g'                -> gossip keys
//	'f' 'r' string(id)     -> root key
//	'f' 'x' bytes(hash)    -> root key of a file that was dropped
const (
	layerByte     = 'f'
	autopilotByte = 'a'
	wishByte      = 'w'
	tokenByte     = 't'
	authorityByte = 'c'
	memberByte    = 'n'
	gossipByte    = 'g'
	rootByte      = 'r'
	droppedByte   = 'x'
	backupByte    = 'b'
)

func key(kind byte) []byte { return []byte{layerByte, kind} }

func named(kind byte, name string) []byte { return tuple.AppendString(key(kind), name) }

// all returns the span of all keys of a kind.
func all(kind byte) (lo, hi []byte) { return tuple.Span(key(kind)) }
