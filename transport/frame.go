package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame on a connection for calls, integers big-endian:
//
//	length  4  of all that follows, frameMin..MaxFrame
//	id      8  of the call; chosen by the sender, echoed in the reply; 0 in a ping
//	kind    1  a Call, or one of the kinds below
//	body       a call's or reply's bytes; for kindError an errs.Append
const (
	frameHeader = 4 + 8 + 1
	frameMin    = 8 + 1 // the least that length can say

	kindReply byte = 0x80 // the answer of the Handler
	kindError byte = 0x81 // its error
	kindPing  byte = 0xf0 // says only that the sender lives; never answered
)

// readAhead is how much of a body is allocated on the word of the length
// field alone.
const readAhead = 1 << 20

type frame struct {
	id   uint64
	kind byte
	body []byte
}

// size is the number of bytes that f takes on the wire.
func (f frame) size() int { return frameHeader + len(f.body) }

func appendFrame(dst []byte, f frame) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(frameMin+len(f.body)))
	dst = binary.BigEndian.AppendUint64(dst, f.id)
	dst = append(dst, f.kind)
	return append(dst, f.body...)
}

// readFrame reads one frame of at most limit bytes after its length field. The
// body is the caller's to keep. The error is io.EOF only between two frames.
func readFrame(r *bufio.Reader, limit int) (frame, error) {
	head, err := r.Peek(frameHeader)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	n := int64(binary.BigEndian.Uint32(head))
	f := frame{id: binary.BigEndian.Uint64(head[4:]), kind: head[12]}
	if n < frameMin || n > int64(limit) {
		return frame{}, fmt.Errorf("a frame of %d bytes is outside of %d..%d", n, frameMin, limit)
	}
	if _, err := r.Discard(frameHeader); err != nil {
		return frame{}, err
	}
	if f.body, err = readBody(r, int(n-frameMin)); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return f, err
}

// readBody reads n bytes. A large body's buffer doubles as bytes arrive, so a
// peer that claims much and sends little costs little.
func readBody(r io.Reader, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	body := make([]byte, min(n, readAhead))
	have := 0
	for {
		m, err := io.ReadFull(r, body[have:])
		have += m
		if err != nil {
			return nil, err
		}
		if have == n {
			return body, nil
		}
		grown := make([]byte, min(n, 2*len(body)))
		copy(grown, body)
		body = grown
	}
}
