package vault

import (
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/coveydb/covey/internal/errs"
)

// maxCompared bounds the bytes of values that one comparison shows.
const maxCompared = 8 << 20

// Difference is how one environment differs from another, by key. What is added
// has only the other one, what is removed only the first one.
type Difference struct {
	Added, Removed, Changed []Differing
	Unchanged               int
}

// Differing is a variable that differs. Values are nil unless they were asked
// for; MaskDamaged stands for one that does not open.
type Differing struct {
	Key   string
	Value *string // in the environment that has it; in the first one if both do
	With  *string // in the other one if both have it
}

// Compare compares an environment with another one, value by value. The caller
// must be allowed to read values in both, also where none are shown: what is
// unchanged tells them. A value that does not open is like no other. With values
// it shows those that differ; more than maxCompared bytes of them are
// errs.TooLarge. That both were read is among the Readings.
func (s *Session) Compare(environment, with uint64, values bool) (*Difference, error) {
	first, err := s.environment(environment, ReadValue)
	if err != nil {
		return nil, err
	}
	other, err := s.environment(with, ReadValue)
	if err != nil {
		return nil, err
	}
	of, err := s.digests(first)
	if err != nil {
		return nil, err
	}
	against, err := s.digests(other)
	if err != nil {
		return nil, err
	}
	d := difference(of, against)
	if values {
		v := comparedValues{s: s, room: maxCompared}
		v.show(first, d.Removed, func(e *Differing) **string { return &e.Value })
		v.show(first, d.Changed, func(e *Differing) **string { return &e.Value })
		v.show(other, d.Changed, func(e *Differing) **string { return &e.With })
		v.show(other, d.Added, func(e *Differing) **string { return &e.Value })
		if v.err != nil {
			return nil, v.err
		}
	}
	s.reads(first.viewed(len(of)))
	s.reads(other.viewed(len(against)))
	return d, nil
}

// digest stands for a value; nil for one that does not open.
type digest *[sha256.Size]byte

// digests returns what stands for the values of an environment, by key, so that
// two environments can be compared of which only a part is held at once.
func (s *Session) digests(at *place) (map[string]digest, error) {
	found, room := map[string]digest{}, maxShown
	err := scanVariables(s.tx, at.environmentID, &room, func(h held) error {
		plain, err := s.openValue(at.organization, at.environment, h.key, h.row.Value)
		switch {
		case errs.Is(err, errs.Internal):
			found[h.key] = nil
		case err != nil:
			return err
		default:
			sum := sha256.Sum256(plain)
			clear(plain)
			found[h.key] = &sum
		}
		return nil
	})
	return found, err
}

func difference(of, with map[string]digest) *Difference {
	d := &Difference{Added: []Differing{}, Removed: []Differing{}, Changed: []Differing{}}
	for _, k := range slices.Sorted(maps.Keys(of)) {
		a := of[k]
		switch b, both := with[k]; {
		case !both:
			d.Removed = append(d.Removed, Differing{Key: k})
		case a == nil || b == nil || *a != *b:
			d.Changed = append(d.Changed, Differing{Key: k})
		default:
			d.Unchanged++
		}
	}
	for _, k := range slices.Sorted(maps.Keys(with)) {
		if _, both := of[k]; !both {
			d.Added = append(d.Added, Differing{Key: k})
		}
	}
	return d
}

// comparedValues shows values until there are too many bytes of them, or there
// is another error.
type comparedValues struct {
	s    *Session
	room int
	err  error
}

// show fills in the values of variables in an environment.
func (c *comparedValues) show(at *place, list []Differing, field func(*Differing) **string) {
	for i := range list {
		if c.err != nil {
			return
		}
		var text string
		if text, c.err = c.value(at, list[i].Key); c.err == nil {
			*field(&list[i]) = &text
		}
	}
}

func (c *comparedValues) value(at *place, key string) (string, error) {
	row, err := readVariable(c.s.tx, byIDText(variableByte, at.environmentID, key))
	if err != nil {
		return "", err
	}
	if row == nil {
		return "", errs.E(errs.Internal, "variable %s was compared but is not there", key)
	}
	if c.room -= len(row.Value); c.room < 0 {
		return "", errs.E(errs.TooLarge, "the values that differ are over %d MiB: compare without values", maxCompared>>20)
	}
	plain, err := c.s.openValue(at.organization, at.environment, key, row.Value)
	if errs.Is(err, errs.Internal) {
		return MaskDamaged, nil
	}
	if err != nil {
		return "", err
	}
	return string(plain), c.s.hold(len(plain), func() (int, error) { return maxCompared, nil })
}
