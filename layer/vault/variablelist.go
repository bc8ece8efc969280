package vault

import (
	"cmp"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// VariableFilter narrows a list of variables down. What is zero does not.
type VariableFilter struct {
	Environment uint64
	Key         string // a part of the key, whatever the case
}

// Variables lists the variables of the caller's organizations. Of an
// environment that is not for the caller it lists none. Which values were shown
// is among the Readings.
func (s *Session) Variables(filter VariableFilter, p Paging) (Page[Variable], error) {
	environments := []uint64{filter.Environment}
	if filter.Environment == 0 {
		var err error
		if environments, err = s.environmentIDs(0); err != nil {
			return Page[Variable]{}, err
		}
	}
	type found struct {
		at  *place
		key string
	}
	foundByID := map[uint64]found{}
	var ids []uint64
	part, room := strings.ToLower(filter.Key), maxListed
	for _, id := range environments {
		at, err := s.environment(id, ReadOrganization)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return Page[Variable]{}, err
		}
		err = scanKeys(s.tx, id, &room, func(variable uint64, key string) {
			if part == "" || contains(part, key) {
				foundByID[variable] = found{at, key}
				ids = append(ids, variable)
			}
		})
		if err != nil {
			return Page[Variable]{}, err
		}
	}
	l := lister{s: s, most: func() (int, error) { return MaxPageSize * MaxValue, nil }}
	shown, err := page(p, ids, func(id uint64) (Variable, error) {
		f := foundByID[id]
		row, err := readVariable(s.tx, byIDText(variableByte, f.at.environmentID, f.key))
		if err == nil && row == nil {
			err = errs.E(errs.Internal, "variable %d is in a list but not there", id)
		}
		if err != nil {
			return Variable{}, err
		}
		v, _, err := l.show(f.at, held{f.key, row})
		return v, err
	})
	l.record()
	return shown, err
}

// scanKeys visits the ids and keys of an environment's variables, ids
// ascending, and reads no values. room is how many may still be visited.
func scanKeys(tx *kv.Tx, environment uint64, room *int, visit func(variable uint64, key string)) error {
	prefix := byID(variablesByte, environment)
	lo, hi := tuple.Span(prefix)
	for rec, err := range tx.Scan(lo, hi) {
		if err != nil {
			return err
		}
		if *room--; *room < 0 {
			return errTooMany()
		}
		id, _, err := tuple.Uint(rec.Key[len(prefix):])
		if err != nil {
			return damaged(err)
		}
		visit(id, string(rec.Value))
	}
	return nil
}

// EnvironmentVariables returns all variables of an environment, ids ascending.
// That values were shown is among the Readings.
func (s *Session) EnvironmentVariables(environment uint64) ([]Variable, error) {
	at, err := s.environment(environment, ReadOrganization)
	if err != nil {
		return nil, err
	}
	l, room := lister{s: s, most: func() (int, error) { return sizeOf(s.tx, environment) }}, maxShown
	shown := []Variable{}
	err = scanVariables(s.tx, environment, &room, func(h held) error {
		v, _, err := l.show(at, h)
		shown = append(shown, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(shown, func(a, b Variable) int { return cmp.Compare(a.ID, b.ID) })
	l.record()
	return shown, nil
}

// lister shows variables, and reads roles and names once for many of them. The
// zero value with its session is ready.
type lister struct {
	s        *Session
	most     func() (int, error) // see Session.hold
	roles    map[uint64]Role     // by organization
	creators map[uint64]string   // by user
	clear    map[*place]int      // how many values were shown
	places   []*place            // of clear, in order

	shown map[variableRef]bool // the same by name, while references are resolved
}

// show shows a variable; clear tells whether its value was. A value that does
// not open is masked; one that cannot be opened on this node is
// errs.Unavailable.
func (l *lister) show(at *place, h held) (v Variable, clear bool, err error) {
	role, err := once(&l.roles, at.project.Organization, l.s.role)
	if err != nil {
		return Variable{}, false, err
	}
	creator, err := once(&l.creators, h.row.Creator, l.s.creatorName)
	if err != nil {
		return Variable{}, false, err
	}
	v = Variable{
		ID: h.row.ID, Key: h.key, Value: MaskHidden, Environment: at.environmentID, EnvironmentName: at.environment.Name,
		Created: h.row.Created, Updated: h.row.Updated, CreatorName: creator, Version: h.row.Version,
	}
	if !l.s.sees(role) {
		return v, false, nil
	}
	plain, err := l.s.openValue(at.organization, at.environment, h.key, h.row.Value)
	switch {
	case errs.Is(err, errs.Internal):
		v.Value = MaskDamaged
		return v, false, nil
	case err != nil:
		return Variable{}, false, err
	}
	if err := l.s.hold(len(plain), l.most); err != nil {
		return Variable{}, false, err
	}
	v.Value = string(plain)
	if err := l.resolve(at, &v); err != nil {
		return Variable{}, false, err
	}
	if l.clear == nil {
		l.clear = map[*place]int{}
	}
	if l.clear[at]++; l.clear[at] == 1 {
		l.places = append(l.places, at)
	}
	return v, true, nil
}

// record adds what was shown to the session's Readings, one for each
// environment, with what was opened for references.
func (l *lister) record() {
	others, opened := l.opened()
	for _, at := range l.places {
		l.s.reads(at.viewed(l.clear[at] + opened[at.environmentID]))
		delete(opened, at.environmentID)
	}
	for _, at := range others {
		if n := opened[at.environmentID]; n > 0 {
			l.s.reads(at.viewed(n))
		}
	}
}

// viewed is that so many values of an environment were read.
func (p *place) viewed(n int) event {
	return event{p.project.Organization, verbView, targetEnvironment, p.environmentID, details{
		"variable_count": n, "environment": p.environment.Name, "project": p.project.Name,
	}}
}

// once returns what read gives for an id, and reads it once.
func once[T any](known *map[uint64]T, id uint64, read func(uint64) (T, error)) (T, error) {
	if v, ok := (*known)[id]; ok {
		return v, nil
	}
	v, err := read(id)
	if err != nil {
		return v, err
	}
	if *known == nil {
		*known = map[uint64]T{}
	}
	(*known)[id] = v
	return v, nil
}
