package fsm

import (
	"fmt"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/store"
)

// Entry is one committed entry of the log.
type Entry struct {
	Index uint64
	Data  []byte // as package command encodes it
}

// Apply applies entries in ascending order of Index, in one store batch, and
// publishes the state after the last. It returns one slice of results per
// entry, in the order of the entry's commands; nil for an entry at or below
// the state's Index, which was applied before. After an error the machine must
// not be used any more, and the node must stop: skipping an entry would let
// replicas differ.
func (m *Machine) Apply(entries []Entry) ([][]command.Result, error) {
	results := make([][]command.Result, len(entries))
	for done := 0; done < len(entries); {
		n, err := m.apply(entries[done:], results[done:])
		if err != nil {
			return nil, err
		}
		done += n
	}
	return results, nil
}

// apply applies the first entries in one batch, and returns how many: all, or
// those before one that replaces the state, which goes alone.
func (m *Machine) apply(entries []Entry, results [][]command.Result) (n int, err error) {
	b := m.db.Batch()
	defer b.Close()
	a := applier{m: m, b: b, st: m.st}
	for n < len(entries) && a.replaces == nil {
		e := entries[n]
		if e.Index > a.st.Index {
			if results[n], err = a.entry(e); err != nil {
				return n, fmt.Errorf("fsm: entry %d: %w", e.Index, err)
			}
		}
		if a.replaces == nil {
			n++
		}
	}
	if err := a.commit(); err != nil || a.replaces == nil {
		return n, err
	}
	b.Close() // before the store that it belongs to goes
	res, err := m.install(entries[n], a.replaces)
	if err != nil {
		return n, fmt.Errorf("fsm: entry %d: %w", entries[n].Index, err)
	}
	results[n] = []command.Result{res}
	return n + 1, nil
}

// commit makes what the batch holds the published state.
func (a *applier) commit() error {
	m := a.m
	if a.st.Index == m.st.Index {
		return nil
	}
	a.b.Set(metaKey, a.st.append(nil))
	if err := m.patiently(a.b.Commit); err != nil {
		return fmt.Errorf("fsm: commit entries up to %d: %w", a.st.Index, err)
	}
	m.st = a.st
	m.publish()
	return nil
}

// patiently does write, again and again while it finds no room and the owner of
// the machine wants to wait for some.
func (m *Machine) patiently(write func() error) error {
	err := write()
	for errs.Is(err, errs.NoSpace) && m.opts.Full != nil && m.opts.Full(err) {
		err = write()
	}
	return err
}

// applier is the work on one batch of entries.
type applier struct {
	m  *Machine
	b  *store.Batch
	st State

	replaces *command.Entry // the entry at hand is the last piece of a new state, and was not applied
}

func (a *applier) entry(e Entry) ([]command.Result, error) {
	entry, err := command.DecodeEntry(e.Data)
	if err != nil {
		return nil, err
	}
	if entry.State != nil && entry.State.Last() {
		a.replaces = &entry
		return nil, nil
	}
	a.st.Clock = max(a.st.Clock, entry.Time)
	a.m.hist.begin(a.st.Clock)
	var results []command.Result
	if entry.State != nil {
		results = []command.Result{a.keep(&entry.State.Chunk)}
	} else if entry.Chunk != nil {
		res, err := a.chunk(entry.Chunk)
		if err != nil {
			return nil, err
		}
		results = []command.Result{res}
	} else {
		results = make([]command.Result, len(entry.Commands))
		for i, p := range entry.Commands {
			if results[i], err = a.encoded(p); err != nil {
				return nil, fmt.Errorf("command %d: %w", i, err)
			}
		}
	}
	a.st.Index = e.Index
	a.extendChain(e.Data, results)
	return results, a.keepHistory()
}

// extendChain hashes an entry and its results into the chain. The wording of a
// refusal stays out, so that a release may change it.
func (a *applier) extendChain(entry []byte, results []command.Result) {
	h := a.m.hash
	h.Reset()
	h.Write(a.st.Chain[:])
	h.Write(entry)
	buf := a.m.scratch[:0]
	for i := range results {
		r := results[i]
		r.Msg = ""
		buf = r.Append(buf)
	}
	h.Write(buf)
	a.m.scratch = buf
	h.Sum(a.st.Chain[:0])
}

// keptOps is how large a command's slices may be to be used for the next one.
const keptOps = 1024

func (a *applier) encoded(p []byte) (command.Result, error) {
	c := &a.m.cmd
	if cap(c.Ops) > keptOps || cap(c.Reads) > keptOps {
		*c = command.Command{}
	}
	if err := c.Decode(p); err != nil {
		return command.Result{}, err
	}
	return a.command(c)
}

// command applies c if nothing that it read has changed, and if it was not
// applied before.
func (a *applier) command(c *command.Command) (command.Result, error) {
	if v, ok := a.m.ring.find(c.ID); ok {
		return a.remembered(c.ID, v)
	}
	res := command.Result{Version: a.st.Version, Time: a.st.Clock}
	if c.Since < a.st.Floor {
		res.Outcome = command.Forgotten
		res.Msg = fmt.Sprintf("the request is older than the restore at version %d, and whether it was applied before is no longer known", a.st.Floor)
		return res, nil
	}
	if a.st.Version >= a.st.Ring && c.Since < a.st.Version-a.st.Ring {
		res.Outcome = command.Forgotten
		res.Msg = "the request is so old that whether it was applied before is no longer known"
		return res, nil
	}
	if msg, err := a.guard(c); msg != "" || err != nil {
		res.Outcome, res.Msg = command.Conflict, msg
		return res, err
	}
	added, msg, err := a.sums(c)
	if msg != "" || err != nil {
		res.Outcome, res.Msg = command.Rejected, msg
		return res, err
	}
	a.st.Version++
	res.Outcome, res.Version, res.Added = command.Applied, a.st.Version, added
	if len(c.Reply) > 0 {
		res.Reply = append([]byte(nil), c.Reply...) // c's bytes belong to the log
	}
	a.m.hist.command(a.st.Version)
	if err := a.ops(c, &res); err != nil {
		return res, err
	}
	a.remember(c.ID, &res)
	return res, nil
}

func (a *applier) remember(id command.ID, res *command.Result) {
	buf := append(a.m.scratch[:0], id[:]...)
	buf = res.Append(buf)
	a.m.scratch = buf
	a.m.ring.put(id, res.Version)
	a.m.key = appendIDKey(a.m.key[:0], res.Version%a.st.Ring)
	a.b.Set(a.m.key, buf)
}

func (a *applier) remembered(id command.ID, version uint64) (command.Result, error) {
	p, ok, err := a.b.Get(appendIDKey(nil, version%a.st.Ring))
	if err != nil {
		return command.Result{}, err
	}
	got, res, err := decodeRemembered(p)
	if !ok || err != nil || got != id {
		return res, fmt.Errorf("%w (result of command %s)", errCorrupt, id)
	}
	res.Duplicate = true
	return res, nil
}
