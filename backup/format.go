package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
)

// Format is the newest file format that this release reads, and the one that it
// writes.
const Format = 1

const (
	magic      = "COVEYBACKUP"
	maxHeader  = 64 << 10
	frameBytes = 256 << 10
	maxFrame   = 1 << 20
)

// Why a file is not taken. Each is the cause of an error of kind errs.Invalid
// that says more.
var (
	ErrForeign   = errors.New("this is not a Covey backup")
	ErrNewer     = errors.New("a newer release wrote this backup: use that release or a later one")
	ErrDamaged   = errors.New("the backup is damaged")
	ErrTruncated = errors.New("the backup is cut off: its end is missing")
	ErrEncrypted = errors.New("the backup is encrypted with age: an identity or the passphrase is needed")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says what a backup holds. It is in clear at the head of the file
// (inside the encryption, if there is any).
type Header struct {
	Cluster string    `json:"cluster_id"`        // 32 hexadecimal digits
	Node    string    `json:"node"`              // that wrote it
	Release string    `json:"release,omitempty"` // of that node
	Created time.Time `json:"created"`
	Version uint64    `json:"version"` // of the state
	Index   uint64    `json:"index"`   // of the last entry applied, in the log of its cluster
	Clock   int64     `json:"clock"`   // of the state, unix milliseconds: records live then are in it
	Formats Formats   `json:"formats"`
}

// Formats are those of what the file holds.
type Formats struct {
	Stream int `json:"stream"`
	State  int `json:"state"`
}

// Describe returns the header of a backup of a state: all but who makes it.
func Describe(st fsm.State) Header {
	return Header{
		Version: st.Version, Index: st.Index, Clock: st.Clock,
		Formats: Formats{Stream: fsm.StreamFormat, State: fsm.StateFormat},
	}
}

// Write writes a backup to w: h, and what state writes. state must write one
// state stream, and is called once. An error of w or of state is returned as it
// is; then what was written is no backup.
func Write(w io.Writer, h Header, state func(w io.Writer) error) error {
	head, err := json.Marshal(h)
	if err != nil {
		return errs.E(errs.Internal, "encode the header of a backup: %w", err)
	}
	if len(head) > maxHeader {
		return errs.E(errs.Invalid, "a backup header of %d bytes, the limit is %d", len(head), maxHeader)
	}
	p := append([]byte(magic), Format)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(head)))
	p = append(p, head...)
	p = binary.LittleEndian.AppendUint32(p, crc32.Checksum(p, castagnoli))
	f := &frames{w: w, sum: sha256.New(), buf: make([]byte, 4, 4+frameBytes)}
	if err := f.send(p); err != nil {
		return err
	}
	if err := state(f); err != nil {
		return err
	}
	if err := f.flush(); err != nil {
		return err
	}
	if err := f.send(make([]byte, 4)); err != nil {
		return err
	}
	_, err = w.Write(f.sum.Sum(nil))
	return err
}

// frames cuts what is written to it into frames.
type frames struct {
	w   io.Writer
	sum hash.Hash
	buf []byte // of the frame at hand, after room for its length
}

// Write implements io.Writer.
func (f *frames) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), cap(f.buf)-len(f.buf))
		f.buf = append(f.buf, p[:k]...)
		n, p = n+k, p[k:]
		if len(f.buf) == cap(f.buf) {
			if err := f.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (f *frames) flush() error {
	if len(f.buf) == 4 {
		return nil
	}
	binary.LittleEndian.PutUint32(f.buf, uint32(len(f.buf)-4))
	err := f.send(f.buf)
	f.buf = f.buf[:4]
	return err
}

func (f *frames) send(p []byte) error {
	f.sum.Write(p)
	_, err := f.w.Write(p)
	return err
}

// decodeHeader reads the JSON of a header whose checksum was right: what is
// wrong with it now was written so.
func decodeHeader(p []byte) (Header, error) {
	var h Header
	dec := json.NewDecoder(bytes.NewReader(p))
	if err := dec.Decode(&h); err != nil {
		return h, refuse(ErrDamaged, "its header: %v", err)
	}
	if h.Formats.Stream > fsm.StreamFormat || h.Formats.State > fsm.StateFormat {
		return h, refuse(ErrNewer, "its state has format %d.%d, this release reads up to %d.%d",
			h.Formats.Stream, h.Formats.State, fsm.StreamFormat, fsm.StateFormat)
	}
	return h, nil
}

// refuse is an error whose cause is one of those above.
func refuse(cause error, format string, args ...any) error {
	return errs.E(errs.Invalid, "%w (%s)", cause, fmt.Sprintf(format, args...))
}
