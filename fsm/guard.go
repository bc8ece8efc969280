package fsm

import (
	"fmt"

	"github.com/coveydb/covey/fsm/command"
)

// guard is the commit rule (DESIGN.md): c may be applied if the clock is not
// before c.At and, for each span that c read, no live record is newer than
// c.Version and there are as many live records as c saw. It returns what is in
// the way, or "".
func (a *applier) guard(c *command.Command) (string, error) {
	if len(c.Reads) == 0 {
		return "", nil
	}
	switch {
	case a.st.Clock < c.At:
		return fmt.Sprintf("the writer's clock is %d ms ahead of the leader's", c.At-a.st.Clock), nil
	case c.Version < a.st.Floor:
		return fmt.Sprintf("read at version %d, before the restore at %d", c.Version, a.st.Floor), nil
	case c.Version > a.st.Version:
		return fmt.Sprintf("read at version %d, which this state has not reached", c.Version), nil
	}
	for i := range c.Reads {
		r := &c.Reads[i]
		var ok bool
		var err error
		if r.Point {
			ok, err = a.pointUnchanged(r, c.Version)
		} else {
			ok, err = a.spanUnchanged(r, c.Version)
		}
		if err != nil {
			return "", err
		}
		if !ok {
			return fmt.Sprintf("what read %d saw has changed since version %d", i, c.Version), nil
		}
	}
	return "", nil
}

func (a *applier) pointUnchanged(r *command.Read, since uint64) (bool, error) {
	h, err := a.m.heads.head(a.b, r.Lo)
	if err != nil {
		return false, err
	}
	if !h.live(a.st.Clock) {
		return r.Live == 0, nil
	}
	return r.Live == 1 && h.version <= since, nil
}

func (a *applier) spanUnchanged(r *command.Read, since uint64) (bool, error) {
	lo, hi := dataSpan(r.Lo, r.Hi)
	it := a.b.Scan(lo, hi)
	defer it.Close()
	var live uint64
	for it.Next() {
		h, _, err := decodeRecord(it.Value())
		if err != nil {
			return false, err
		}
		if !h.live(a.st.Clock) {
			continue
		}
		if live++; h.version > since || live > r.Live {
			return false, nil
		}
	}
	return live == r.Live, it.Err()
}
