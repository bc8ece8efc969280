package vault

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
)

// A Moment is a time at which an environment is looked at.
type Moment struct {
	unix int64 // seconds
	day  bool  // a day is meant, and unix its last second
}

// ParseMoment reads a time as of RFC 3339, or a day in UTC as YYYY-MM-DD, which
// is its end. Anything else is FieldErrors of the field at.
func ParseMoment(text string) (Moment, error) {
	text = strings.TrimSpace(text)
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return Moment{t.AddDate(0, 0, 1).Unix() - 1, true}, nil
	}
	// In a query, a plus that was not escaped has become a blank.
	t, err := time.Parse(time.RFC3339, strings.Replace(text, " ", "+", 1))
	if err != nil {
		return Moment{}, FieldErrors{"at": {"Enter a time such as 2026-01-31T10:30:00Z, or a day such as 2026-01-31."}}
	}
	return Moment{unix: t.Unix()}, nil
}

// when returns the moment in unix seconds. One that is to come is FieldErrors;
// of the present day, the end is now.
func (m Moment) when(now int64) (int64, error) {
	const day = 24 * 60 * 60
	switch {
	case m.unix <= now:
		return m.unix, nil
	case m.day && m.unix-day < now:
		return now, nil
	}
	return 0, FieldErrors{"at": {"This time is in the future."}}
}

// What one look at an environment goes over at most: past versions, and their
// bytes, those since the moment and a few older ones of each variable.
const (
	maxPast      = 200_000
	maxPastBytes = 256 << 20
)

// fate is what became of a variable since a moment.
type fate struct {
	then *held // as it was, nil: it was not there, or nobody knows
	now  *held // as it is, nil: it was deleted. The same as then where it is unchanged
	gone *past // the deletion, if it was deleted
	key  string
	lost bool // nobody knows what it was then: that version is not kept any more
}

// fates is what became of the variables of an environment since a moment, by
// their ids. Of those that were deleted more than KeepDeleted ago nothing is
// known.
type fates struct {
	s    *Session
	at   *place
	when int64
	same bool // values of unchanged variables are wanted too
	room int  // in bytes of values
	byID map[uint64]*fate

	left, size int // past versions that may still be gone over, and bytes of those that were
}

// fatesSince looks at an environment as it was.
func (s *Session) fatesSince(at *place, when int64, same bool) (*fates, error) {
	f := &fates{s: s, at: at, when: when, same: same, room: maxShown, byID: map[uint64]*fate{}, left: maxPast}
	room := 2 * maxShown // passed over, which costs less than to hold
	if err := scanVariables(s.tx, at.environmentID, &room, f.present); err != nil {
		return nil, err
	}
	return f, f.past()
}

// present takes a variable as it is.
func (f *fates) present(h held) error {
	unchanged := h.row.Updated <= f.when
	now, err := f.hold(h, !unchanged || f.same)
	if err != nil {
		return err
	}
	one := &fate{now: now, key: h.key}
	if unchanged {
		one.then = now
	} else {
		one.lost = h.row.Created <= f.when // unless a past version tells
	}
	f.byID[h.row.ID] = one
	return nil
}

// past goes over the past versions, of each variable the newest first. Where
// many follow that tell nothing any more, it goes on behind them.
func (f *fates) past() error {
	lo, hi := tuple.Span(byID(pastByte, f.at.environmentID))
	w := pastWalk{f: f}
	for jumps := 0; hi != nil; jumps++ {
		w.idle, w.patience = 0, fewVersions
		if jumps >= maxJumps {
			w.patience = maxPast
		}
		next := []byte(nil)
		for rec, err := range f.s.tx.ScanBack(lo, hi) {
			if err != nil {
				return err
			}
			if err := w.visit(rec.Value); err != nil {
				return err
			}
			if w.idle > w.patience {
				next = pastKey(f.at.environmentID, w.id, 0)
				break
			}
		}
		hi = next
	}
	f.settle(w.id, w.seen)
	return nil
}

// maxJumps bounds how often past goes on behind versions: each is a range that a
// transaction which writes has read, and of these a command has room for 100,000.
const maxJumps = 20_000

// pastWalk is how far past has come.
type pastWalk struct {
	f              *fates
	id             uint64 // of the variable whose versions these are
	seen           *fate
	idle, patience int // how many versions in a row told nothing, and may
}

// visit takes the next past version.
func (w *pastWalk) visit(stored []byte) error {
	f := w.f
	f.left, f.size = f.left-1, f.size+len(stored)
	if f.left < 0 || f.size > maxPastBytes {
		return errs.E(errs.TooLarge, "the environment has more than %d versions since, or %d MiB of them: look at its variables one by one", maxPast, maxPastBytes>>20)
	}
	old, err := decodePast(stored)
	if err != nil {
		return err
	}
	if w.seen == nil || w.id != old.row.ID {
		f.settle(w.id, w.seen)
		w.id, w.seen, w.idle = old.row.ID, f.byID[old.row.ID], 0
		if w.seen == nil { // the last version is its deletion
			w.seen = &fate{gone: &past{old.key, cloneRow(old.row, false)}, key: old.key, lost: old.row.Created <= f.when}
			f.byID[w.id] = w.seen
		}
	}
	if !w.seen.lost {
		w.idle++
	}
	return f.version(w.seen, held(old))
}

// settle ends the fate of a variable, nil for none. One that was neither there
// then nor is now is nothing: there may be many more of those than an environment
// has variables.
func (f *fates) settle(id uint64, one *fate) {
	if one != nil && one.then == nil && one.now == nil && !one.lost {
		delete(f.byID, id)
	}
}

// version takes a past version, if it is the one that was there then.
func (f *fates) version(one *fate, old held) (err error) {
	switch {
	case one.then != nil || old.row.Updated > f.when:
	case old.row.Change == changeDeleted:
		one.lost = false
	case one.lost:
		one.lost = false
		one.then, err = f.hold(old, true)
	}
	return err
}

// hold returns a copy that outlives the scan, with its value if that is wanted.
func (f *fates) hold(h held, value bool) (*held, error) {
	if value {
		if f.room -= len(h.row.Value); f.room < 0 {
			return nil, errTooMuchShown()
		}
		err := f.s.hold(len(h.row.Value), func() (int, error) {
			n, err := sizeOf(f.s.tx, f.at.environmentID)
			return 2 * n, err // sealed, and then opened
		})
		if err != nil {
			return nil, err
		}
	}
	return &held{h.key, cloneRow(h.row, value)}, nil
}

func cloneRow(row *variableRow, value bool) *variableRow {
	copied := *row
	copied.Value = nil
	if value {
		copied.Value = bytes.Clone(row.Value)
	}
	return &copied
}

// each visits the fates, ids ascending.
func (f *fates) each(visit func(*fate) error) error {
	for _, id := range slices.Sorted(maps.Keys(f.byID)) {
		if err := visit(f.byID[id]); err != nil {
			return err
		}
	}
	return nil
}

// unknown returns the keys of variables of which nobody knows what they were: an
// entry for each variable, so a key may be there twice.
func (f *fates) unknown() []string {
	keys := []string{}
	for _, one := range f.byID {
		if one.lost {
			keys = append(keys, one.key)
		}
	}
	slices.Sort(keys)
	return keys
}

// EnvironmentAt returns a page of the variables that an environment had at a
// moment, ids ascending, as they were: also those that were deleted since, for
// KeepDeleted. A nil Paging is all of them. unknown are the keys of variables
// that were there, but whose version of then is not kept any more. That values
// were shown is among the Readings.
func (s *Session) EnvironmentAt(environment uint64, m Moment, p *Paging) (shown Page[Variable], unknown []string, err error) {
	at, err := s.environment(environment, ReadOrganization)
	if err != nil {
		return shown, nil, err
	}
	when, err := m.when(s.now())
	if err != nil {
		return shown, nil, err
	}
	f, err := s.fatesSince(at, when, true)
	if err != nil {
		return shown, nil, err
	}
	var there []*held
	_ = f.each(func(one *fate) error { // visit has no error
		if one.then != nil {
			there = append(there, one.then)
		}
		return nil
	})
	shown = Page[Variable]{Count: len(there), Number: 1, Size: len(there)}
	if p != nil {
		full, lo, hi, err := p.bounds(len(there))
		if err != nil {
			return shown, nil, err
		}
		shown.Number, shown.Size, there = full.Number, full.Size, there[lo:hi]
	}
	l := lister{s: s, most: mostOfPage}
	for _, h := range there {
		v, _, err := l.show(at, *h)
		if err != nil {
			return shown, nil, err
		}
		shown.Items = append(shown.Items, v)
	}
	l.recordAt(when)
	return shown, f.unknown(), nil
}

// recordAt is record for values as they were.
func (l *lister) recordAt(when int64) {
	before := len(l.s.readings)
	l.record()
	for _, r := range l.s.readings[before:] {
		r.event.Details["at"] = time.Unix(when, 0).UTC().Format(time.RFC3339)
	}
}
