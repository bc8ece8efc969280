package command

import (
	"encoding/hex"
)

// Limits that a proposer checks before a command reaches the log. A decoder
// refuses what is over them.
const (
	MaxBytes   = 32 << 20 // of one encoded command
	MaxOps     = 100_000  // in one command
	MaxReads   = 100_000  // spans read by one command
	MaxSpans   = 1_000    // spans deleted by one command
	MaxKey     = 8 << 10  // bytes of one key
	MaxReply   = 1 << 10  // bytes of one reply
	ChunkBytes = 512 << 10

	MaxStateParts = 1 << 32 // pieces of one state
	MaxKeep       = 64      // spans that a state leaves as they are
)

// ID names one command for ever. Two commands with one ID take effect once.
type ID [16]byte

// String returns the ID in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// OpKind is a word of the log's language.
type OpKind uint8

const (
	Set        OpKind = 1 // Key = Value, expiring TTL after the entry's stamp
	Delete     OpKind = 2 // Key is gone, if it was there
	DeleteSpan OpKind = 3 // all keys of [Key, Hi) are gone
	Add        OpKind = 4 // Key's number grows by Delta; a missing one counts as 0
	Touch      OpKind = 5 // Key, if live, expires TTL after the entry's stamp
	Reap       OpKind = 6 // storage of up to Limit expired records is given back
)

// Op is one operation. Fields that its Kind does not name stay zero.
type Op struct {
	Kind  OpKind
	Key   []byte
	Hi    []byte // DeleteSpan: the exclusive end; nil for no end
	Value []byte // Set
	TTL   int64  // Set, Add, Touch: milliseconds; 0 = never expires
	Delta Number // Add
	Limit uint64 // Reap: records to look at
}

// Read says that the writer saw exactly Live live records in [Lo, Hi). The
// read of one key is a span of one key: Point(key). Hi nil is no end.
type Read struct {
	Lo, Hi []byte
	Point  bool // the span is the one key Lo, Hi is nil
	Live   uint64
}

// Command is one atomic change. It is applied if and only if, at its turn in
// the log, nothing in Reads has changed since Version and the entry's stamp is
// not before At (see package fsm for the rule).
type Command struct {
	ID      ID
	Since   uint64 // a machine version at which ID had certainly not been used
	Version uint64 // the machine version that the writer read
	At      int64  // the writer's time, unix milliseconds; matters only with Reads
	Reads   []Read
	Ops     []Op
	Reply   []byte // stored with the result, returned to a repeat under the same ID
}

// Outcome says what became of a command at its turn in the log.
type Outcome uint8

const (
	Applied   Outcome = 1 // it took effect, at Result.Version
	Conflict  Outcome = 2 // no effect: something that it read has changed
	Rejected  Outcome = 3 // no effect: an Add met a value that is no number, or left the range
	Forgotten Outcome = 4 // no effect: its ID is older than what the machine remembers
	Waiting   Outcome = 5 // a chunk that is not the last: nothing yet
)

// Result is what the machine answers to a command.
type Result struct {
	Outcome   Outcome
	Version   uint64   // the machine's version after it; of the first application for a duplicate
	Time      int64    // the machine's clock then, unix milliseconds
	Added     [][]byte // the new value of each Add, in order; for Reap one: how many it looked at
	Reply     []byte
	Duplicate bool   // it had been applied before, this is the stored result
	Msg       string // why it was Rejected or Forgotten, or which read is in Conflict
}
