package fsm

import (
	"fmt"
	"testing"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// epochRig is a machine with data, ids and history, on which a new epoch began
// behind a large command that never came to its end.
func epochRig(t *testing.T, past uint64) (r *rig, before State, kept command.ID) {
	t.Helper()
	r = newRig(t, Options{Ring: 8})
	for i := range 20 {
		r.apply(int64(1000+i), ops(set(fmt.Sprint("k", i%5), fmt.Sprint(i), 0)))
	}
	c := ops(set("kept", "1", 0))
	r.apply(2000, c)
	if _, err := r.m.Apply([]Entry{r.raw(command.AppendChunk(nil, 2001, command.Chunk{Set: command.ID{7}, Total: 3, Data: []byte("x")}))}); err != nil {
		t.Fatal(err)
	}
	before = r.m.State()
	if err := r.m.NewEpoch(before.Index+10, past); err != nil {
		t.Fatal(err)
	}
	r.next = before.Index + 11
	return r, before, c.ID
}

func TestANewEpochLeavesTheDataAndSkipsVersions(t *testing.T) {
	for name, past := range map[string]uint64{"nothing known of the past": 0, "a past that went further": 1 << 33} {
		t.Run(name, func(t *testing.T) {
			r, before, _ := epochRig(t, past)
			st := r.m.State()
			if st.Version < max(before.Version, past)+epochSkip || (st.Version-before.Version)%st.Ring != 0 {
				t.Errorf("version %d after %d", st.Version, before.Version)
			}
			if st.Index != before.Index+10 || st.Floor != st.Version || st.History != st.Version+1 || st.Chain == before.Chain || st.Clock != before.Clock {
				t.Errorf("before %+v\nafter  %+v", before, st)
			}
			for range 2 {
				v := r.view()
				rec, ok, err := v.Get([]byte("k4"), 5000)
				if err != nil || !ok || string(rec.Value) != "19" || rec.Version > before.Version {
					t.Errorf("k4: %+v, %v, %v", rec, ok, err)
				}
				if _, err := v.Hash(); err != nil {
					t.Error(err)
				}
				v.Release()
				if err := r.db.Flush(); err != nil {
					t.Fatal(err)
				}
				r.close()
				r.open()
				if got := r.m.State(); got != st {
					t.Errorf("opened anew: %+v\nwant %+v", got, st)
				}
			}
		})
	}
}

func TestWhatIsOfThePastIsNotAppliedInANewEpoch(t *testing.T) {
	r, before, kept := epochRig(t, 0)
	r.next = r.m.State().Index + 1
	// A command that was applied is known, before and after a restart.
	again := ops(set("kept", "2", 0))
	again.ID, again.Since = kept, before.Version
	if res := r.apply(3000, again); !res[0].Duplicate || res[0].Outcome != command.Applied {
		t.Errorf("a repeated command: %+v", res[0])
	}
	// One that only the lost past may have applied is not applied a second time.
	lost := ops(set("k1", "lost", 0))
	lost.ID, lost.Since = command.ID{9}, before.Version
	if res := r.apply(3001, lost); res[0].Outcome != command.Forgotten {
		t.Errorf("a command of the past: %+v", res[0])
	}
	// What was read in the past proves nothing.
	guarded := ops(set("k2", "x", 0))
	guarded.ID, guarded.Since, guarded.Version = command.ID{10}, r.m.State().Version, before.Version+5
	guarded.Reads = []command.Read{{Lo: []byte("k2"), Point: true, Live: 1}}
	if res := r.apply(3002, guarded); res[0].Outcome != command.Conflict {
		t.Errorf("a read of the past: %+v", res[0])
	}
	last := r.raw(command.AppendChunk(nil, 3003, command.Chunk{Set: command.ID{7}, Total: 3, Seq: 2, Data: []byte("z")}))
	if res, err := r.m.Apply([]Entry{last}); err != nil || res[0][0].Outcome != command.Forgotten {
		t.Errorf("the rest of a large command: %+v, %v", res, err)
	}
	v := r.view()
	defer v.Release()
	if st := r.m.State(); st.HistoryHeld != 0 {
		t.Errorf("history of %d bytes, nothing was changed", st.HistoryHeld)
	}
	if rec, _, err := v.Get([]byte("k1"), 5000); err != nil || string(rec.Value) != "16" {
		t.Errorf("k1: %q, %v", rec.Value, err)
	}
}

// All nodes of the new cluster begin with a copy; from there they go the same way.
func TestACopyOfANewEpochGoesTheSameWay(t *testing.T) {
	a, _, _ := epochRig(t, 0)
	b, _, _ := epochRig(t, 0)
	for i := range 30 {
		stamp, c := int64(4000+i), ops(set(fmt.Sprint("k", i%7), fmt.Sprint(i), 0))
		c.ID, c.Since = command.ID{1, byte(i)}, a.m.State().Version
		a.apply(stamp, c)
		b.apply(stamp, c)
		if i == 15 {
			b.close()
			b.open()
		}
	}
	if a.hash() != b.hash() {
		t.Errorf("%+v\n%+v", a.m.State(), b.m.State())
	}
}

func TestANewEpochBehindTheStateIsRefused(t *testing.T) {
	r := newRig(t, Options{})
	r.apply(1, ops(set("k", "v", 0)))
	if err := r.m.NewEpoch(r.m.State().Index, 0); !errs.Is(err, errs.Internal) {
		t.Errorf("got %v", err)
	}
}
