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

	// historyRecord is where a record ends, and the next one begins: a command may
	// have 100,000 changes, and readers take them piece by piece.
	historyRecord = 64 << 10
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
	changeVersion = 0x40 // a version and a seq follow
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
//	uvarint clock, and each change:
//	  kind and flags (1)
//	  of another version than the one before: uvarint version, uvarint seq; else seq is one more
//	  uvarint length, key
//	  span: uvarint length of the end + 1, or 0 for none, end
//	  with an expiry: uvarint expiry
//	  set that is not long: uvarint length, value
//
// under the version and seq of its last change.
type history struct {
	buf     []byte
	clock   int64
	version uint64 // of the command at hand
	seq     uint32 // of its next change
	told    uint64 // the version that the changes in buf have come to
	last    uint32 // seq of the last change in buf
	values  int    // bytes of values of the command at hand
	held    uint64 // bytes of records that were stored for the entry
}

// keptHistory is how large the buffer may be to be used for the next entry.
const keptHistory = 1 << 20

func (h *history) begin(clock int64) {
	if cap(h.buf) > keptHistory {
		h.buf = nil
	}
	*h = history{buf: h.buf[:0], clock: clock}
}

// command begins the changes of the command with this version.
func (h *history) command(version uint64) { h.version, h.seq, h.values = version, 0, 0 }

func (h *history) change(kind byte, key []byte) {
	if len(h.buf) == 0 {
		h.buf = binary.AppendUvarint(h.buf, uint64(h.clock))
	}
	if h.told != h.version {
		h.told = h.version
		h.buf = append(h.buf, kind|changeVersion)
		h.buf = binary.AppendUvarint(h.buf, h.version)
		h.buf = binary.AppendUvarint(h.buf, uint64(h.seq))
	} else {
		h.buf = append(h.buf, kind)
	}
	h.buf = append(binary.AppendUvarint(h.buf, uint64(len(key))), key...)
	h.last = h.seq
	h.seq++
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
		h.buf = binary.AppendUvarint(h.buf, uint64(expiry))
	}
	if !long {
		h.values += len(value)
		h.buf = append(binary.AppendUvarint(h.buf, uint64(len(value))), value...)
	}
}

func (h *history) touch(key []byte, expiry int64) {
	if expiry == 0 {
		h.change(byte(ChangeTouch), key)
		return
	}
	h.change(byte(ChangeTouch)|changeExpiry, key)
	h.buf = binary.AppendUvarint(h.buf, uint64(expiry))
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
		h.buf = append(h.buf, 0)
		return
	}
	h.buf = append(binary.AppendUvarint(h.buf, uint64(len(hi))+1), hi...)
}

// tell stores the changes gathered so far as one record, if they are enough for
// one or at the end of an entry.
func (a *applier) tell(end bool) {
	h := &a.m.hist
	if len(h.buf) == 0 || !end && len(h.buf) < historyRecord {
		return
	}
	a.m.key = appendHistoryKey(a.m.key[:0], h.told, h.last)
	a.b.Set(a.m.key, h.buf)
	h.held += uint64(len(a.m.key) + len(h.buf))
	h.buf, h.told = h.buf[:0], 0
}

// keepHistory stores what the entry at hand has changed, and lets go of the
// oldest segments when the history is full. Segments are ended by a record under
// their last version: how much to let go is decided without reading what goes.
func (a *applier) keepHistory() error {
	a.tell(true)
	if a.m.hist.held == 0 {
		return nil
	}
	a.st.HistoryHeld += a.m.hist.held
	a.st.SegmentHeld += a.m.hist.held
	if a.st.SegmentHeld >= a.st.HistoryLimit/historyParts {
		a.b.Set(segmentKey(a.st.Version), binary.AppendUvarint(nil, a.st.SegmentHeld))
		a.st.SegmentHeld = 0
	}
	return a.trimHistory()
}

// trimHistory lets go of the oldest segments while the history is over its limit.
func (a *applier) trimHistory() error {
	for a.st.HistoryHeld > a.st.HistoryLimit {
		last, held, ok, err := a.oldestSegment()
		if err != nil || !ok {
			return err
		}
		a.b.Delete(segmentKey(last))
		a.b.DeleteSpan(appendHistoryKey(nil, 0, 0), appendHistoryKey(nil, last+1, 0))
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

func appendHistoryKey(dst []byte, version uint64, seq uint32) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, prefixHistory), version)
	return binary.BigEndian.AppendUint32(dst, seq)
}

func segmentKey(last uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixSegment}, last)
}

// Changes hands to fn what was changed, in order, from change seq of version on,
// until fn returns false. The changes of versions before v.History are no longer
// there. c and its slices are valid during the call.
func (v *View) Changes(version uint64, seq uint32, fn func(c *Change) (more bool)) error {
	it := v.snap.Scan(appendHistoryKey(nil, version, seq), []byte{prefixHistory + 1})
	defer it.Close()
	for it.Next() {
		more, err := walkHistory(it.Value(), func(c *Change) bool {
			return c.Version < version || c.Version == version && c.Seq < seq || fn(c)
		})
		if !more || err != nil {
			return err
		}
	}
	return it.Err()
}

// walkHistory reads one record of the history.
func walkHistory(p []byte, fn func(c *Change) bool) (more bool, err error) {
	r := reader{p: p}
	var c Change
	c.Time = int64(r.uvarint())
	for len(r.p) > 0 && !r.bad {
		if r.change(&c); !r.bad && !fn(&c) {
			return false, nil
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
	if c.Seq++; head[0]&changeVersion != 0 {
		c.Version, c.Seq = r.uvarint(), uint32(r.uvarint())
	}
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
