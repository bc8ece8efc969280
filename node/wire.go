package node

import (
	"encoding/binary"

	"github.com/coveydb/covey/internal/errs"
)

// The bodies of the calls between peers begin with this version. A body of a
// newer one may be longer: what follows the known fields is ignored.
const wireVersion = 1

// proposeRequest asks the leader to put a command into the log.
//
//	version, uvarint term, command
//
// The reply is the command's Result.
type proposeRequest struct {
	term    uint64 // in which the sender takes the receiver for the leader
	command []byte
}

func (q proposeRequest) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, wireVersion), q.term)
	return append(dst, q.command...)
}

func decodePropose(p []byte) (proposeRequest, error) {
	var q proposeRequest
	d := fields{p: p}
	d.version()
	q.term = d.uvarint()
	q.command = d.p
	return q, d.err("propose")
}

// termRequest asks a member where it stands.
type termRequest struct {
	now int64 // the time that the asking leader is about to use
}

func (q termRequest) append(dst []byte) []byte {
	return binary.AppendVarint(append(dst, wireVersion), q.now)
}

func decodeTermRequest(p []byte) (termRequest, error) {
	d := fields{p: p}
	d.version()
	q := termRequest{now: d.varint()}
	return q, d.err("term")
}

// standing is where a member stands: the reply to a termRequest.
type standing struct {
	term    uint64 // Raft's current one
	wall    int64  // its wall clock, unix milliseconds
	used    int64  // the latest cluster time that it knows to have been used
	last    uint64 // index of the last entry in its log
	applied uint64 // index up to which its state machine has applied
	version uint64 // of its state
}

func (s standing) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, wireVersion), s.term)
	dst = binary.AppendVarint(dst, s.wall)
	dst = binary.AppendVarint(dst, s.used)
	for _, v := range []uint64{s.last, s.applied, s.version} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func decodeStanding(p []byte) (standing, error) {
	d := fields{p: p}
	d.version()
	s := standing{term: d.uvarint(), wall: d.varint(), used: d.varint()}
	for _, f := range []*uint64{&s.last, &s.applied, &s.version} {
		*f = d.uvarint()
	}
	return s, d.err("term")
}

func (p point) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, wireVersion), p.version)
	return binary.AppendVarint(dst, p.now)
}

func decodePoint(p []byte) (point, error) {
	d := fields{p: p}
	d.version()
	x := point{version: d.uvarint(), now: d.varint()}
	return x, d.err("read point")
}

// fields reads a body from its head.
type fields struct {
	p   []byte
	bad bool
}

func (d *fields) version() {
	if len(d.p) == 0 || d.p[0] < wireVersion {
		d.bad, d.p = true, nil
		return
	}
	d.p = d.p[1:]
}

func (d *fields) uvarint() uint64 {
	v, n := binary.Uvarint(d.p)
	if n <= 0 {
		d.bad, d.p = true, nil
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *fields) varint() int64 {
	v, n := binary.Varint(d.p)
	if n <= 0 {
		d.bad, d.p = true, nil
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *fields) err(what string) error {
	if d.bad {
		return errs.E(errs.Internal, "a peer sent a %s call that does not decode", what)
	}
	return nil
}
