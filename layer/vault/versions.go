package vault

import (
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
)

// Version is one version of a variable as a member of its organization sees it.
type Version struct {
	Variable   uint64
	Number     uint64  // from 1, without gaps; the oldest are forgotten, see MaxVersions
	Key        string  // as it was then
	Value      *string // or one of the masks; nil: the variable was deleted
	Created    int64   // unix seconds: when it became the present one
	Author     uint64  // the user's id; 0: a service token, or nobody knows
	AuthorName string  // "First Last", or that of a service token; "" if there is no such name
	Change     string  // what made it: created, updated, renamed, deleted, imported, rolled_back, copied or promoted
	Current    bool
}

// Versions lists the versions of a variable that are kept, the newest first.
// That values were shown is among the Readings.
func (s *Session) Versions(variable uint64, p Paging) (Page[Version], error) {
	at, h, err := s.variable(variable, ReadOrganization)
	if err != nil {
		return Page[Version]{}, err
	}
	n, err := s.countVersions(at, variable)
	if err != nil {
		return Page[Version]{}, err
	}
	p, first, end, err := p.bounds(n)
	if err != nil {
		return Page[Version]{}, err
	}
	shown := Page[Version]{Count: n, Number: p.Number, Size: p.Size, Items: make([]Version, 0, end-first)}
	l, clear := lister{s: s, most: mostOfPage}, 0
	err = s.visitVersions(at, h, func(i int, v held) error {
		if i < first || i >= end {
			return nil
		}
		item, isClear, err := l.version(at, v, i == 0)
		if isClear {
			clear++
		}
		shown.Items = append(shown.Items, item)
		return err
	})
	if err != nil {
		return Page[Version]{}, err
	}
	if clear > 0 {
		e := at.variableEvent(verbView, variable, h.key)
		e.Details["version_count"] = clear
		s.reads(e)
	}
	return shown, nil
}

// countVersions returns how many versions of a variable are kept.
func (s *Session) countVersions(at *place, variable uint64) (n int, err error) {
	n = 1
	lo, hi := tuple.Span(byIDs(pastByte, at.environmentID, variable))
	for _, err := range s.tx.Scan(lo, hi) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// visitVersions visits the versions of the variable h that are kept, the newest
// first. What it hands out is valid until the visit ends.
func (s *Session) visitVersions(at *place, h held, visit func(i int, v held) error) error {
	if err := visit(0, h); err != nil {
		return err
	}
	i := 0
	lo, hi := tuple.Span(byIDs(pastByte, at.environmentID, h.row.ID))
	for rec, err := range s.tx.ScanBack(lo, hi) {
		if err != nil {
			return err
		}
		old, err := decodePast(rec.Value)
		if err != nil {
			return err
		}
		i++
		if err := visit(i, held(old)); err != nil {
			return err
		}
	}
	return nil
}

// mostOfPage is how many bytes of clear values a page may show, see
// Session.hold.
func mostOfPage() (int, error) { return MaxPageSize * MaxValue, nil }

// Version returns one version of a variable. That its value was shown is among
// the Readings. One that is not kept is errs.NotFound.
func (s *Session) Version(variable, number uint64) (Version, error) {
	at, h, err := s.variable(variable, ReadOrganization)
	if err != nil {
		return Version{}, err
	}
	v, err := s.versionOf(at, h, number)
	if err != nil {
		return Version{}, err
	}
	l := lister{s: s}
	shown, clear, err := l.version(at, v, number == h.row.Version)
	if err != nil {
		return Version{}, err
	}
	if clear {
		e := at.variableEvent(verbView, variable, h.key)
		e.Details["version"] = number
		s.reads(e)
	}
	return shown, nil
}

// versionOf returns a version of the variable h.
func (s *Session) versionOf(at *place, h held, number uint64) (held, error) {
	if number == h.row.Version {
		return h, nil
	}
	rec, ok, err := s.tx.Get(pastKey(at.environmentID, h.row.ID, number))
	if err != nil {
		return held{}, err
	}
	if !ok {
		return held{}, errs.E(errs.NotFound, "Version not found.")
	}
	old, err := decodePast(rec.Value)
	return held(old), err
}

// version shows a version; clear tells whether its value was.
func (l *lister) version(at *place, h held, current bool) (v Version, clear bool, err error) {
	name, err := once(&l.creators, h.row.Author, l.s.creatorName)
	if err != nil {
		return Version{}, false, err
	}
	v = Version{
		Variable: h.row.ID, Number: h.row.Version, Key: h.key, Created: h.row.Updated,
		Author: userOf(h.row.Author), AuthorName: name, Change: h.row.Change.String(), Current: current,
	}
	if h.row.Change == changeDeleted {
		return v, false, nil
	}
	shown, clear, err := l.show(at, h)
	v.Value = &shown.Value
	return v, clear, err
}

// RollBackVariable gives a variable the value that it had in an older version,
// as a new version; its key stays. The present version is errs.Invalid, one that
// is not kept errs.NotFound. That the value was shown is in the audit log.
func (s *Session) RollBackVariable(variable, number uint64) (Variable, error) {
	at, h, err := s.variable(variable, RollBack)
	if err != nil {
		return Variable{}, err
	}
	if number == h.row.Version {
		return Variable{}, FieldErrors{"version": {"This is the current version."}}
	}
	old, err := s.versionOf(at, h, number)
	if err != nil {
		return Variable{}, err
	}
	if old.row.Change == changeDeleted {
		return Variable{}, FieldErrors{"version": {"The variable was deleted in this version."}}
	}
	plain, err := s.openValue(at.organization, at.environment, old.key, old.row.Value)
	if errs.Is(err, errs.Internal) {
		return Variable{}, Undecryptable{old.key}
	}
	if err != nil {
		return Variable{}, err
	}
	next := pair{h.key, string(plain)}
	if err := s.putVersion(at, &h, next, changeRolledBack); err != nil {
		return Variable{}, err
	}
	if err := s.tellVariables(at, verbUpdate, toldVariable{id: variable, key: h.key}); err != nil {
		return Variable{}, err
	}
	told := at.variableEvent(verbRollBack, variable, h.key)
	told.Details["version"] = number
	if err := s.audit(told); err != nil {
		return Variable{}, err
	}
	if err := s.audit(at.variableEvent(verbView, variable, h.key)); err != nil {
		return Variable{}, err
	}
	return s.showVariable(at, h, next.value)
}

// AllowedVariable returns the error that an action on a variable would begin
// with: nil if the caller may do it.
func (s *Session) AllowedVariable(variable uint64, a Action) error {
	_, _, err := s.variable(variable, a)
	return err
}
