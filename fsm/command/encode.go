package command

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Format is the newest entry format that this build reads. An entry is written
// in the oldest one that can say it: FormatState for a part of a state, else 1.
const Format = 2

// FormatState is the format that every member must read before a part of a state
// may go into the log.
const FormatState = 2

const (
	formatCommands = 1

	kindCommands = 1
	kindChunk    = 2
	kindState    = 3

	readPoint = 1
	readSpan  = 2
	readOpen  = 3 // a span without end

	crcLen = 4
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errTruncated = errors.New("command: truncated")
	errTrailing  = errors.New("command: bytes after the end")
	errChecksum  = errors.New("command: checksum does not match")
	errEncoding  = errors.New("command: not the shortest encoding")
)

func appendBytes(dst, p []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(p))), p...)
}

// Append appends c's encoding, without checking it; see Check.
func (c *Command) Append(dst []byte) []byte {
	dst = append(dst, c.ID[:]...)
	dst = binary.AppendUvarint(dst, c.Since)
	dst = binary.AppendUvarint(dst, c.Version)
	dst = binary.AppendVarint(dst, c.At)
	dst = binary.AppendUvarint(dst, uint64(len(c.Reads)))
	for i := range c.Reads {
		dst = c.Reads[i].append(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Ops)))
	for i := range c.Ops {
		dst = c.Ops[i].append(dst)
	}
	return appendBytes(dst, c.Reply)
}

func (r *Read) append(dst []byte) []byte {
	switch {
	case r.Point:
		dst = appendBytes(append(dst, readPoint), r.Lo)
	case r.Hi == nil:
		dst = appendBytes(append(dst, readOpen), r.Lo)
	default:
		dst = appendBytes(appendBytes(append(dst, readSpan), r.Lo), r.Hi)
	}
	return binary.AppendUvarint(dst, r.Live)
}

func (o *Op) append(dst []byte) []byte {
	dst = append(dst, byte(o.Kind))
	if o.Kind == Reap {
		return binary.AppendUvarint(dst, o.Limit)
	}
	dst = appendBytes(dst, o.Key)
	switch o.Kind {
	case Set:
		dst = binary.AppendUvarint(dst, uint64(o.TTL))
		dst = appendBytes(dst, o.Value)
	case DeleteSpan:
		if o.Hi == nil {
			return append(dst, 0)
		}
		dst = appendBytes(append(dst, 1), o.Hi)
	case Add:
		dst = binary.AppendUvarint(dst, uint64(o.TTL))
		dst = o.Delta.encode(dst)
	case Touch:
		dst = binary.AppendUvarint(dst, uint64(o.TTL))
	}
	return dst
}

// encode appends a length byte and the number's text: exact, and readable in
// a dump of the log. A float whose text would read as an integer gets ".0".
func (n Number) encode(dst []byte) []byte {
	at := len(dst)
	dst = n.Append(append(dst, 0))
	if n.float {
		if back, _ := ParseNumber(dst[at+1:]); !back.float {
			dst = append(dst, '.', '0')
		}
	}
	dst[at] = byte(len(dst) - at - 1)
	return dst
}

// Size returns a close upper bound of the length of c's encoding.
func (c *Command) Size() int {
	n := 16 + 3*binary.MaxVarintLen64 + 12 + len(c.Reply)
	for i := range c.Reads {
		n += 21 + len(c.Reads[i].Lo) + len(c.Reads[i].Hi)
	}
	for i := range c.Ops {
		n += 36 + len(c.Ops[i].Key) + len(c.Ops[i].Hi) + len(c.Ops[i].Value)
	}
	return n
}

// AppendEntry appends an entry that holds commands, each already encoded by
// Command.Append, under the leader's stamp (unix milliseconds).
func AppendEntry(dst []byte, stamp int64, commands ...[]byte) []byte {
	at := len(dst)
	dst = binary.AppendVarint(append(dst, formatCommands, kindCommands), stamp)
	dst = binary.AppendUvarint(dst, uint64(len(commands)))
	for _, c := range commands {
		dst = appendBytes(dst, c)
	}
	return appendCRC(dst, at)
}

func appendCRC(dst []byte, at int) []byte {
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// Chunk is one piece of what is too large for one entry: an encoded command, or
// a whole state. Set is drawn from the content, so that a piece that is sent
// again is the same piece.
type Chunk struct {
	Set   ID
	Total uint64 // pieces in all, at least 2 of a command
	Seq   uint64 // from 0
	Data  []byte
}

// AppendChunk appends an entry that holds one chunk.
func AppendChunk(dst []byte, stamp int64, c Chunk) []byte {
	at := len(dst)
	dst = c.append(binary.AppendVarint(append(dst, formatCommands, kindChunk), stamp))
	return appendCRC(dst, at)
}

func (c *Chunk) append(dst []byte) []byte {
	dst = append(dst, c.Set[:]...)
	dst = binary.AppendUvarint(dst, c.Total)
	dst = binary.AppendUvarint(dst, c.Seq)
	return appendBytes(dst, c.Data)
}

// Span is the keys from Lo on that are below Hi.
type Span struct{ Lo, Hi []byte }

// StatePart is one piece of a state stream. With the last one the machine's
// state becomes that of the stream, but for the records of the spans that the
// last piece names: those stay as they are. See package fsm.
type StatePart struct {
	Chunk
	Keep []Span // ascending, apart from each other, none empty; at most MaxKeep
}

// Last reports whether it is the last one.
func (p *StatePart) Last() bool { return p.Seq == p.Total-1 }

// AppendState appends an entry that holds one piece of a state.
func AppendState(dst []byte, stamp int64, p StatePart) []byte {
	at := len(dst)
	dst = p.Chunk.append(binary.AppendVarint(append(dst, FormatState, kindState), stamp))
	dst = binary.AppendUvarint(dst, uint64(len(p.Keep)))
	for _, s := range p.Keep {
		dst = appendBytes(appendBytes(dst, s.Lo), s.Hi)
	}
	return appendCRC(dst, at)
}

// FormatError says that an entry was written by a newer release.
type FormatError struct{ Format byte }

func (e FormatError) Error() string {
	return fmt.Sprintf("the log holds an entry of format %d, this release reads up to %d: start a newer release", e.Format, Format)
}
