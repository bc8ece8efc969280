package fsm

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/coveydb/covey/fsm/command"
)

// TestHistoryIsBounded writes many times what is kept, and sees that what is
// kept is the end of it, whole.
func TestHistoryIsBounded(t *testing.T) {
	const limit = 100_000
	r := newRig(t, Options{History: limit})
	value := bytes.Repeat([]byte("v"), 300)
	for i := range 2000 {
		r.apply(int64(i), ops(command.Op{Kind: command.Set, Key: fmt.Appendf(nil, "k%d", i), Value: value}))
	}
	v := r.view()
	defer v.Release()
	next, held := v.History, 0
	if err := v.Changes(0, 0, func(c *Change) bool {
		if c.Version != next || !bytes.Equal(c.Value, value) || string(c.Key) != fmt.Sprintf("k%d", c.Version-1) {
			t.Errorf("version %d of %s comes where %d should", c.Version, c.Key, next)
		}
		next++
		held += len(c.Key) + len(c.Value)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if next != v.Version+1 || held < limit*8/10 || held > limit {
		t.Errorf("%d bytes are kept, of versions %d to %d", held, v.History, next-1)
	}
	segments := 0
	it := v.snap.Scan([]byte{prefixSegment}, []byte{prefixSegment + 1})
	defer it.Close()
	for it.Next() {
		segments++
	}
	if segments < historyParts/2 || segments > historyParts {
		t.Errorf("%d segments", segments)
	}
}

func TestLongValuesAreNotInTheHistory(t *testing.T) {
	r := newRig(t, Options{})
	var c command.Command
	for i := range 100 { // 1.6 MiB in one command
		c.Ops = append(c.Ops, command.Op{Kind: command.Set, Key: fmt.Append(nil, i), Value: make([]byte, historyValue)})
	}
	c.Ops = append(c.Ops, command.Op{Kind: command.Set, Key: []byte("long"), Value: make([]byte, historyValue+1)}, set("short", "x", 0))
	r.apply(1, &c)
	v := r.view()
	defer v.Release()
	kept, told := 0, 0
	if err := v.Changes(0, 0, func(c *Change) bool {
		told++
		if c.Long == (len(c.Value) > 0) {
			t.Errorf("%s: long %t with %d bytes", c.Key, c.Long, len(c.Value))
		}
		kept += len(c.Value)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if told != 102 || kept != historyValues {
		t.Errorf("%d changes with %d bytes of values", told, kept)
	}
}

func FuzzHistory(f *testing.F) {
	var h history
	h.begin(1000)
	h.command(7)
	h.set([]byte("a"), []byte("1"), 1005, true)
	h.span([]byte("b"), nil)
	h.command(8)
	h.touch([]byte("c"), 0)
	h.gone([]byte("d"), true)
	f.Add(bytes.Clone(h.buf))
	f.Fuzz(func(t *testing.T, p []byte) {
		var again history
		var want []string
		long, odd, seq := false, false, uint32(0)
		if _, err := walkHistory(p, func(c *Change) bool {
			want = append(want, fmt.Sprintf("%+v", *c))
			long = long || c.Long
			if len(want) == 1 {
				again.begin(c.Time)
			}
			odd = odd || c.Version == 0 // the machine counts from 1
			if c.Version != again.version || c.Seq != seq {
				again.command(c.Version)
				again.seq, again.told = c.Seq, 0
			}
			seq = c.Seq + 1
			switch c.Kind {
			case ChangeSet:
				again.set(c.Key, c.Value, c.Expiry, c.Created)
			case ChangeSpan:
				again.span(c.Key, c.Hi)
			case ChangeTouch:
				again.touch(c.Key, c.Expiry)
			default:
				again.gone(c.Key, c.Kind == ChangeDelete)
			}
			return true
		}); err != nil || long || odd {
			return
		}
		i := 0
		_, err := walkHistory(again.buf, func(c *Change) bool {
			if got := fmt.Sprintf("%+v", *c); got != want[i] && c.Kind == ChangeSet { // others have flags that mean nothing there
				t.Errorf("%s became %s", want[i], got)
			}
			i++
			return true
		})
		if len(want) > 0 && (err != nil || i != len(want)) {
			t.Errorf("%d changes became %d, %v", len(want), i, err)
		}
	})
}
