package room

import "github.com/coveydb/covey/fsm/command"

// Level is how short of space a disk is, from good to bad. The numbers go over
// the wire between nodes: never renumber.
type Level uint8

const (
	Plenty Level = 0 // everything is written
	Low    Level = 1 // what removes, and adds a little by that; and small vital records
	Scarce Level = 2 // the same, and adds next to nothing by that
	Full   Level = 3 // only what removes
	None   Level = 4 // nothing: no further piece of the log has room
)

// String returns the level's name for logs.
func (l Level) String() string {
	switch l {
	case Plenty:
		return "plenty"
	case Low:
		return "low"
	case Scarce:
		return "scarce"
	case Full:
		return "full"
	}
	return "none"
}

// What a command may add at a level, keys and values.
const (
	lowAdds    = 64 << 10 // a deleted secret is kept as an old version for a while
	scarceAdds = 8 << 10
	vitalAdds  = 16 << 10 // of a command whose every record is vital
)

// Allows reports whether c may go into the log at this level. vital tells of a
// key whether its record is needed to go on working at all, such as an entry of
// an audit log or a session; nil is none. Allowed are
//
//   - up to Full, what only removes;
//   - up to Scarce, what deletes a span, or at least as many records as it
//     writes that are not vital, and adds few bytes by that;
//   - up to Scarce, what writes only vital records, of few bytes.
//
// Counters and new expiries may go with these, but are writes like any other in
// a command of their own.
func (l Level) Allows(c *command.Command, vital func(key []byte) bool) bool {
	if l == Plenty || l >= None {
		return l == Plenty
	}
	d := weigh(c, vital)
	if d.added == 0 {
		return true
	}
	if l >= Full {
		return false
	}
	if d.vital > 0 && d.written == 0 && d.added <= vitalAdds {
		return true
	}
	adds := lowAdds
	if l == Scarce {
		adds = scarceAdds
	}
	return d.added <= adds && (d.spans > 0 || d.removed > 0 && d.removed >= d.written)
}

// doing is what a command does to the space.
type doing struct {
	removed int // records deleted by their key
	spans   int // spans deleted
	vital   int // records set that are vital
	written int // records set that are not
	added   int // bytes of keys and values written
}

// number is what a counter, and the head of a record whose expiry is moved,
// take at the most.
const number = 32

func weigh(c *command.Command, vital func([]byte) bool) doing {
	var d doing
	for i := range c.Ops {
		o := &c.Ops[i]
		switch o.Kind {
		case command.Delete:
			d.removed++
		case command.DeleteSpan:
			d.spans++
		case command.Reap:
		case command.Add, command.Touch:
			d.added += len(o.Key) + number
		default:
			d.added += max(1, len(o.Key)+len(o.Value))
			if vital != nil && vital(o.Key) {
				d.vital++
			} else {
				d.written++
			}
		}
	}
	return d
}
