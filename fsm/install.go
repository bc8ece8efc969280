package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/store"
)

// maxForeign bounds the version and the clock of a state that comes from
// elsewhere: room must be left above them.
const maxForeign = 1 << 60

var errPieceMissing = errors.New("pieces of the state were given up before its last one came")

// install makes the state of a stream, of which last is the final piece, this
// machine's. Being one entry of the log, it happens on all replicas at one place
// among all writes, or on none. The outcome is command.Forgotten if pieces are
// missing, command.Rejected if they are no whole state; then nothing has changed.
//
// What was in the state before is gone, but for the records of the spans that
// last names; what comes is as if the entry had written it: see adopted.
func (m *Machine) install(e Entry, last *command.Entry) (command.Result, error) {
	snap := m.db.Snapshot()
	defer snap.Close()
	open := func() *pieces { return &pieces{r: snap, last: &last.State.Chunk} }
	// The pieces are read twice. After the first time they are known to be whole:
	// what then goes wrong is this replica's trouble alone, which must stop it.
	src := open()
	st, err := VerifyStream(src)
	if src.err != nil && !errors.Is(src.err, errPieceMissing) {
		return command.Result{}, src.err
	}
	if err == nil && (st.Version > maxForeign || st.Clock > maxForeign) {
		err = fmt.Errorf("its version %d or its clock %d is beyond what a state has", st.Version, st.Clock)
	}
	var stay []pair
	if err == nil {
		var broken error
		if stay, err, broken = staying(snap, last.State.Keep); broken != nil {
			return command.Result{}, broken
		}
	}
	if err != nil {
		return m.refuseState(e, last, err)
	}
	next, numbers := m.adopted(e, last, st)
	var in inspector
	var g ring
	err = m.patiently(func() error {
		in = inspector{}
		return m.db.Replace(func(set func(key, value []byte) error) error {
			a := adoption{st: next, numbers: numbers, set: set, keep: last.State.Keep, stay: stay}
			err := in.readStream(open(), a.pair)
			if err == nil {
				in.st.Version = next.Version
				g, err = in.ring()
			}
			return err
		})
	})
	if err != nil {
		return command.Result{}, fmt.Errorf("replace the state: %w", err)
	}
	m.st, m.ring = next, g
	m.heads.void()
	m.publish()
	return command.Result{Outcome: command.Applied, Version: next.Version, Time: next.Clock}, nil
}

// orderWindow is how many of the latest versions of a state that comes from
// elsewhere stay apart from each other.
const orderWindow = 1 << 32

// renumber gives the records of a state that comes from elsewhere versions of
// this cluster: higher than any it has used, and in the order that they had, but
// that all before the window are one. So a version still tells which record it
// is, for caches and for conditions of clients; and which of two records is the
// younger, for queues.
type renumber struct{ first, below, last uint64 }

func (r renumber) version(v uint64) uint64 { return r.first + max(min(v, r.last), r.below) - r.below }

// adopted is the state record for a state that the entry brings, and how its
// records are numbered. Versions and time go on from where they were here or
// there, so neither runs backwards for anybody; all that was read before is
// refused by the floor; index, chain and the size of the history are this
// cluster's; the history begins anew.
func (m *Machine) adopted(e Entry, last *command.Entry, st State) (State, renumber) {
	r := renumber{first: m.st.Version + 1, below: max(st.Version, orderWindow) - orderWindow, last: st.Version}
	version := max(r.version(st.Version), st.Version+1)
	next := State{
		Version: version, Floor: version, History: version + 1,
		Index: e.Index, Clock: max(m.st.Clock, last.Time, st.Clock),
		Ring: st.Ring, HistoryLimit: m.st.HistoryLimit, Chain: m.st.Chain,
	}
	a := applier{m: m, st: next}
	a.extendChain(e.Data, []command.Result{{Outcome: command.Applied, Version: next.Version, Time: next.Clock}})
	return a.st, r
}

// refuseState ends a restore that cannot be done, everywhere alike.
func (m *Machine) refuseState(e Entry, last *command.Entry, why error) (command.Result, error) {
	b := m.db.Batch()
	defer b.Close()
	a := applier{m: m, b: b, st: m.st}
	a.st.Clock = max(a.st.Clock, last.Time)
	res := command.Result{Outcome: command.Rejected, Version: a.st.Version, Time: a.st.Clock, Msg: why.Error()}
	if errors.Is(why, errPieceMissing) {
		res.Outcome = command.Forgotten
	}
	a.dropChunks(last.State.Set)
	a.st.Index = e.Index
	a.extendChain(e.Data, []command.Result{res})
	return res, a.commit()
}

// adoption writes the pairs of a state that comes from elsewhere.
type adoption struct {
	st      State
	numbers renumber
	set     func(key, value []byte) error
	keep    []command.Span
	stay    []pair // those of this machine that were not yet written
	scratch []byte
}

// pair writes one pair as this machine shall have it, after those that stay and
// come before it. The state record comes after all of them.
//
//   - Records get versions of this cluster: see renumber.
//   - Ids of commands stay: what they did is in the state that comes. Those of this
//     cluster go: what they did is gone. The floor keeps either from being
//     applied twice.
//   - History and unfinished large commands stay behind: cursors and pieces of one
//     cluster mean nothing in another.
func (a *adoption) pair(key, value []byte) error {
	for len(a.stay) > 0 && bytes.Compare(a.stay[0].key, key) <= 0 {
		p := a.stay[0]
		a.stay = a.stay[1:]
		if err := a.set(p.key, p.value); err != nil || bytes.Equal(p.key, key) {
			return err
		}
	}
	switch key[0] {
	case prefixData:
		if within(a.keep, key[1:]) {
			return nil
		}
		h, value, err := decodeRecord(value)
		if err != nil {
			return err
		}
		h.version = a.numbers.version(h.version)
		a.scratch = appendRecord(a.scratch[:0], h, value)
		return a.set(key, a.scratch)
	case prefixExpiry, prefixID:
		return a.set(key, value)
	case prefixMeta:
		a.scratch = a.st.append(a.scratch[:0])
		return a.set(key, a.scratch)
	}
	return nil // prefixHistory, prefixSegment, prefixChunk, prefixChunkSet
}

// pair is a pair of the store.
type pair struct{ key, value []byte }

// Bounds of what stays of a state that is replaced: it is held in memory.
const (
	maxStaying      = 100_000
	maxStayingBytes = 64 << 20
)

// staying returns the records of spans, and their places in the expiry index, in
// the order of keys. refused is an error that all replicas come to; broken is one
// of this store. (Places in the index of records that go, or that the spans kept
// out, dangle; reap drops those.)
func staying(r store.Reader, spans []command.Span) (all []pair, refused, broken error) {
	size := 0
	for _, s := range spans {
		lo, hi := dataSpan(s.Lo, s.Hi)
		it := r.Scan(lo, hi)
		for it.Next() {
			h, _, err := decodeRecord(it.Value())
			if err != nil {
				return nil, nil, errors.Join(err, it.Close())
			}
			all = append(all, pair{bytes.Clone(it.Key()), bytes.Clone(it.Value())})
			size += len(it.Key()) + len(it.Value())
			if h.expiry != 0 {
				all = append(all, pair{key: appendExpiryKey(nil, h.due(), it.Key()[1:])})
			}
			if len(all) > maxStaying || size > maxStayingBytes {
				return nil, errors.New("more records stay than fit into memory"), it.Close()
			}
		}
		if err := it.Close(); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(all, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	return all, nil, nil
}

// within reports whether key is in one of spans.
func within(spans []command.Span, key []byte) bool {
	for _, s := range spans {
		if bytes.Compare(s.Lo, key) <= 0 && bytes.Compare(key, s.Hi) < 0 {
			return true
		}
	}
	return false
}

// pieces reads the pieces of a state one after the other.
type pieces struct {
	r    store.Reader
	last *command.Chunk
	seq  uint64 // of the next piece
	rest []byte // of the one at hand
	err  error  // final; not io.EOF
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 && p.err == nil {
		switch {
		case p.seq == p.last.Total:
			return 0, io.EOF
		case p.seq == p.last.Total-1:
			p.rest = p.last.Data
		default:
			p.rest, p.err = p.piece()
		}
		p.seq++
	}
	if p.err != nil {
		return 0, p.err
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pieces) piece() ([]byte, error) {
	value, ok, err := p.r.Get(chunkKey(p.last.Set, p.seq))
	if err == nil && !ok {
		err = errPieceMissing
	}
	return value, err
}
