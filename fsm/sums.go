package fsm

import (
	"bytes"

	"github.com/coveydb/covey/fsm/command"
)

// sums computes the new text of each Add of c, as if the operations before it
// had been carried out, and writes nothing: a command in which one Add is
// refused must leave no trace. A Reap gets an empty place among the sums. It
// returns why the command is refused, or "".
func (a *applier) sums(c *command.Command) (added [][]byte, refused string, err error) {
	var e effects
	for i := range c.Ops {
		o := &c.Ops[i]
		switch o.Kind {
		case command.Add:
			sum, refused, err := a.sum(&e, o)
			if refused != "" || err != nil {
				return nil, refused, err
			}
			added = append(added, sum)
		case command.Reap:
			added = append(added, nil) // its place; see ops
		}
		if len(c.Ops) > 1 {
			e.note(i, o, added)
		}
	}
	return added, "", nil
}

func (a *applier) sum(e *effects, o *command.Op) (text []byte, refused string, err error) {
	base, known := e.value(o.Key)
	if !known {
		h, value, err := a.m.heads.record(a.b, o.Key)
		if err != nil {
			return nil, "", err
		}
		if h.live(a.st.Clock) {
			base = nonNil(value)
		}
	}
	n := command.Number{}
	if base != nil {
		var ok bool
		if n, ok = command.ParseNumber(base); !ok {
			return nil, "the stored value is not a number", nil
		}
	}
	if n, err = n.Add(o.Delta); err != nil {
		return nil, err.Error(), nil
	}
	return n.Append(nil), "", nil
}

// effects is what the operations of one command have done so far, for its own
// Adds to see. It is looked up, never ranged over.
type effects struct {
	last  map[string]effect
	spans []spanEffect // at most command.MaxSpans
}

type effect struct {
	op    int
	value []byte // nil: deleted
}

type spanEffect struct {
	op     int
	lo, hi []byte
}

func (e *effects) note(i int, o *command.Op, added [][]byte) {
	var value []byte
	switch o.Kind {
	case command.Set:
		value = nonNil(o.Value)
	case command.Add:
		value = added[len(added)-1]
	case command.Delete:
	case command.DeleteSpan:
		e.spans = append(e.spans, spanEffect{i, o.Key, o.Hi})
		return
	default:
		return
	}
	if e.last == nil {
		e.last = make(map[string]effect)
	}
	e.last[string(o.Key)] = effect{i, value}
}

// value returns key's value after the operations noted, nil for none; known is
// false when they left it as it is in the store.
func (e *effects) value(key []byte) (value []byte, known bool) {
	last, known := e.last[string(key)]
	for _, s := range e.spans {
		inside := bytes.Compare(s.lo, key) <= 0 && (s.hi == nil || bytes.Compare(key, s.hi) < 0)
		if inside && (!known || s.op > last.op) {
			last, known = effect{op: s.op}, true
		}
	}
	return last.value, known
}

func nonNil(p []byte) []byte {
	if p == nil {
		return []byte{}
	}
	return p
}
