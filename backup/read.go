package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"github.com/coveydb/covey/fsm"
)

// Reader reads a backup: its header at once, its state stream as an io.Reader.
// It is for one goroutine.
type Reader struct {
	header Header
	r      *bufio.Reader
	sum    hash.Hash
	left   int    // of the frame at hand
	stream uint64 // bytes of the state stream that were read
	at     uint64 // bytes of the file that were read
	err    error  // final
}

// NewReader reads the header of the backup in r and checks it. Errors are of
// kind errs.Invalid with one of the causes of this package, or r's.
func NewReader(r io.Reader) (*Reader, error) {
	b := &Reader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	crc := crc32.New(castagnoli)
	head := make([]byte, len(magic)+1+4)
	if n, err := io.ReadFull(b.r, head); err != nil {
		if !ended(err) {
			return nil, err
		}
		if n > 0 && strings.HasPrefix(magic, string(head[:min(n, len(magic))])) {
			return nil, refuse(ErrTruncated, "it has %d bytes", n)
		}
		return nil, refuse(ErrForeign, "it has %d bytes", n)
	}
	if string(head[:len(magic)]) != magic {
		if bytes.HasPrefix([]byte(ageMagic), head[:len(magic)]) {
			return nil, refuse(ErrEncrypted, "it begins with age's header")
		}
		return nil, refuse(ErrForeign, "it begins with other bytes")
	}
	if f := head[len(magic)]; f > Format {
		return nil, refuse(ErrNewer, "it has format %d, this release reads up to %d", f, Format)
	} else if f == 0 {
		return nil, refuse(ErrDamaged, "it has format 0")
	}
	n := binary.LittleEndian.Uint32(head[len(magic)+1:])
	if n > maxHeader {
		return nil, refuse(ErrDamaged, "a header of %d bytes, the limit is %d", n, maxHeader)
	}
	text := make([]byte, n+4)
	if k, err := io.ReadFull(b.r, text); err != nil {
		if !ended(err) {
			return nil, err
		}
		return nil, refuse(ErrTruncated, "it ends after %d bytes, in its header", len(head)+k)
	}
	crc.Write(head)
	crc.Write(text[:n])
	if crc.Sum32() != binary.LittleEndian.Uint32(text[n:]) {
		return nil, refuse(ErrDamaged, "the checksum of its header does not match")
	}
	b.sum.Write(head)
	b.sum.Write(text)
	b.at = uint64(len(head) + len(text))
	var err error
	b.header, err = decodeHeader(text[:n])
	return b, err
}

// Header returns the backup's header.
func (b *Reader) Header() Header { return b.header }

// Read implements io.Reader: it reads the state stream, and ends with io.EOF only
// if the whole file is as it was written and nothing follows it.
func (b *Reader) Read(p []byte) (int, error) {
	for b.err == nil && b.left == 0 {
		b.err = b.frame()
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.sum.Write(p[:n])
	b.left -= n
	b.stream += uint64(n)
	b.at += uint64(n)
	if err != nil {
		b.err = b.broken(err)
	}
	return n, nil
}

// frame reads the head of the next frame. The end of the last one is io.EOF.
func (b *Reader) frame() error {
	var head [4]byte
	if err := b.full(head[:]); err != nil {
		return err
	}
	b.sum.Write(head[:])
	n := binary.LittleEndian.Uint32(head[:])
	switch {
	case n > maxFrame:
		return refuse(ErrDamaged, "a frame of %d bytes before byte %d, the limit is %d", n, b.at, maxFrame)
	case n > 0:
		b.left = int(n)
		return nil
	}
	var sum [sha256.Size]byte
	if err := b.full(sum[:]); err != nil {
		return err
	}
	if !bytes.Equal(sum[:], b.sum.Sum(nil)) {
		return refuse(ErrDamaged, "its checksum does not match")
	}
	switch _, err := b.r.ReadByte(); {
	case err == nil:
		return refuse(ErrDamaged, "bytes follow its end at byte %d", b.at)
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

func (b *Reader) full(p []byte) error {
	n, err := io.ReadFull(b.r, p)
	b.at += uint64(n)
	if err != nil {
		return b.broken(err)
	}
	return nil
}

// broken is the error of a file that ends where more must come.
func (b *Reader) broken(err error) error {
	if ended(err) {
		return refuse(ErrTruncated, "it ends after %d bytes", b.at)
	}
	return err
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// Summary is what Verify found in a backup.
type Summary struct {
	Header  Header
	Bytes   uint64    // of the file, inside the encryption
	Stream  uint64    // bytes of the state stream in it
	State   fsm.State // as it stands in the file
	Records uint64    // live ones and those that had expired and were not yet reaped
}

// Verify reads the backup in r to its end and checks all of it, so that what it
// accepts can be restored. Errors are as those of NewReader.
func Verify(r io.Reader) (Summary, error) { return Inspect(r, nil) }

// Inspect is Verify which shows every record to see, if that is not nil; an
// error of see ends it and is returned. The record's slices are valid during the
// call. What was shown counts only when Inspect ends well.
func Inspect(r io.Reader, see func(fsm.Record) error) (Summary, error) {
	b, err := NewReader(r)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{Header: b.header}
	var seen error
	s.State, err = fsm.InspectStream(b, func(rec fsm.Record) error {
		s.Records++
		if see != nil {
			seen = see(rec)
		}
		return seen
	})
	s.Bytes, s.Stream = b.at, b.stream
	switch {
	case seen != nil:
		return s, seen
	case b.err != nil && !errors.Is(b.err, io.EOF):
		return s, b.err
	case err != nil:
		return s, refuse(ErrDamaged, "%v", err)
	case b.err == nil:
		return s, refuse(ErrDamaged, "bytes follow its state")
	case s.State.Version != b.header.Version || s.State.Index != b.header.Index || s.State.Clock != b.header.Clock:
		return s, refuse(ErrDamaged, "its header speaks of version %d, its state is at version %d", b.header.Version, s.State.Version)
	}
	return s, nil
}
