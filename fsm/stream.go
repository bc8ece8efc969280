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
	bw := bufio.NewWriterSize(w, 64<<10)
	bw.WriteString(streamMagic)
	bw.WriteByte(StreamFormat)
	s := streamWriter{w: bw, sum: sha256.New()}
	it := r.Scan(nil, nil)
	for it.Next() {
		s.pair(it.Key(), it.Value())
	}
	if err := it.Close(); err != nil {
		return err
	}
	s.flush()
	bw.Write(make([]byte, 8)) // length 0, CRC of nothing
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], s.pairs)
	bw.Write(n[:])
	bw.Write(s.sum.Sum(nil))
	return bw.Flush() // bufio keeps the first error
}

type streamWriter struct {
	w     *bufio.Writer
	buf   []byte
	pairs uint64
	sum   hash.Hash
}

func (s *streamWriter) pair(k, v []byte) {
	s.buf = append(binary.AppendUvarint(s.buf, uint64(len(k))), k...)
	s.buf = append(binary.AppendUvarint(s.buf, uint64(len(v))), v...)
	s.pairs++
	if len(s.buf) >= blockBytes {
		s.flush()
	}
}

func (s *streamWriter) flush() {
	if len(s.buf) == 0 {
		return
	}
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(s.buf)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(s.buf, castagnoli))
	s.w.Write(head[:])
	s.w.Write(s.buf)
	s.sum.Write(s.buf)
	s.buf = s.buf[:0]
}

// VerifyStream reads a stream to its end and returns the state it holds. A
// stream that is cut, altered, followed by anything, or that holds what no
// machine writes is an error.
func VerifyStream(r io.Reader) (State, error) {
	var in inspector
	err := in.readStream(r, func(_, _ []byte) error { return nil })
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
	if _, err := s.r.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("state stream: bytes after the end")
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
