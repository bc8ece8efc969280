package fsm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/coveydb/covey/store"
)

// A state stream is how a state travels: to a follower that is too far behind,
// into a backup.
//
//	magic "COVEYSTATE", format byte
//	blocks: length (4, little endian), CRC32C (4), payload
//	   payload: pairs in ascending order of key: uvarint length, key, uvarint length, value
//	a block of length 0 ends them; then the number of pairs (8) and the SHA-256 of all payloads (32)
const (
	streamMagic  = "COVEYSTATE"
	StreamFormat = 1 // of a state stream
	blockBytes   = 256 << 10
	maxBlock     = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteStream writes the whole state that r holds.
func WriteStream(w io.Writer, r store.Reader) error {
	s := newStreamWriter(w)
	if err := s.all(r, nil, nil); err != nil {
		return err
	}
	return s.end()
}

// WriteData writes the state that v shows without what is of use in no other
// state: the history and the pieces of large commands that are on their way. It
// is a stream like any other.
func (v *View) WriteData(w io.Writer) error {
	s := newStreamWriter(w)
	if err := s.all(v.snap, []byte{prefixData}, []byte{prefixExpiry + 1}); err != nil {
		return err
	}
	if err := s.all(v.snap, []byte{prefixID}, []byte{prefixID + 1}); err != nil {
		return err
	}
	st := v.State
	st.History, st.HistoryHeld, st.SegmentHeld = st.Version+1, 0, 0
	if err := s.pair(metaKey, st.append(nil)); err != nil {
		return err
	}
	return s.end()
}

type streamWriter struct {
	w     *bufio.Writer
	buf   []byte
	pairs uint64
	sum   hash.Hash
}

func newStreamWriter(w io.Writer) *streamWriter {
	s := &streamWriter{w: bufio.NewWriterSize(w, 64<<10), sum: sha256.New()}
	s.w.WriteString(streamMagic)
	s.w.WriteByte(StreamFormat)
	return s
}

// all writes the pairs of [lo, hi).
func (s *streamWriter) all(r store.Reader, lo, hi []byte) error {
	it := r.Scan(lo, hi)
	for it.Next() {
		if err := s.pair(it.Key(), it.Value()); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return it.Close()
}

func (s *streamWriter) end() error {
	if err := s.flush(); err != nil {
		return err
	}
	s.w.Write(make([]byte, 8)) // length 0, CRC of nothing
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], s.pairs)
	s.w.Write(n[:])
	s.w.Write(s.sum.Sum(nil))
	return s.w.Flush() // bufio keeps the first error
}

func (s *streamWriter) pair(k, v []byte) error {
	s.buf = append(binary.AppendUvarint(s.buf, uint64(len(k))), k...)
	s.buf = append(binary.AppendUvarint(s.buf, uint64(len(v))), v...)
	s.pairs++
	if len(s.buf) >= blockBytes {
		return s.flush()
	}
	return nil
}

// flush writes the block at hand. Its error is any that the writer has met.
func (s *streamWriter) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(s.buf)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(s.buf, castagnoli))
	s.w.Write(head[:])
	_, err := s.w.Write(s.buf)
	s.sum.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

// VerifyStream reads a stream to its end and returns the state it holds. A
// stream that is cut, altered, followed by anything, or that holds what no
// machine writes is an error.
func VerifyStream(r io.Reader) (State, error) {
	return InspectStream(r, func(Record) error { return nil })
}

// InspectStream is VerifyStream which shows every record to see, in the order of
// keys, those that have expired too; an error of see ends it. The record's slices
// are valid during the call, and what was shown counts only if no error comes.
func InspectStream(r io.Reader, see func(Record) error) (State, error) {
	var in inspector
	err := in.readStream(r, func(key, value []byte) error {
		if key[0] != prefixData {
			return nil
		}
		h, value, err := decodeRecord(value)
		if err != nil {
			return err
		}
		return see(Record{Key: key[1:], Value: value, Version: h.version, Expiry: h.expiry})
	})
	if err == nil {
		_, err = in.ring()
	}
	return in.st, err
}

// readStream hands each pair of a stream to set after looking at it itself.
func (n *inspector) readStream(r io.Reader, set func(key, value []byte) error) error {
	return readStream(r, func(key, value []byte) error {
		if err := n.pair(key, value); err != nil {
			return err
		}
		return set(key, value)
	})
}

// readStream hands each pair to set, whose slices are valid only during the
// call. Pairs may have been handed out before an error shows.
func readStream(r io.Reader, set func(key, value []byte) error) error {
	br := bufio.NewReaderSize(r, 64<<10)
	var head [len(streamMagic) + 1]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return fmt.Errorf("state stream: header: %w", err)
	}
	if string(head[:len(streamMagic)]) != streamMagic {
		return errors.New("state stream: this is not a Covey state")
	}
	if f := head[len(streamMagic)]; f != StreamFormat {
		return fmt.Errorf("state stream: format %d, this release reads %d", f, StreamFormat)
	}
	s := streamReader{r: br, sum: sha256.New(), set: set}
	for {
		more, err := s.block()
		if err != nil {
			return fmt.Errorf("state stream: %w", err)
		}
		if !more {
			return s.trailer()
		}
	}
}

type streamReader struct {
	r     *bufio.Reader
	buf   bytes.Buffer
	last  []byte
	pairs uint64
	sum   hash.Hash
	set   func(key, value []byte) error
}

func (s *streamReader) block() (more bool, err error) {
	var head [8]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return false, fmt.Errorf("block header: %w", noEOF(err))
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxBlock {
		return false, fmt.Errorf("block of %d bytes, the limit is %d", n, maxBlock)
	}
	// The buffer grows with what arrives, not with what the header promises.
	s.buf.Reset()
	if _, err := io.CopyN(&s.buf, s.r, int64(n)); err != nil {
		return false, fmt.Errorf("block: %w", noEOF(err))
	}
	p := s.buf.Bytes()
	if crc32.Checksum(p, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return false, errors.New("block checksum does not match")
	}
	s.sum.Write(p)
	return n != 0, s.payload(p)
}

func (s *streamReader) payload(p []byte) error {
	for len(p) > 0 {
		var kv [2][]byte
		for i := range kv {
			n, k := binary.Uvarint(p)
			if k <= 0 || n > uint64(len(p)-k) {
				return errors.New("a pair runs over its block")
			}
			kv[i], p = p[k:k+int(n)], p[k+int(n):]
		}
		if s.pairs > 0 && bytes.Compare(s.last, kv[0]) >= 0 {
			return errors.New("keys are not in order")
		}
		s.last = append(s.last[:0], kv[0]...)
		s.pairs++
		if err := s.set(kv[0], kv[1]); err != nil {
			return err
		}
	}
	return nil
}

func (s *streamReader) trailer() error {
	var t [8 + sha256.Size]byte
	if _, err := io.ReadFull(s.r, t[:]); err != nil {
		return fmt.Errorf("state stream: trailer: %w", noEOF(err))
	}
	if n := binary.LittleEndian.Uint64(t[:]); n != s.pairs {
		return fmt.Errorf("state stream: %d pairs, the trailer says %d", s.pairs, n)
	}
	if !bytes.Equal(t[8:], s.sum.Sum(nil)) {
		return errors.New("state stream: the hash of all blocks does not match")
	}
	switch _, err := s.r.ReadByte(); {
	case err == nil:
		return errors.New("state stream: bytes after the end")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("state stream: after the end: %w", err)
	}
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// WriteStream writes the whole state that v shows; see the function.
func (v *View) WriteStream(w io.Writer) error { return WriteStream(w, v.snap) }

// Hash returns a hash of every byte of the state that v shows: equal on two
// nodes if and only if their states are.
func (v *View) Hash() ([32]byte, error) {
	var out [32]byte
	h := sha256.New()
	err := v.WriteStream(h)
	h.Sum(out[:0])
	return out, err
}
