package vault

import (
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// AuditFilter selects entries of the audit log. The zero value selects all.
type AuditFilter struct {
	User         *uint64 // who did it
	ServiceToken *uint64 // which did it
	Action       string  // variable_created, or create
	TargetType   string
	From, To     string // YYYY-MM-DD, in UTC; both days included
}

// check returns FieldErrors for a day that is none.
func (f AuditFilter) check() error {
	wrong := FieldErrors{}
	for name, day := range map[string]string{"date_from": f.From, "date_to": f.To} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			wrong.Add(name, "Enter a valid date.")
		}
	}
	return wrong.Err()
}

// whole reports whether f selects by nothing but days.
func (f AuditFilter) whole() bool {
	return f.User == nil && f.ServiceToken == nil && f.Action == "" && f.TargetType == ""
}

func (f AuditFilter) match(e *AuditEntry) bool {
	return (f.User == nil || *f.User == e.User) &&
		(f.ServiceToken == nil || *f.ServiceToken == e.ServiceToken) &&
		(f.Action == "" || f.Action == e.Action || f.Action == e.Verb) &&
		(f.TargetType == "" || f.TargetType == e.TargetType)
}

// maxWalked bounds the entries that one list goes over.
const maxWalked = 100_000

func tooMany(n int) error {
	return errs.E(errs.TooLarge, "this goes over %d entries of the audit log: choose days that have at most %d", n, maxWalked)
}

// visibleChains returns the chains that a user may see: those of the
// organizations where its role allows it, and with one of them its own
// account's.
func (s *Session) visibleChains() ([]chain, error) {
	if err := s.needUser(); err != nil {
		return nil, err
	}
	tx, user := s.tx, s.user
	ids, err := appendIDs(tx, nil, memberOfByte, user)
	if err != nil {
		return nil, err
	}
	var chains []chain
	for _, org := range ids {
		m, err := readRow[membershipRow](tx, byIDs(membershipByte, org, user))
		if err != nil {
			return nil, err
		}
		if m != nil && Grants(m.Role, ReadAudit) {
			chains = append(chains, chain{organizationChain, org})
		}
	}
	if len(chains) > 0 {
		chains = append(chains, chain{accountChain, user})
	}
	return chains, nil
}

// entry returns an entry that the chain has.
func (c chain) entry(tx *kv.Tx, number uint64) (*AuditEntry, error) {
	e, err := readRow[AuditEntry](tx, c.entryKey(number))
	if e == nil && err == nil {
		err = errs.E(errs.Internal, "audit: entry %d of chain %s is missing", number, c)
	}
	return e, err
}

// search returns the number of the first entry, from 1 to last, whose day is
// not before the given one, and last+1 if there is none.
func (c chain) search(tx *kv.Tx, last uint64, day string) (uint64, error) {
	var failed error
	n := sort.Search(int(last), func(i int) bool {
		if failed != nil {
			return true
		}
		e, err := c.entry(tx, uint64(i)+1)
		if err != nil {
			failed = err
			return true
		}
		return e.Timestamp >= day
	})
	return uint64(n) + 1, failed
}

// endOf is after all timestamps of a day, and before those of later ones.
func endOf(day string) string { return day + "~" }

// cursor goes down a chain: it stands on an entry until that is taken.
type cursor struct {
	chain
	first, number uint64 // it ends below first
	at            *AuditEntry
}

// cursors returns a cursor for each chain that has entries in the days of f,
// and how many entries that are.
func cursors(tx *kv.Tx, chains []chain, f AuditFilter) (cs []*cursor, count int, err error) {
	for _, c := range chains {
		head, err := c.head(tx)
		if err != nil {
			return nil, 0, err
		}
		first, end := uint64(1), head.Number+1
		if f.From != "" {
			if first, err = c.search(tx, head.Number, f.From); err != nil {
				return nil, 0, err
			}
		}
		if f.To != "" {
			if end, err = c.search(tx, head.Number, endOf(f.To)); err != nil {
				return nil, 0, err
			}
		}
		if first < end {
			cs = append(cs, &cursor{chain: c, first: first, number: end - 1})
			count += int(end - first)
		}
	}
	return cs, count, nil
}

// latest returns the last entry that no cursor has passed, and passes it; nil
// at the end. It returns the cursors that are left.
func latest(tx *kv.Tx, cs []*cursor) (*AuditEntry, []*cursor, error) {
	var best *cursor
	for _, c := range cs {
		if c.at == nil {
			var err error
			if c.at, err = c.entry(tx, c.number); err != nil {
				return nil, nil, err
			}
		}
		if best == nil || later(c.at, best.at) {
			best = c
		}
	}
	if best == nil {
		return nil, nil, nil
	}
	e := best.at
	best.at = nil
	best.number--
	if best.number < best.first {
		cs = slices.DeleteFunc(cs, func(c *cursor) bool { return c == best })
	}
	return e, cs, nil
}

// later reports whether a is listed before b: the newest come first.
func later(a, b *AuditEntry) bool {
	if n := strings.Compare(a.Timestamp, b.Timestamp); n != 0 {
		return n > 0
	}
	return a.ID > b.ID
}

// listAudit returns a page of the entries of chains that f selects, the newest
// first.
func listAudit(tx *kv.Tx, chains []chain, f AuditFilter, p Paging) (Page[AuditEntry], error) {
	if err := f.check(); err != nil {
		return Page[AuditEntry]{}, err
	}
	cs, count, err := cursors(tx, chains, f)
	if err != nil {
		return Page[AuditEntry]{}, err
	}
	if f.whole() {
		return pageOfAll(tx, cs, count, p)
	}
	if count > maxWalked {
		return Page[AuditEntry]{}, tooMany(count)
	}
	var matches []*AuditEntry
	for {
		var e *AuditEntry
		if e, cs, err = latest(tx, cs); err != nil {
			return Page[AuditEntry]{}, err
		}
		if e == nil {
			break
		}
		if f.match(e) {
			matches = append(matches, e)
		}
	}
	p, lo, hi, err := p.bounds(len(matches))
	if err != nil {
		return Page[AuditEntry]{}, err
	}
	shown := Page[AuditEntry]{Count: len(matches), Number: p.Number, Size: p.Size, Items: make([]AuditEntry, 0, hi-lo)}
	for _, e := range matches[lo:hi] {
		shown.Items = append(shown.Items, *e)
	}
	return shown, nil
}

// pageOfAll returns a page of all that the cursors have ahead, count entries.
func pageOfAll(tx *kv.Tx, cs []*cursor, count int, p Paging) (Page[AuditEntry], error) {
	p, lo, hi, err := p.bounds(count)
	if err != nil {
		return Page[AuditEntry]{}, err
	}
	if hi > maxWalked {
		return Page[AuditEntry]{}, tooMany(hi)
	}
	shown := Page[AuditEntry]{Count: count, Number: p.Number, Size: p.Size, Items: make([]AuditEntry, 0, hi-lo)}
	for i := range hi {
		var e *AuditEntry
		if e, cs, err = latest(tx, cs); err != nil {
			return Page[AuditEntry]{}, err
		}
		if i >= lo {
			shown.Items = append(shown.Items, *e)
		}
	}
	return shown, nil
}

// AuditLog returns a page of the entries that f selects among those that the
// user may see, the newest first: entries of organizations where its role
// allows that, and with one of them its own account's. Nobody else's are
// counted. A bad day is FieldErrors, a page past the end errs.NotFound, and
// what would go over too many entries errs.TooLarge.
func (s *Session) AuditLog(f AuditFilter, p Paging) (Page[AuditEntry], error) {
	chains, err := s.visibleChains()
	if err != nil {
		return Page[AuditEntry]{}, err
	}
	return listAudit(s.tx, chains, f, p)
}
