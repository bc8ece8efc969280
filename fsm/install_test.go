package fsm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// stream is the state of r, as a backup holds it.
func (r *rig) stream() []byte {
	r.t.Helper()
	v := r.view()
	defer v.Release()
	var b bytes.Buffer
	if err := v.WriteStream(&b); err != nil {
		r.t.Fatal(err)
	}
	return b.Bytes()
}

// pieces are the entries that put stream in place.
func (r *rig) pieces(stamp int64, stream []byte) []Entry {
	var all []Entry
	for _, c := range chunksOf(stream, max(1, len(stream)/3)) {
		all = append(all, r.raw(command.AppendState(nil, stamp, command.StatePart{Chunk: c, Keep: r.keep})))
	}
	return all
}

// putBack applies the entries that put stream in place, all at once, and returns
// the result of the last.
func (r *rig) putBack(stamp int64, stream []byte) command.Result {
	r.t.Helper()
	res, err := r.m.Apply(r.pieces(stamp, stream))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, got := range res[:len(res)-1] {
		if got[0].Outcome != command.Waiting {
			r.t.Errorf("a piece that is not the last: %+v", got[0])
		}
	}
	return res[len(res)-1][0]
}

// live are the records that show at now.
func (r *rig) live(now int64) map[string]string {
	r.t.Helper()
	v := r.view()
	defer v.Release()
	got := map[string]string{}
	it := v.Scan(nil, nil, now)
	for it.Next() {
		got[string(it.Record().Key)] = fmt.Sprintf("%s@%d", it.Record().Value, it.Record().Version)
	}
	if err := it.Close(); err != nil {
		r.t.Fatal(err)
	}
	return got
}

// elsewhere is another cluster's machine with n commands behind it.
func elsewhere(t *testing.T, n int) *rig {
	r := newRig(t, Options{Ring: 16})
	for i := range n {
		r.apply(5000, ops(set(fmt.Sprintf("there%d", i), "x", 0), set("both", "there", 0), set("brief", "there", 100)))
	}
	return r
}

func TestAStateFromElsewhereTakesThePlaceOfThisOne(t *testing.T) {
	for name, n := range map[string]int{"younger": 2, "older": 40} {
		t.Run(name, func(t *testing.T) {
			other := elsewhere(t, n)
			r := newRig(t, Options{Ring: 8})
			for i := range 10 {
				r.apply(1000, ops(set(fmt.Sprint("here", i), "x", 0), set("both", "here", 0)))
			}
			before := r.m.State()
			pending := r.raw(command.AppendChunk(nil, 1000, command.Chunk{Set: command.ID{9}, Total: 2, Data: []byte("half a command")}))
			if _, err := r.m.Apply([]Entry{pending}); err != nil {
				t.Fatal(err)
			}
			res := r.putBack(1500, other.stream())
			want := uint64(10 + n + 1)
			if res.Outcome != command.Applied || res.Version != want || res.Time != 5000 {
				t.Fatalf("got %+v, want version %d", res, want)
			}
			st := r.m.State()
			chain := st.Chain
			st.Chain = before.Chain
			if diff := cmp.Diff(State{
				Version: want, Floor: want, History: want + 1, Index: r.next - 1, Clock: 5000,
				Ring: 16, HistoryLimit: before.HistoryLimit, Chain: before.Chain,
			}, st); diff != "" {
				t.Error(diff)
			}
			if chain == before.Chain {
				t.Error("the entry is not in the chain")
			}
			live := map[string]string{"both": fmt.Sprintf("there@%d", want), "brief": fmt.Sprintf("there@%d", want)}
			for i := range n {
				live[fmt.Sprint("there", i)] = fmt.Sprintf("x@%d", 12+i)
			}
			if diff := cmp.Diff(live, r.live(5099)); diff != "" {
				t.Error(diff)
			}
			if _, ok := r.live(5100)["brief"]; ok {
				t.Error("an expiry was lost")
			}
			hash := r.hash()
			r.close()
			r.open()
			if r.hash() != hash || r.m.State().Version != want {
				t.Error("a restart finds another state")
			}
			v := r.view()
			defer v.Release()
			if due, err := v.Due(6000); err != nil || !due {
				t.Errorf("the expired record is not reaped: %v, %v", due, err)
			}
			if it := v.snap.Scan([]byte{prefixChunk}, []byte{prefixChunk + 1}); it.Next() || it.Close() != nil {
				t.Error("pieces are left")
			}
		})
	}
}

func TestDataAloneIsRestoredLikeTheWholeState(t *testing.T) {
	other := elsewhere(t, 5)
	other.apply(5000, &command.Command{ID: command.ID{8}, Since: 3, Ops: []command.Op{set("a", "theirs", 0)}})
	if _, err := other.m.Apply([]Entry{other.raw(command.AppendChunk(nil, 1000, command.Chunk{Set: command.ID{9}, Total: 2, Data: []byte("half")}))}); err != nil {
		t.Fatal(err)
	}
	v := other.view()
	defer v.Release()
	var data bytes.Buffer
	if err := v.WriteData(&data); err != nil {
		t.Fatal(err)
	}
	if st, err := VerifyStream(bytes.NewReader(data.Bytes())); err != nil || st.Version != 6 || st.HistoryHeld != 0 {
		t.Fatalf("got %+v, %v", st, err)
	}
	whole := other.stream()
	if data.Len() >= len(whole) {
		t.Errorf("%d bytes of data, %d of all", data.Len(), len(whole))
	}
	n := min(data.Len(), len(whole)) / 3 // both in as many entries, so that their states can be alike
	states := make([][]byte, 2)
	for i, p := range [][]byte{data.Bytes(), whole} {
		r := newRig(t, Options{Ring: 8})
		chunks := chunksOf(p, n)
		for j, c := range chunks {
			if _, err := r.m.Apply([]Entry{{Index: uint64(10 - len(chunks) + j + 1), Data: command.AppendState(nil, 1000, command.StatePart{Chunk: c})}}); err != nil {
				t.Fatal(err)
			}
		}
		r.m.st.Chain = [32]byte{}
		r.apply(5000, ops(set("end", "x", 0)))
		r.m.st.Chain = [32]byte{}
		v := r.view()
		var b bytes.Buffer
		if err := v.WriteData(&b); err != nil {
			t.Fatal(err)
		}
		v.Release()
		states[i] = b.Bytes()
	}
	if len(states[0]) != len(states[1]) || !strings.Contains(string(states[0]), "theirs") {
		t.Errorf("%d and %d bytes", len(states[0]), len(states[1]))
	}
}

func TestWhatWasReadOrSentBeforeARestoreIsRefusedAfterIt(t *testing.T) {
	other := elsewhere(t, 3)
	r := newRig(t, Options{Ring: 16})
	r.apply(1000, ops(set("a", "1", 0)))
	mine := &command.Command{ID: command.ID{7}, Since: 1, Ops: []command.Op{set("a", "2", 0)}}
	r.apply(1000, mine)
	first := other.apply(5000, &command.Command{ID: command.ID{8}, Since: 3, Ops: []command.Op{set("a", "theirs", 0)}})[0]
	r.putBack(1500, other.stream())
	version := r.m.State().Version
	get := func() string { return r.live(5000)["a"] }
	t.Run("a command of this cluster, sent again", func(t *testing.T) {
		if res := r.apply(5000, mine)[0]; res.Outcome != command.Forgotten {
			t.Errorf("got %+v", res)
		}
	})
	t.Run("a command whose effect the state holds, sent again", func(t *testing.T) {
		res := r.apply(5000, &command.Command{ID: command.ID{8}, Since: 3, Ops: []command.Op{set("a", "again", 0)}})[0]
		if res.Outcome != command.Applied || !res.Duplicate || res.Version != first.Version {
			t.Errorf("got %+v", res)
		}
	})
	t.Run("a blind command that was on its way", func(t *testing.T) {
		if res := r.apply(5000, &command.Command{ID: command.ID{10}, Since: version - 1, Ops: []command.Op{set("a", "late", 0)}})[0]; res.Outcome != command.Forgotten {
			t.Errorf("got %+v", res)
		}
	})
	t.Run("a command that read before", func(t *testing.T) {
		c := &command.Command{ID: command.ID{11}, Since: version, Version: version - 1, Reads: []command.Read{{Lo: []byte("nothing"), Point: true}}, Ops: []command.Op{set("a", "late", 0)}}
		if res := r.apply(5000, c)[0]; res.Outcome != command.Conflict {
			t.Errorf("got %+v", res)
		}
	})
	if got, want := get(), fmt.Sprintf("theirs@%d", version); got != want { // their last command
		t.Errorf("a is %s, want %s", got, want)
	}
	t.Run("what is read after it goes on", func(t *testing.T) {
		c := &command.Command{ID: command.ID{12}, Since: version, Version: version, At: 5000, Reads: []command.Read{{Lo: []byte("a"), Point: true, Live: 1}}, Ops: []command.Op{set("a", "new", 0)}}
		if res := r.apply(5000, c)[0]; res.Outcome != command.Applied || res.Version != version+1 {
			t.Errorf("got %+v", res)
		}
	})
	var changes []uint64
	v := r.view()
	defer v.Release()
	if err := v.Changes(0, 0, func(c *Change) bool { changes = append(changes, c.Version); return true }); err != nil || len(changes) != 1 || changes[0] < v.History {
		t.Errorf("changes of versions %v, history from %d on, %v", changes, v.History, err)
	}
}

func TestAStateThatIsNotWholeChangesNothing(t *testing.T) {
	good := elsewhere(t, 3).stream()
	foreign := newRig(t, Options{})
	foreign.m.st.Version = maxForeign + 1
	foreign.apply(1000, &command.Command{ID: command.ID{1}, Since: maxForeign, Ops: []command.Op{set("k", "v", 0)}})
	tests := map[string]struct {
		stream []byte
		drop   int // this piece, counted from 1
		want   command.Outcome
	}{
		"damaged":             {stream: flipped(good, len(good)/2), want: command.Rejected},
		"cut":                 {stream: good[:len(good)-1], want: command.Rejected},
		"no state":            {stream: []byte("something else entirely"), want: command.Rejected},
		"with more behind":    {stream: append(bytes.Clone(good), 0), want: command.Rejected},
		"of an odd version":   {stream: foreign.stream(), want: command.Rejected},
		"its first piece off": {stream: good, drop: 1, want: command.Forgotten},
		"its second one off":  {stream: good, drop: 2, want: command.Forgotten},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{Ring: 8})
			r.apply(1000, ops(set("a", "1", 0)))
			before, version := r.live(1000), r.m.State().Version
			entries := r.pieces(1000, tt.stream)
			var got command.Result
			for i, e := range entries {
				if i+1 == tt.drop {
					continue
				}
				res, err := r.m.Apply([]Entry{e})
				if err != nil {
					t.Fatal(err)
				}
				got = res[0][0]
			}
			if got.Outcome != tt.want || got.Msg == "" || got.Version != version {
				t.Errorf("got %+v, want outcome %d", got, tt.want)
			}
			if diff := cmp.Diff(before, r.live(1000)); diff != "" {
				t.Error(diff)
			}
			if r.m.State().Index != r.next-1 {
				t.Errorf("index %d, want %d", r.m.State().Index, r.next-1)
			}
			v := r.view()
			defer v.Release()
			if it := v.snap.Scan([]byte{prefixChunkSet}, []byte{prefixChunk + 1}); it.Next() || it.Close() != nil {
				t.Error("its pieces are left")
			}
		})
	}
}

func TestVersionsThatComeFromElsewhereKeepTheirOrderAndMeetNoneFromHere(t *testing.T) {
	for _, tt := range []struct{ here, there, want uint64 }{
		{0, 1, 2}, {10, 1, 12}, {10, 40, 51}, {40, 10, 51}, {1 << 50, 40, 1<<50 + 41},
		{10, orderWindow, 11 + orderWindow}, {10, 1 << 50, 1<<50 + 1}, {1 << 50, 1 << 51, 1<<51 + 1}, {1 << 51, 1 << 50, 1<<51 + 1 + orderWindow},
	} {
		m := &Machine{st: State{Version: tt.here}, hash: sha256.New()}
		st, r := m.adopted(Entry{}, &command.Entry{}, State{Version: tt.there})
		if st.Version != tt.want {
			t.Errorf("%d here, %d there: the restore is version %d, want %d", tt.here, tt.there, st.Version, tt.want)
		}
		if st.Version <= tt.here || st.Version <= tt.there {
			t.Errorf("%d here, %d there: version %d runs backwards", tt.here, tt.there, st.Version)
		}
		last := tt.here
		for _, v := range []uint64{1, 2, tt.there / 2, max(tt.there, 1000) - 1000, max(tt.there, 1) - 1, tt.there, tt.there + 1} {
			got := r.version(v)
			if got <= tt.here || got > st.Version || v > max(tt.there, orderWindow)-orderWindow+1 && v < tt.there && got >= r.version(v+1) || v > 2 && got < last && tt.there > 4 {
				t.Errorf("%d here, %d there: version %d becomes %d, the restore is %d", tt.here, tt.there, v, got, st.Version)
			}
			last = got
		}
	}
}

func TestRecordsOfTheNamedSpansStay(t *testing.T) {
	other := newRig(t, Options{Ring: 16})
	other.apply(5000, ops(set("a", "there", 0), set("f1", "there", 0), set("fz", "there", 100), set("g", "there", 0), set("z", "there", 0)))
	r := newRig(t, Options{Ring: 16})
	r.keep = []command.Span{{Lo: []byte("f"), Hi: []byte("g")}, {Lo: []byte("y"), Hi: []byte("yz")}}
	r.apply(4950, ops(set("a", "here", 0), set("f0", "here", 0), set("f2", "here", 100), set("f5", "here", 900), set("x", "here", 0), set("y1", "here", 0)))
	r.apply(4960, ops(set("f2", "here again", 140)))
	if res := r.putBack(5000, other.stream()); res.Outcome != command.Applied || res.Version != 4 {
		t.Fatalf("got %+v", res)
	}
	want := map[string]string{"a": "there@4", "f0": "here@1", "f2": "here again@2", "f5": "here@1", "g": "there@4", "y1": "here@1", "z": "there@4"}
	if diff := cmp.Diff(want, r.live(5000)); diff != "" {
		t.Error(diff)
	}
	r.apply(7000, ops(command.Op{Kind: command.Reap, Limit: 100}))
	delete(want, "f2")
	delete(want, "f5")
	if diff := cmp.Diff(want, r.live(0)); diff != "" {
		t.Errorf("after the reaping: %s", diff)
	}
	v := r.view()
	defer v.Release()
	if due, err := v.Due(1 << 50); due || err != nil {
		t.Errorf("the expiry index is not empty: %v, %v", due, err)
	}
}

func flipped(p []byte, at int) []byte {
	p = bytes.Clone(p)
	p[at] ^= 1
	return p
}

func TestWritesBesideARestoreFindTheirPlace(t *testing.T) {
	other := elsewhere(t, 2)
	r := newRig(t, Options{Ring: 16})
	r.apply(1000, ops(set("a", "1", 0)))
	entries := r.pieces(1000, other.stream())
	last := entries[len(entries)-1]
	entries[len(entries)-1] = Entry{Index: last.Index, Data: command.AppendEntry(nil, 1000, (&command.Command{ID: command.ID{1}, Since: 1, Ops: []command.Op{set("before", "1", 0)}}).Append(nil))}
	entries = append(entries,
		Entry{Index: last.Index + 1, Data: last.Data},
		Entry{Index: last.Index + 2, Data: command.AppendEntry(nil, 1000, (&command.Command{ID: command.ID{2}, Since: 5, Ops: []command.Op{set("after", "1", 0)}}).Append(nil))})
	res, err := r.m.Apply(entries)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range res[len(res)-3:] {
		if want := []uint64{2, 5, 6}[i]; got[0].Outcome != command.Applied || got[0].Version != want {
			t.Errorf("result %d: %+v, want version %d", i, got[0], want)
		}
	}
	live := r.live(5000)
	if live["before"] != "" || live["after"] != "1@6" || live["both"] != "there@5" {
		t.Errorf("got %v", live)
	}
}

func TestOnlyTheReplicaStopsThatCannotWriteTheState(t *testing.T) {
	other := elsewhere(t, 2)
	r := newRig(t, Options{Ring: 16})
	r.apply(1000, ops(set("a", "1", 0)))
	entries := r.pieces(1000, other.stream())
	if _, err := r.m.Apply(entries[:len(entries)-1]); err != nil {
		t.Fatal(err)
	}
	snap := r.db.Snapshot()
	defer snap.Close()
	cause := errors.New("unreadable")
	p := pieces{r: snap, last: &command.Chunk{Total: 2}, err: cause}
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	waits := 0
	r.m.opts.Full = func(err error) bool { waits++; return waits < 3 }
	tries := 0
	if err := r.m.patiently(func() error { tries++; return errs.E(errs.NoSpace, "full") }); !errs.Is(err, errs.NoSpace) || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestACrashAnywhereInARestoreLeavesOneOfTheTwoStates(t *testing.T) {
	other := elsewhere(t, 5)
	r := openRig(t, vfs.NewCrashableMem(), "state", Options{Ring: 16})
	r.apply(1000, ops(set("a", "1", 0)))
	if err := r.db.Flush(); err != nil {
		t.Fatal(err)
	}
	entries := append([]Entry{}, r.pieces(1000, other.stream())...)
	old, crashes := r.live(5000), 0
	for i, e := range entries {
		if _, err := r.m.Apply([]Entry{e}); err != nil {
			t.Fatal(err)
		}
		for percent := range 3 {
			clone := r.fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent * 50, RNG: rand.New(rand.NewPCG(1, uint64(percent)))})
			c := openRig(t, clone, "state", r.opts)
			want := old
			if i == len(entries)-1 {
				want = r.live(5000)
			}
			if diff := cmp.Diff(want, c.live(5000)); diff != "" {
				t.Errorf("after piece %d: %s", i+1, diff)
			}
			if _, err := c.m.Apply(entries); err != nil { // the log goes on where the state stands
				t.Fatal(err)
			}
			if i == len(entries)-1 && c.hash() != r.hash() {
				t.Error("the replayed state differs")
			}
			if !strings.Contains(c.live(5000)["both"], "there") {
				t.Errorf("after the replay: %v", c.live(5000))
			}
			c.close()
			crashes++
		}
	}
	if crashes < 9 {
		t.Errorf("%d crashes", crashes)
	}
}
