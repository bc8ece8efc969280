package command

import (
	"fmt"
	"strings"
)

// String returns c in the notation of the golden files, one line:
//
//	id=… since=1 version=2 at=3 read "k"=1 read ["a","b")=0 set "k"="v" ttl=5 reply="r"
func (c *Command) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "id=%s since=%d version=%d at=%d", c.ID, c.Since, c.Version, c.At)
	for i := range c.Reads {
		r := &c.Reads[i]
		if r.Point {
			fmt.Fprintf(&b, " read %q=%d", r.Lo, r.Live)
		} else {
			fmt.Fprintf(&b, " read %s=%d", spanText(r.Lo, r.Hi), r.Live)
		}
	}
	for i := range c.Ops {
		b.WriteByte(' ')
		b.WriteString(c.Ops[i].String())
	}
	if len(c.Reply) > 0 {
		fmt.Fprintf(&b, " reply=%q", c.Reply)
	}
	return b.String()
}

// String returns o in the notation of the golden files.
func (o *Op) String() string {
	switch o.Kind {
	case Set:
		return fmt.Sprintf("set %q=%q ttl=%d", o.Key, o.Value, o.TTL)
	case Delete:
		return fmt.Sprintf("delete %q", o.Key)
	case DeleteSpan:
		return "delete " + spanText(o.Key, o.Hi)
	case Add:
		return fmt.Sprintf("add %q %s ttl=%d", o.Key, o.Delta.encode(nil)[1:], o.TTL)
	case Touch:
		return fmt.Sprintf("touch %q ttl=%d", o.Key, o.TTL)
	case Reap:
		return fmt.Sprintf("reap limit=%d", o.Limit)
	}
	return fmt.Sprintf("op %d", o.Kind)
}

func spanText(lo, hi []byte) string {
	if hi == nil {
		return fmt.Sprintf("[%q,)", lo)
	}
	return fmt.Sprintf("[%q,%q)", lo, hi)
}
