package command

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Entry is what one Raft log entry holds: commands, one chunk of a large one, or
// one piece of a state.
type Entry struct {
	Time     int64    // the leader's stamp, unix milliseconds
	Commands [][]byte // each for Decode
	Chunk    *Chunk
	State    *StatePart
}

// DecodeEntry reads an entry, which aliases p. An entry of a newer format is a
// FormatError.
func DecodeEntry(p []byte) (Entry, error) {
	var e Entry
	if len(p) < 2+1+crcLen {
		return e, errTruncated
	}
	if p[0] == 0 || p[0] > Format {
		return e, FormatError{p[0]}
	}
	body, sum := p[:len(p)-crcLen], p[len(p)-crcLen:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return e, errChecksum
	}
	d := decoder{p: body[2:]}
	e.Time = d.varint()
	switch [2]byte{body[0], body[1]} {
	case [2]byte{formatCommands, kindCommands}:
		n := d.count(len(d.p))
		e.Commands = make([][]byte, 0, n)
		for range n {
			e.Commands = append(e.Commands, d.bytes(MaxBytes))
		}
	case [2]byte{formatCommands, kindChunk}:
		c := d.chunk(2, MaxBytes)
		e.Chunk = &c
	case [2]byte{FormatState, kindState}:
		e.State = &StatePart{Chunk: d.chunk(1, MaxStateParts), Keep: d.keep()}
	default:
		return e, fmt.Errorf("command: entry of unknown kind %d in format %d", body[1], body[0])
	}
	return e, d.end()
}

// chunk reads a piece of which there are between least and most.
func (d *decoder) chunk(least, most uint64) Chunk {
	var c Chunk
	copy(c.Set[:], d.take(len(c.Set)))
	c.Total, c.Seq = d.uvarint(), d.uvarint()
	c.Data = d.bytes(ChunkBytes)
	if d.err == nil && (c.Total < least || c.Total > most || c.Seq >= c.Total || len(c.Data) == 0) {
		d.fail(fmt.Errorf("command: chunk %d of %d with %d bytes", c.Seq, c.Total, len(c.Data)))
	}
	return c
}

// keep reads the spans that stay.
func (d *decoder) keep() []Span {
	var all []Span
	end := []byte{} // a span begins at the end of the one before it, or behind it
	for range d.count(MaxKeep) {
		s := Span{Lo: d.bytes(MaxKey), Hi: d.bytes(MaxKey)}
		if bytes.Compare(end, s.Lo) > 0 || bytes.Compare(s.Lo, s.Hi) >= 0 {
			d.fail(errors.New("command: spans to keep that are not in order"))
			return nil
		}
		all, end = append(all, s), s.Hi
	}
	return all
}

// Decode reads one command, which aliases p, and checks it against the limits.
func Decode(p []byte) (*Command, error) {
	c := &Command{}
	return c, c.Decode(p)
}

// Decode is Decode into c, whose slices are used again.
func (c *Command) Decode(p []byte) error {
	if len(p) > MaxBytes {
		return fmt.Errorf("command: %d bytes, the limit is %d", len(p), MaxBytes)
	}
	d := decoder{p: p}
	copy(c.ID[:], d.take(len(c.ID)))
	c.Since, c.Version, c.At = d.uvarint(), d.uvarint(), d.varint()
	n := d.count(MaxReads)
	c.Reads = c.Reads[:0]
	for i := 0; i < n && d.err == nil; i++ {
		c.Reads = append(c.Reads, d.read())
	}
	n = d.count(MaxOps)
	c.Ops = c.Ops[:0]
	spans := 0
	for i := 0; i < n && d.err == nil; i++ {
		c.Ops = append(c.Ops, d.op())
		if c.Ops[i].Kind == DeleteSpan {
			spans++
		}
	}
	if spans > MaxSpans {
		d.fail(fmt.Errorf("command: %d deleted spans, the limit is %d", spans, MaxSpans))
	}
	c.Reply = d.bytes(MaxReply)
	return d.end()
}

// decoder reads from the head of p. After a failure it reads nothing and
// keeps the first error.
type decoder struct {
	p   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.p = err, nil
	}
}

func (d *decoder) end() error {
	if d.err == nil && len(d.p) != 0 {
		return errTrailing
	}
	return d.err
}

func (d *decoder) take(n int) []byte {
	if n > len(d.p) {
		d.fail(errTruncated)
		return nil
	}
	v := d.p[:n:n]
	d.p = d.p[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.p) == 0 {
		d.fail(errTruncated)
		return 0
	}
	b := d.p[0]
	d.p = d.p[1:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.p)
	switch {
	case n <= 0:
		d.fail(errTruncated)
		return 0
	case n > 1 && d.p[n-1] == 0:
		d.fail(errEncoding)
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads how many elements follow: each takes a byte or more, so a count
// larger than what is left is an error before anything is allocated for it.
func (d *decoder) count(limit int) int {
	n := d.uvarint()
	if n > uint64(limit) || n > uint64(len(d.p)) {
		d.fail(fmt.Errorf("command: %d elements, at most %d can follow", n, min(limit, len(d.p))))
		return 0
	}
	return int(n)
}

func (d *decoder) bytes(limit int) []byte {
	n := d.uvarint()
	if n > uint64(limit) {
		d.fail(fmt.Errorf("command: field of %d bytes, the limit is %d", n, limit))
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) read() Read {
	var r Read
	switch kind := d.byte(); kind {
	case readPoint:
		r.Point, r.Lo = true, d.bytes(MaxKey)
	case readOpen:
		r.Lo = d.bytes(MaxKey)
	case readSpan:
		r.Lo, r.Hi = d.bytes(MaxKey), d.bytes(MaxKey)
		if bytes.Compare(r.Lo, r.Hi) > 0 {
			d.fail(fmt.Errorf("command: a read span ends before it begins"))
		}
	default:
		d.fail(fmt.Errorf("command: unknown kind of read %d", kind))
	}
	r.Live = d.uvarint()
	return r
}

func (d *decoder) op() Op {
	o := Op{Kind: OpKind(d.byte())}
	if o.Kind == Reap {
		o.Limit = d.uvarint()
		return o
	}
	o.Key = d.bytes(MaxKey)
	switch o.Kind {
	case Set:
		o.TTL, o.Value = d.ttl(), d.bytes(MaxBytes)
	case Delete:
	case DeleteSpan:
		switch open := d.byte(); {
		case open == 1:
			o.Hi = d.bytes(MaxKey)
			if bytes.Compare(o.Key, o.Hi) > 0 {
				d.fail(fmt.Errorf("command: a deleted span ends before it begins"))
			}
		case open != 0:
			d.fail(errEncoding)
		}
	case Add:
		o.TTL, o.Delta = d.ttl(), d.number()
	case Touch:
		o.TTL = d.ttl()
	default:
		d.fail(fmt.Errorf("command: unknown op %d", o.Kind))
	}
	return o
}

func (d *decoder) ttl() int64 {
	v := d.uvarint()
	if v > 1<<62 {
		d.fail(fmt.Errorf("command: time to live of %d ms", v))
	}
	return int64(v)
}

func (d *decoder) number() Number {
	text := d.take(int(d.byte()))
	n, ok := ParseNumber(text)
	if !ok {
		d.fail(fmt.Errorf("command: %.40q is not a number", text))
		return Number{}
	}
	var one [maxNumberText]byte
	if enc := n.encode(one[:0]); d.err == nil && !bytes.Equal(enc[1:], text) {
		d.fail(errEncoding)
	}
	return n
}
