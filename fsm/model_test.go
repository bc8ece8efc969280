package fsm

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/coveydb/covey/fsm/command"
)

// The commit rule against serial replay: random transactions read a state that
// may be old, by a clock that may be wrong, and become commands; each command
// that the machine accepts must be what its transaction would have done, had it
// run alone at that point of the log. The model that says so is a map.

// modelRecord is a record in the model.
type modelRecord struct {
	value  string
	expiry int64
}

// model executes transactions serially.
type model map[string]modelRecord

func (m model) live(key string, now int64) (modelRecord, bool) {
	r, ok := m[key]
	return r, ok && liveAt(r.expiry, now)
}

// txn is a random transaction: it reads spans, and what it writes depends on
// every byte that it has read.
type txn struct {
	reads  []command.Read // Live not set
	writes []command.Op   // of a Set, the value is replaced
}

// seen is what one read of a transaction saw, as text.
func (m model) seen(r command.Read, now int64) string {
	out := ""
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if rec, ok := m.live(key, now); ok && holds(r, key) {
			out += key + "=" + rec.value + " "
		}
	}
	return out
}

func holds(r command.Read, key string) bool {
	if r.Point {
		return key == string(r.Lo)
	}
	return key >= string(r.Lo) && (r.Hi == nil || key < string(r.Hi))
}

// apply does what ops say at time now.
func (m model) apply(ops []command.Op, now int64) {
	for _, o := range ops {
		switch o.Kind {
		case command.Set:
			m[string(o.Key)] = modelRecord{string(o.Value), expiryAfter(now, o.TTL)}
		case command.Delete:
			delete(m, string(o.Key))
		case command.DeleteSpan:
			maps.DeleteFunc(m, func(k string, _ modelRecord) bool { return holds(command.Read{Lo: o.Key, Hi: o.Hi}, k) })
		case command.Touch:
			if r, ok := m.live(string(o.Key), now); ok {
				m[string(o.Key)] = modelRecord{r.value, expiryAfter(now, o.TTL)}
			}
		case command.Add:
			sum := o.Delta
			if r, ok := m.live(string(o.Key), now); ok {
				base, _ := command.ParseNumber([]byte(r.value))
				sum, _ = base.Add(o.Delta)
			}
			m[string(o.Key)] = modelRecord{sum.String(), expiryAfter(now, o.TTL)}
		}
	}
}

// modelRun is one random history.
type modelRun struct {
	*rig
	rnd     *rand.Rand
	mutate  func(x *modelRun, c *command.Command) // breaks the rule; nil for the true one
	model   model
	clock   int64
	views   []*View // old states to read, oldest first
	history []Entry

	accepted, refused int
}

func newModelRun(t testing.TB, seed uint64, mutate func(*modelRun, *command.Command)) *modelRun {
	x := &modelRun{
		rig: newRig(t, Options{Ring: 64, History: 1000}), rnd: rand.New(rand.NewPCG(seed, 0)),
		mutate: mutate, model: model{}, clock: 1000,
	}
	if seed%2 == 0 { // keys that share a slot drive each other out
		x.m.heads = newHeads(1 + int(seed%6))
	}
	return x
}

func (x *modelRun) finish() {
	for _, v := range x.views {
		v.Release()
	}
	x.close()
}

// key draws one of a few keys. Those that begin with n hold only numbers.
func (x *modelRun) key(prefix string) []byte { return fmt.Appendf(nil, "%s%d", prefix, x.rnd.IntN(4)) }

func (x *modelRun) ttl() int64 {
	if x.rnd.IntN(2) == 0 {
		return 0
	}
	return 1 + x.rnd.Int64N(12)
}

func (x *modelRun) span() (lo, hi []byte) {
	lo, hi = x.key("k"), x.key("k")
	switch x.rnd.IntN(5) {
	case 0:
		return nil, nil
	case 1:
		return lo, nil
	}
	if bytes.Compare(lo, hi) > 0 {
		lo, hi = hi, lo
	}
	return lo, append(hi, '~')
}

func (x *modelRun) txn() txn {
	var t txn
	for range x.rnd.IntN(3) {
		r := command.Read{Point: x.rnd.IntN(3) == 0}
		if r.Point {
			r.Lo = x.key("k")
		} else {
			r.Lo, r.Hi = x.span()
		}
		t.reads = append(t.reads, r)
	}
	for range 1 + x.rnd.IntN(2) {
		o := command.Op{Kind: command.Set, Key: x.key("k"), TTL: x.ttl()}
		switch x.rnd.IntN(8) {
		case 0, 1:
			o = command.Op{Kind: command.Delete, Key: o.Key}
		case 2:
			o = command.Op{Kind: command.DeleteSpan}
			o.Key, o.Hi = x.span()
		case 3:
			o.Kind = command.Touch
		case 4:
			o.Kind, o.Key, o.Delta = command.Add, fmt.Appendf(nil, "n%d", x.rnd.IntN(2)), command.Int(x.rnd.Int64N(9))
		}
		t.writes = append(t.writes, o)
	}
	return t
}

// ops is what t writes after it saw reads.
func (t txn) ops(reads []string) []command.Op {
	h := fnv.New32()
	for _, r := range reads {
		h.Write([]byte(r + "|"))
	}
	out := slices.Clone(t.writes)
	for i := range out {
		if out[i].Kind == command.Set {
			out[i].Value = fmt.Appendf(nil, "%08x.%d", h.Sum32(), i)
		}
	}
	return out
}

// run runs t on an old view at time now, as a proposer does.
func (x *modelRun) run(t txn, v *View, now int64) (*command.Command, []string) {
	c := &command.Command{Version: v.Version}
	var saw []string
	for _, r := range t.reads {
		text := ""
		lo, hi := r.Lo, r.Hi
		if r.Point {
			hi = append(bytes.Clone(lo), 0)
		}
		it := v.Scan(lo, hi, now)
		for it.Next() {
			r.Live++
			text += string(it.Record().Key) + "=" + string(it.Record().Value) + " "
		}
		if err := it.Close(); err != nil {
			x.t.Fatal(err)
		}
		c.Reads, saw = append(c.Reads, r), append(saw, text)
	}
	if len(c.Reads) > 0 {
		c.At = now
	}
	c.Ops = t.ops(saw)
	return c, saw
}

// step makes one entry of one command and applies it. It returns what is wrong
// with the machine's answer, or "".
func (x *modelRun) step() string {
	if x.rnd.IntN(3) == 0 {
		x.clock += x.rnd.Int64N(6)
	}
	x.views = append(x.views, x.view())
	if len(x.views) > 6 {
		x.views[0].Release()
		x.views = x.views[1:]
	}
	if x.rnd.IntN(12) == 0 {
		x.commit(x.entry(x.clock, ops(command.Op{Kind: command.Reap, Limit: x.rnd.Uint64N(4)})))
		return ""
	}
	t := x.txn()
	v := x.views[max(0, len(x.views)-1-x.rnd.IntN(6)*x.rnd.IntN(2))]
	c, saw := x.run(t, v, x.clock+x.rnd.Int64N(17)-8)
	if x.mutate != nil {
		x.mutate(x, c)
	}
	res := x.commit(x.entry(x.clock, c))
	if res.Outcome != command.Applied {
		x.refused++
		if len(t.reads) == 0 {
			return fmt.Sprintf("a blind command was refused: %s", res.Msg)
		}
		return ""
	}
	x.accepted++
	for i, r := range t.reads {
		if now := x.model.seen(r, x.clock); now != saw[i] {
			return fmt.Sprintf("accepted %v\nread %d saw  %q\nserially it is %q", c, i, saw[i], now)
		}
	}
	x.model.apply(c.Ops, x.clock)
	return ""
}

func (x *modelRun) commit(e Entry) command.Result {
	x.t.Helper()
	x.history = append(x.history, e)
	res, err := x.m.Apply([]Entry{e})
	if err != nil {
		x.t.Fatal(err)
	}
	return res[0][0]
}

// differs returns how the machine's live records differ from the model's.
func (x *modelRun) differs() string {
	v := x.view()
	defer v.Release()
	got := ""
	it := v.Scan(nil, nil, x.clock)
	for it.Next() {
		r := it.Record()
		got += fmt.Sprintf("%s=%s@%d ", r.Key, r.Value, r.Expiry)
	}
	if err := it.Close(); err != nil {
		x.t.Fatal(err)
	}
	want := ""
	for _, k := range slices.Sorted(maps.Keys(x.model)) {
		if r, ok := x.model.live(k, x.clock); ok {
			want += fmt.Sprintf("%s=%s@%d ", k, r.value, r.expiry)
		}
	}
	if got != want {
		return fmt.Sprintf("live records\n got %s\nwant %s", got, want)
	}
	return ""
}

// firstFault runs random histories until one shows a fault.
func firstFault(t *testing.T, histories, steps int, mutate func(*modelRun, *command.Command)) string {
	t.Helper()
	var accepted, refused int
	for seed := range uint64(histories) {
		x := newModelRun(t, seed, mutate)
		for i := range steps {
			fault := x.step()
			if fault == "" {
				fault = x.differs()
			}
			if fault != "" {
				x.finish()
				return fmt.Sprintf("seed %d, step %d: %s", seed, i, fault)
			}
		}
		accepted, refused = accepted+x.accepted, refused+x.refused
		x.finish()
	}
	t.Logf("%d commands accepted, %d refused", accepted, refused)
	if accepted < histories*steps/4 || refused < histories*steps/20 {
		t.Errorf("%d accepted and %d refused: the test shows little", accepted, refused)
	}
	return ""
}

func TestAcceptedCommandsAreSerial(t *testing.T) {
	histories := 30
	if testing.Short() {
		histories = 10
	}
	if fault := firstFault(t, histories, 300, nil); fault != "" {
		t.Error(fault)
	}
}

// A machine that leaves out one part of the rule answers like the true one
// answers to a command that says, for this part, what the machine finds. So
// each part can be taken away without a switch in the machine.
func TestEveryPartOfTheRuleIsNeeded(t *testing.T) {
	for name, mutate := range map[string]func(*modelRun, *command.Command){
		"newer versions": func(x *modelRun, c *command.Command) { c.Version = x.m.st.Version },
		"number of live records": func(x *modelRun, c *command.Command) {
			for i := range c.Reads {
				r := &c.Reads[i]
				r.Live = 0
				for key := range x.model {
					if _, ok := x.model.live(key, x.clock); ok && holds(*r, key) {
						r.Live++
					}
				}
			}
		},
		"time": func(_ *modelRun, c *command.Command) { c.At = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			fault := firstFault(t, 60, 300, mutate)
			if fault == "" {
				t.Fatal("no wrong accept was found without it")
			}
			t.Log(fault)
		})
	}
}
