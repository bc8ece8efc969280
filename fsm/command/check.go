package command

import (
	"bytes"

	"github.com/coveydb/covey/internal/errs"
)

// Check says whether a proposer may put c into the log. The error is
// errs.TooLarge, or errs.Invalid, and names what is wrong.
func (c *Command) Check() error {
	switch {
	case len(c.Ops) > MaxOps:
		return errs.E(errs.TooLarge, "%d operations in one transaction, the limit is %d", len(c.Ops), MaxOps)
	case len(c.Reads) > MaxReads:
		return errs.E(errs.TooLarge, "%d ranges read in one writing transaction, the limit is %d", len(c.Reads), MaxReads)
	case len(c.Reply) > MaxReply:
		return errs.E(errs.TooLarge, "reply of %d bytes, the limit is %d", len(c.Reply), MaxReply)
	case c.Size() > MaxBytes:
		return errs.E(errs.TooLarge, "transaction of %d bytes, the limit is %d", c.Size(), MaxBytes)
	}
	for i := range c.Reads {
		if err := checkSpan(c.Reads[i].Lo, c.Reads[i].Hi); err != nil {
			return err
		}
	}
	spans := 0
	for i := range c.Ops {
		o := &c.Ops[i]
		switch {
		case o.Kind < Set || o.Kind > Reap:
			return errs.E(errs.Invalid, "operation of unknown kind %d", o.Kind)
		case o.Kind == DeleteSpan:
			spans++
		}
		if o.TTL < 0 || o.TTL > 1<<62 {
			return errs.E(errs.Invalid, "time to live of %d ms is out of range", o.TTL)
		}
		if err := checkSpan(o.Key, o.Hi); err != nil {
			return err
		}
	}
	if spans > MaxSpans {
		return errs.E(errs.TooLarge, "%d ranges deleted in one transaction, the limit is %d", spans, MaxSpans)
	}
	return nil
}

func checkSpan(lo, hi []byte) error {
	if n := max(len(lo), len(hi)); n > MaxKey {
		return errs.E(errs.TooLarge, "key of %d bytes, the limit is %d", n, MaxKey)
	}
	if hi != nil && bytes.Compare(lo, hi) > 0 {
		return errs.E(errs.Invalid, "range ends before it begins")
	}
	return nil
}
