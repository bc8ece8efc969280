package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/fsm/command"
)

// burst appends an entry of every kind there is: several commands that read old
// states, a repeat of an earlier one, a sum that is refused, chunks.
func (x *modelRun) burst(sent *[][]byte) {
	x.clock += x.rnd.Int64N(4)
	if len(x.views) > 0 && x.rnd.IntN(25) == 0 {
		x.putBack()
		return
	}
	x.views = append(x.views, x.view())
	if len(x.views) > 8 {
		x.views[0].Release()
		x.views = x.views[1:]
	}
	var encoded [][]byte
	for range 1 + x.rnd.IntN(4) {
		c, _ := x.run(x.txn(), x.views[x.rnd.IntN(len(x.views))], x.clock+x.rnd.Int64N(9)-4)
		x.ids++
		binary.BigEndian.PutUint64(c.ID[:], x.ids)
		c.Since = c.Version
		if x.rnd.IntN(6) == 0 {
			c.Ops = append(c.Ops, command.Op{Kind: command.Add, Key: x.key("k"), Delta: command.Int(1)})
		}
		if x.rnd.IntN(6) == 0 {
			c.Ops = append(c.Ops, command.Op{Kind: command.Reap, Limit: x.rnd.Uint64N(4)})
		}
		c.Reply = x.key("reply")
		encoded = append(encoded, c.Append(nil))
	}
	*sent = append(*sent, encoded...)
	if x.rnd.IntN(3) == 0 {
		encoded = append(encoded, (*sent)[x.rnd.IntN(len(*sent))])
	}
	if x.rnd.IntN(4) > 0 {
		x.commit(x.raw(command.AppendEntry(nil, x.clock, encoded...)))
		return
	}
	for _, p := range encoded {
		for _, c := range chunksOf(p, len(p)/3) {
			if x.rnd.IntN(12) > 0 { // else lost
				x.commit(x.raw(command.AppendChunk(nil, x.clock, c)))
			}
		}
	}
}

// putBack restores an earlier state, or a damaged one, or loses a piece of it.
func (x *modelRun) putBack() {
	var stream bytes.Buffer
	if err := x.views[x.rnd.IntN(len(x.views))].WriteStream(&stream); err != nil {
		x.t.Fatal(err)
	}
	p := stream.Bytes()
	odd := x.rnd.IntN(4)
	var keep []command.Span
	if x.rnd.IntN(2) == 0 {
		keep = []command.Span{{Lo: []byte("k1"), Hi: []byte("k2~")}}
	}
	if odd == 0 {
		p[x.rnd.IntN(len(p))] ^= 4
	}
	for i, c := range chunksOf(p, len(p)/3) {
		if odd != 1 || i != 1 {
			x.commit(x.raw(command.AppendState(nil, x.clock, command.StatePart{Chunk: c, Keep: keep})))
		}
		if x.rnd.IntN(4) == 0 { // others write meanwhile
			x.commit(x.entry(x.clock, ops(set(string(x.key("k")), "between", 0))))
		}
	}
}

// chunksOf cuts p into pieces of n bytes, as a proposer cuts a large command.
func chunksOf(p []byte, n int) []command.Chunk {
	var out []command.Chunk
	var set command.ID
	copy(set[:], p)
	set[15] = 'C'
	for len(p) > 0 {
		k := min(n, len(p))
		out = append(out, command.Chunk{Set: set, Seq: uint64(len(out)), Data: p[:k]})
		p = p[k:]
	}
	for i := range out {
		out[i].Total = uint64(len(out))
	}
	return out
}

// randomHistory returns entries and what the machine that made them answered.
func randomHistory(t *testing.T, seed uint64, bursts int) (history []Entry, results [][]byte, hash [32]byte) {
	t.Helper()
	x := newModelRun(t, seed, nil)
	var sent [][]byte
	for range bursts {
		x.burst(&sent)
	}
	history = x.history
	hash = x.hash()
	x.finish()
	kinds := map[string]int{}
	plain := newRig(t, Options{Ring: 64, History: 1000})
	defer plain.close()
	for _, e := range history {
		res, err := plain.m.Apply([]Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, appendResults(nil, res[0]))
		for _, r := range res[0] {
			kinds[fmt.Sprint(r.Outcome, r.Duplicate)]++
		}
	}
	if len(kinds) < 6 {
		t.Errorf("of all outcomes, repeats apart, only %v came up", kinds)
	}
	if st := plain.m.State(); st.Floor == 0 {
		t.Error("no state was put back")
	}
	if plain.m.State().History == 0 {
		t.Error("nothing went out of the history")
	}
	if plain.hash() != hash {
		t.Fatalf("seed %d: the same entries give another state", seed)
	}
	return history, results, hash
}

func appendResults(dst []byte, results []command.Result) []byte {
	for i := range results {
		dst = results[i].Append(dst)
	}
	return dst
}

// replay hands history to r in random batches, and between them does what
// disturb does. Every entry that is applied must answer as it did at first.
func replay(t *testing.T, rnd *rand.Rand, r *rig, history []Entry, results [][]byte, disturb func(r *rig) *rig) *rig {
	t.Helper()
	for r.m.State().Index < uint64(len(history)) {
		at := r.m.State().Index
		from := at - min(at, rnd.Uint64N(3)) // entries that were applied are skipped
		to := min(uint64(len(history)), at+1+rnd.Uint64N(6))
		got, err := r.m.Apply(history[from:to])
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			want := results[from+uint64(i)]
			if from+uint64(i) < at {
				want = nil
			}
			if p := appendResults(nil, got[i]); !bytes.Equal(p, want) {
				t.Fatalf("entry %d answered\n %x, at first\n %x", from+uint64(i)+1, p, want)
			}
		}
		r = disturb(r)
	}
	return r
}

func TestSameEntriesGiveTheSameState(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			history, results, want := randomHistory(t, seed, 250)
			rnd := rand.New(rand.NewPCG(seed, 1))
			dirs := 0
			r := replay(t, rnd, newRig(t, Options{Ring: 64, History: 1000}), history, results, func(r *rig) *rig {
				switch rnd.IntN(40) {
				case 0: // restart
					r.close()
					r.open()
				case 1: // a snapshot travels to a new node, which has another default
					var stream bytes.Buffer
					v := r.view()
					err := v.WriteStream(&stream)
					v.Release()
					if err != nil {
						t.Fatal(err)
					}
					r.close()
					r = newRig(t, Options{Ring: 8, History: 100})
					if err := r.m.Restore(&stream); err != nil {
						t.Fatal(err)
					}
				case 2: // go on from a checkpoint
					dirs++
					dir := fmt.Sprintf("checkpoint-%d", dirs)
					if err := r.m.Checkpoint(dir); err != nil {
						t.Fatal(err)
					}
					r.close()
					r = openRig(t, r.fs, dir, r.opts)
				}
				return r
			})
			if r.hash() != want {
				t.Error("the state differs")
			}
		})
	}
}

func TestReplayAfterACrashGivesTheSameState(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			history, results, want := randomHistory(t, seed+100, 120)
			rnd := rand.New(rand.NewPCG(seed, 2))
			crashes, lost := 0, uint64(0)
			r := openRig(t, vfs.NewCrashableMem(), "state", Options{Ring: 64, History: 1000})
			r = replay(t, rnd, r, history, results, func(r *rig) *rig {
				switch rnd.IntN(12) {
				case 0:
					if err := r.db.Flush(); err != nil {
						t.Fatal(err)
					}
				case 1, 2:
					had := r.m.State().Index
					cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: rnd.IntN(101), RNG: rnd}
					clone := r.fs.(*vfs.MemFS).CrashClone(cfg)
					r.close()
					r = openRig(t, clone, "state", r.opts)
					crashes++
					lost += had - r.m.State().Index
				}
				return r
			})
			if r.hash() != want {
				t.Error("the state differs")
			}
			if crashes == 0 || lost == 0 {
				t.Errorf("%d crashes lost %d entries: the test shows nothing", crashes, lost)
			}
		})
	}
}
