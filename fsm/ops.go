package fsm

import (
	"strconv"

	"github.com/coveydb/covey/fsm/command"
)

// ops carries out c, which nothing can refuse any more. Its sums are in
// res.Added already, between them an empty place for the count of each Reap.
func (a *applier) ops(c *command.Command, res *command.Result) error {
	added := 0
	for i := range c.Ops {
		o := &c.Ops[i]
		var err error
		switch o.Kind {
		case command.Set:
			err = a.put(o.Key, o.Value, o.TTL)
		case command.Add:
			err = a.put(o.Key, res.Added[added], o.TTL)
			added++
		case command.Delete:
			err = a.delete(o.Key)
		case command.DeleteSpan:
			lo, hi := dataSpan(o.Key, o.Hi)
			a.b.DeleteSpan(lo, hi)
			a.m.heads.void()
			a.m.hist.span(o.Key, o.Hi)
		case command.Touch:
			err = a.touch(o.Key, o.TTL)
		case command.Reap:
			var n uint64
			n, err = a.reap(o.Limit)
			res.Added[added] = strconv.AppendUint(nil, n, 10)
			added++
		}
		if err != nil {
			return err
		}
		a.tell(false)
	}
	return nil
}

// put writes a record, and keeps the expiry index in step with it.
func (a *applier) put(key, value []byte, ttl int64) error {
	old, err := a.m.heads.head(a.b, key)
	if err != nil {
		return err
	}
	h := a.replace(old, key, value, ttl)
	a.m.hist.set(key, value, h.expiry, !old.live(a.st.Clock))
	return nil
}

func (a *applier) replace(old head, key, value []byte, ttl int64) head {
	h := newHead(a.st.Version, a.st.Clock, ttl)
	if was, is := old.due(), h.due(); was != is {
		if old.expiry != 0 {
			a.b.Delete(a.expiryKey(was, key))
		}
		if h.expiry != 0 {
			a.b.Set(a.expiryKey(is, key), nil)
		}
	}
	rec := appendRecord(a.m.scratch[:0], h, value)
	a.m.scratch = rec
	a.b.Set(a.dataKey(key), rec)
	a.m.heads.note(key, h, value)
	return h
}

// dataKey and expiryKey make a key that is valid until the next one is made.
func (a *applier) dataKey(key []byte) []byte {
	a.m.key = appendDataKey(a.m.key[:0], key)
	return a.m.key
}

func (a *applier) expiryKey(due int64, key []byte) []byte {
	a.m.key = appendExpiryKey(a.m.key[:0], due, key)
	return a.m.key
}

func (a *applier) delete(key []byte) error {
	old, err := a.m.heads.head(a.b, key)
	if err != nil || !old.exists {
		return err
	}
	if old.expiry != 0 {
		a.b.Delete(a.expiryKey(old.due(), key))
	}
	a.remove(key)
	a.m.hist.gone(key, old.live(a.st.Clock))
	return nil
}

// remove deletes a record, but not its place in the expiry index.
func (a *applier) remove(key []byte) {
	a.b.Delete(a.dataKey(key))
	a.m.heads.note(key, head{}, nil)
}

func (a *applier) touch(key []byte, ttl int64) error {
	old, value, err := a.m.heads.record(a.b, key)
	if err != nil || !old.live(a.st.Clock) {
		return err
	}
	h := a.replace(old, key, value, ttl)
	a.m.hist.touch(key, h.expiry)
	return nil
}
