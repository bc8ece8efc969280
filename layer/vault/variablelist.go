package vault

import (
	"cmp"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
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
	l := lister{s: s}
	type found struct {
		at *place
		held
	}
	foundByID := map[uint64]found{}
	var ids []uint64
	part, room := strings.ToLower(filter.Key), maxRead
	for _, id := range environments {
		at, err := s.environment(id, ReadOrganization)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return Page[Variable]{}, err
		}
		hs, err := scanVariables(s.tx, id, &room)
		if err != nil {
			return Page[Variable]{}, err
		}
		for _, h := range hs {
			if part == "" || contains(part, h.key) {
				foundByID[h.row.ID] = found{at, h}
				ids = append(ids, h.row.ID)
			}
		}
	}
	shown, err := page(p, ids, func(id uint64) (Variable, error) {
		v, _, err := l.show(foundByID[id].at, foundByID[id].held)
		return v, err
	})
	l.record()
	return shown, err
}

// EnvironmentVariables returns all variables of an environment, ids ascending.
// That values were shown is among the Readings.
func (s *Session) EnvironmentVariables(environment uint64) ([]Variable, error) {
	at, err := s.environment(environment, ReadOrganization)
	if err != nil {
		return nil, err
	}
	room := maxRead
	hs, err := scanVariables(s.tx, environment, &room)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(hs, func(a, b held) int { return cmp.Compare(a.row.ID, b.row.ID) })
	l := lister{s: s}
	shown := make([]Variable, 0, len(hs))
	for _, h := range hs {
		v, _, err := l.show(at, h)
		if err != nil {
			return nil, err
		}
		shown = append(shown, v)
	}
	l.record()
	return shown, nil
}

// lister shows variables, and reads roles and names once for many of them. The
// zero value with its session is ready.
type lister struct {
	s        *Session
	roles    map[uint64]Role   // by organization
	creators map[uint64]string // by user
	clear    map[*place]int    // how many values were shown
	places   []*place          // of clear, in order
}

// show shows a variable; clear tells whether its value was. A value that does
// not open is masked; one that cannot be opened on this node is
// errs.Unavailable.
func (l *lister) show(at *place, h held) (v Variable, clear bool, err error) {
	role, err := recall(&l.roles, at.project.Organization, l.s.role)
	if err != nil {
		return Variable{}, false, err
	}
	creator, err := recall(&l.creators, h.row.Creator, l.s.creatorName)
	if err != nil {
		return Variable{}, false, err
	}
	v = Variable{
		ID: h.row.ID, Key: h.key, Value: MaskHidden, Environment: at.environmentID, EnvironmentName: at.environment.Name,
		Created: h.row.Created, Updated: h.row.Updated, CreatorName: creator,
	}
	if !l.s.store.grants(role, ReadValue) {
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
	v.Value = string(plain)
	if l.clear == nil {
		l.clear = map[*place]int{}
	}
	if l.clear[at]++; l.clear[at] == 1 {
		l.places = append(l.places, at)
	}
	return v, true, nil
}

// record adds what was shown to the session's Readings, one for each
// environment.
func (l *lister) record() {
	for _, at := range l.places {
		l.s.reads(event{at.project.Organization, verbView, targetEnvironment, at.environmentID, details{
			"variable_count": l.clear[at], "environment": at.environment.Name, "project": at.project.Name,
		}})
	}
}

// recall returns what read gives for an id, and reads it once.
func recall[T any](known *map[uint64]T, id uint64, read func(uint64) (T, error)) (T, error) {
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
