package node

import (
	"encoding/binary"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/room"
)

// The bodies of the calls between peers begin with this version. A body of a
// newer one may be longer: what follows the known fields is ignored.
const wireVersion = 1

// position is how far the leader's log is committed. Its answers carry it, for
// the asking follower to know at once and not with the leader's next message.
type position struct {
	index uint64 // of the last entry that is applied, hence committed
	term  uint64 // of that entry
}

func (p position) append(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, p.index), p.term)
}

func (d *fields) position() position { return position{index: d.uvarint(), term: d.uvarint()} }

// proposeRequest asks the leader to put a command into the log.
//
//	version, uvarint term, command
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

// proposeReply is what became of the command.
//
//	version, position, Result
type proposeReply struct {
	at     position
	result command.Result
}

func (a proposeReply) append(dst []byte) []byte {
	dst = a.at.append(append(dst, wireVersion))
	return a.result.Append(dst)
}

func decodeProposeReply(p []byte) (proposeReply, error) {
	d := fields{p: p}
	d.version()
	a := proposeReply{at: d.position()}
	if d.bad {
		return a, d.err("propose")
	}
	var err error
	a.result, err = command.DecodeResult(d.p)
	return a, err
}

// termRequest asks a member where it stands, and tells it where the leader does.
type termRequest struct {
	now    int64    // the time that the asking leader is about to use
	leader leaderAt // the asker, if it leads; else, or from an older release, zero
}

// leaderAt is how far the leader was when it asked.
type leaderAt struct {
	term    uint64 // in which it leads
	index   uint64 // of the last entry that its state machine applied
	version uint64 // of its state
	wall    int64  // its wall clock, unix milliseconds
	last    uint64 // index of the last entry in its log; 0 from an older release
}

func (q termRequest) append(dst []byte) []byte {
	dst = binary.AppendVarint(append(dst, wireVersion), q.now)
	for _, v := range []uint64{q.leader.term, q.leader.index, q.leader.version} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = binary.AppendVarint(dst, q.leader.wall)
	return binary.AppendUvarint(dst, q.leader.last)
}

func decodeTermRequest(p []byte) (termRequest, error) {
	d := fields{p: p}
	d.version()
	q := termRequest{now: d.varint()}
	if len(d.p) > 0 {
		l := &q.leader
		l.term, l.index, l.version, l.wall = d.uvarint(), d.uvarint(), d.uvarint(), d.varint()
		if len(d.p) > 0 {
			l.last = d.uvarint()
		}
	}
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
	room    stock  // on its disk; plenty if it is of an older release
	blank   bool   // it may have forgotten what it acknowledged, and in which term it voted
}

func (s standing) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, wireVersion), s.term)
	dst = binary.AppendVarint(dst, s.wall)
	dst = binary.AppendVarint(dst, s.used)
	for _, v := range []uint64{s.last, s.applied, s.version, uint64(s.room.level), uint64(s.room.free), uint64(s.room.need)} {
		dst = binary.AppendUvarint(dst, v)
	}
	if s.blank {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func decodeStanding(p []byte) (standing, error) {
	d := fields{p: p}
	d.version()
	s := standing{term: d.uvarint(), wall: d.varint(), used: d.varint()}
	for _, f := range []*uint64{&s.last, &s.applied, &s.version} {
		*f = d.uvarint()
	}
	if len(d.p) > 0 {
		s.room.level = room.Level(min(d.uvarint(), uint64(room.None)))
		s.room.free, s.room.need = int64(d.uvarint()), int64(d.uvarint())
	}
	if len(d.p) > 0 {
		s.blank = d.uvarint() == 1
	}
	return s, d.err("term")
}

// pointReply is a read point.
//
//	version, uvarint version, varint now, position
type pointReply struct {
	point
	at position
}

func (a pointReply) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, wireVersion), a.version)
	return a.at.append(binary.AppendVarint(dst, a.now))
}

func decodePointReply(p []byte) (pointReply, error) {
	d := fields{p: p}
	d.version()
	a := pointReply{point: point{version: d.uvarint(), now: d.varint()}}
	a.at = d.position()
	return a, d.err("read point")
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
