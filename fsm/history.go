package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/coveydb/covey/fsm/command"
)

// HistoryBytes is how much history a new state keeps. It is stored in the state
// and stays as it is for the life of the cluster.
const HistoryBytes = 64 << 20

const (
	maxHistory = 1 << 40 // more than any state keeps: a larger limit is damage

	// historyParts is into how many segments the history is cut. The oldest one goes
	// as a whole.
	historyParts = 64

	// Longer values are not kept: a reader of the history reads the record instead.
	// All values of one command together are bounded too, so that one bulk
	// write does not push out what everybody else has done.
	historyValue  = 16 << 10
	historyValues = 1 << 20
)

// ChangeKind says what became of a key.
type ChangeKind uint8

// The kinds of changes. They are stored.
const (
	ChangeSet    ChangeKind = 1 // the key has a value
	ChangeDelete ChangeKind = 2 // the key was live, and is gone
	ChangeSpan   ChangeKind = 3 // all keys of a span are gone, if there were any
	ChangeExpire ChangeKind = 4 // the key had expired before its storage was given back
	ChangeTouch  ChangeKind = 5 // the key has the same value and another expiry

	changeKinds = 0x07
)

// Flags beside the kind.
const (
	changeCreated = 0x08 // a set: no live record stood there before
	changeLong    = 0x10 // a set: the value is not kept
	changeExpiry  = 0x20 // an expiry follows
)

// A Change is what a command did to one key, or one span.
type Change struct {
	Version uint64 // of the command
	Seq     uint32 // of the change in its command, from 0
	Time    int64  // the machine's clock, unix milliseconds
	Kind    ChangeKind
	Key     []byte
	Hi      []byte // ChangeSpan: the exclusive end; nil for none
	Value   []byte // ChangeSet, unless Long
	Long    bool   // ChangeSet: the value is too long to be kept
	Created bool   // ChangeSet: there was no live record
	Expiry  int64  // ChangeSet, ChangeTouch: unix milliseconds, 0 = never
}

// history gathers the changes of one entry. A record of the history is
//
//	uvarint clock, and for each command that changed anything:
//	  uvarint version, uvarint number of changes, and each change:
//	    kind and flags (1), uvarint length, key
//	    span: uvarint length of the end + 1, or 0 for none, end
//	    with an expiry: uvarint expiry
//	    set that is not long: uvarint length, value
type history struct {
	buf     []byte // commands that are complete
	cmd     []byte // changes of the command at hand
	changes uint64 // in cmd
	values  int    // bytes of values in cmd
}

// keptHistory is how large buffers may be to be used for the next entry.
const keptHistory = 1 << 20

func (h *history) begin(clock int64) {
	if cap(h.buf) > keptHistory {
		h.buf = nil
	}
	h.buf = binary.AppendUvarint(h.buf[:0], uint64(clock))
}

// command ends the changes of the command with this version.
func (h *history) command(version uint64) {
	if h.changes > 0 {
		h.buf = binary.AppendUvarint(h.buf, version)
		h.buf = binary.AppendUvarint(h.buf, h.changes)
		h.buf = append(h.buf, h.cmd...)
	}
	h.cmd, h.changes, h.values = h.cmd[:0], 0, 0
	if cap(h.cmd) > keptHistory {
		h.cmd = nil
	}
}

func (h *history) change(kind byte, key []byte) {
	h.changes++
	h.cmd = append(h.cmd, kind)
	h.cmd = append(binary.AppendUvarint(h.cmd, uint64(len(key))), key...)
}

func (h *history) set(key, value []byte, expiry int64, created bool) {
	kind := byte(ChangeSet)
	if created {
		kind |= changeCreated
	}
	if expiry != 0 {
		kind |= changeExpiry
	}
	long := len(value) > historyValue || h.values+len(value) > historyValues
	if long {
		kind |= changeLong
	}
	h.change(kind, key)
	if expiry != 0 {
		h.cmd = binary.AppendUvarint(h.cmd, uint64(expiry))
	}
	if !long {
		h.values += len(value)
		h.cmd = append(binary.AppendUvarint(h.cmd, uint64(len(value))), value...)
	}
}

func (h *history) touch(key []byte, expiry int64) {
	if expiry == 0 {
		h.change(byte(ChangeTouch), key)
		return
	}
	h.change(byte(ChangeTouch)|changeExpiry, key)
	h.cmd = binary.AppendUvarint(h.cmd, uint64(expiry))
}

// gone is the end of a key's record, which was live or had expired.
func (h *history) gone(key []byte, live bool) {
	if live {
		h.change(byte(ChangeDelete), key)
	} else {
		h.change(byte(ChangeExpire), key)
	}
}

func (h *history) span(lo, hi []byte) {
	h.change(byte(ChangeSpan), lo)
	if hi == nil {
		h.cmd = append(h.cmd, 0)
		return
	}
	h.cmd = append(binary.AppendUvarint(h.cmd, uint64(len(hi))+1), hi...)
}

// keepHistory stores what the entry at hand has changed, and lets go of the
// oldest segment when the history is full. Segments are ended by a record under
// their last version: how much to let go is decided without reading what goes.
func (a *applier) keepHistory(before uint64) {
	if a.st.Version == before || a.m.hist.empty() {
		return
	}
	a.m.key = appendHistoryKey(a.m.key[:0], a.st.Version)
	a.b.Set(a.m.key, a.m.hist.buf)
	n := uint64(len(a.m.key) + len(a.m.hist.buf))
	a.st.HistoryHeld += n
	a.st.SegmentHeld += n
	if a.st.SegmentHeld >= a.st.HistoryLimit/historyParts {
		a.b.Set(segmentKey(a.st.Version), binary.AppendUvarint(nil, a.st.SegmentHeld))
		a.st.SegmentHeld = 0
	}
}

// empty reports whether no command of the entry has changed anything.
func (h *history) empty() bool {
	_, n := binary.Uvarint(h.buf)
	return n == len(h.buf)
}

// trimHistory lets go of the oldest segments while the history is over its limit.
func (a *applier) trimHistory() error {
	for a.st.HistoryHeld > a.st.HistoryLimit {
		last, held, ok, err := a.oldestSegment()
		if err != nil || !ok {
			return err
		}
		a.b.Delete(segmentKey(last))
		a.b.DeleteSpan(appendHistoryKey(nil, 0), appendHistoryKey(nil, last+1))
		a.st.HistoryHeld -= min(held, a.st.HistoryHeld)
		a.st.History = last + 1
	}
	return nil
}

func (a *applier) oldestSegment() (last, held uint64, ok bool, err error) {
	it := a.b.Scan([]byte{prefixSegment}, []byte{prefixSegment + 1})
	defer it.Close()
	if !it.Next() {
		return 0, 0, false, it.Err()
	}
	held, n := binary.Uvarint(it.Value())
	if n <= 0 || len(it.Key()) != 9 {
		return 0, 0, false, fmt.Errorf("%w (segment of the history)", errCorrupt)
	}
	return binary.BigEndian.Uint64(it.Key()[1:]), held, true, nil
}

func appendHistoryKey(dst []byte, last uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefixHistory), last)
}

func segmentKey(last uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixSegment}, last)
}

// Changes hands to fn what was changed by the commands from version from on, in
// their order, until fn returns false. The changes of versions before
// v.History are no longer there. c and its slices are valid during the call.
func (v *View) Changes(from uint64, fn func(c *Change) (more bool)) error {
	it := v.snap.Scan(appendHistoryKey(nil, from), []byte{prefixHistory + 1})
	defer it.Close()
	for it.Next() {
		more, err := walkHistory(it.Value(), from, fn)
		if !more || err != nil {
			return err
		}
	}
	return it.Err()
}

// walkHistory reads one record of the history.
func walkHistory(p []byte, from uint64, fn func(c *Change) bool) (more bool, err error) {
	r := reader{p: p}
	var c Change
	c.Time = int64(r.uvarint())
	for len(r.p) > 0 && !r.bad {
		c.Version = r.uvarint()
		n := r.uvarint()
		for seq := uint64(0); seq < n && !r.bad; seq++ {
			c.Seq = uint32(seq)
			r.change(&c)
			if c.Version >= from && !r.bad && !fn(&c) {
				return false, nil
			}
		}
	}
	if r.bad {
		return false, fmt.Errorf("%w (history)", errCorrupt)
	}
	return true, nil
}

// reader takes a record of the history apart; bad stays set.
type reader struct {
	p   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.p)
	if n <= 0 {
		r.p, r.bad = nil, true
		return 0
	}
	r.p = r.p[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.p)) {
		r.p, r.bad = nil, true
		return nil
	}
	p := r.p[:n:n]
	r.p = r.p[n:]
	return p
}

func (r *reader) change(c *Change) {
	head := r.bytes(1)
	if r.bad {
		return
	}
	c.Kind = ChangeKind(head[0] & changeKinds)
	c.Created, c.Long = head[0]&changeCreated != 0, head[0]&changeLong != 0
	c.Hi, c.Value, c.Expiry = nil, nil, 0
	c.Key = r.bytes(r.uvarint())
	if c.Kind == ChangeSpan {
		if n := r.uvarint(); n > 0 {
			c.Hi = r.bytes(n - 1)
		}
	}
	if head[0]&changeExpiry != 0 {
		c.Expiry = int64(r.uvarint())
	}
	if c.Kind == ChangeSet && !c.Long {
		c.Value = r.bytes(r.uvarint())
	}
	if c.Kind < ChangeSet || c.Kind > ChangeTouch || c.Expiry < 0 || len(c.Key) > command.MaxKey {
		r.bad = true
	}
}
