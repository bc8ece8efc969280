package fsm

import (
	"encoding/binary"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/store"
)

// rig is a machine on a store that a test may close, crash and open again.
type rig struct {
	t     testing.TB
	fs    vfs.FS
	dir   string
	opts  Options
	cache int64 // bytes; 0 is the store's default
	db    *store.DB
	m     *Machine
	next  uint64 // index of the next entry
	ids   uint64
	keep  []command.Span // of the last piece of a state
}

func newRig(t testing.TB, o Options) *rig { return openRig(t, vfs.NewMem(), "state", o) }

func openRig(t testing.TB, fs vfs.FS, dir string, o Options) *rig {
	t.Helper()
	// The store's default cache is no larger than a full memtable, which the
	// engine takes out of it.
	r := &rig{t: t, fs: fs, dir: dir, opts: o, cache: 256 << 20}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	db, err := store.Open(store.Options{Dir: r.dir, FS: r.fs, CacheBytes: r.cache, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := Open(db, r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.db, r.m, r.next = db, m, m.State().Index+1
}

func (r *rig) close() {
	r.t.Helper()
	if r.db == nil {
		return
	}
	r.m.Close()
	if err := r.db.Close(); err != nil {
		r.t.Errorf("close the store: %v", err)
	}
	r.db = nil
}

// entry encodes commands as the entry that comes next. A command without an ID
// gets one, with which it cannot be forgotten.
func (r *rig) entry(stamp int64, commands ...*command.Command) Entry {
	encoded := make([][]byte, len(commands))
	for i, c := range commands {
		if c.ID == (command.ID{}) {
			r.ids++
			binary.BigEndian.PutUint64(c.ID[:], r.ids)
			c.ID[15] = 1
			c.Since = r.m.st.Version
		}
		encoded[i] = c.Append(nil)
	}
	return r.raw(command.AppendEntry(nil, stamp, encoded...))
}

func (r *rig) raw(data []byte) Entry {
	r.next++
	return Entry{Index: r.next - 1, Data: data}
}

// apply applies commands as one entry and returns their results.
func (r *rig) apply(stamp int64, commands ...*command.Command) []command.Result {
	r.t.Helper()
	res, err := r.m.Apply([]Entry{r.entry(stamp, commands...)})
	if err != nil {
		r.t.Fatal(err)
	}
	return res[0]
}

func (r *rig) view() *View {
	r.t.Helper()
	v, err := r.m.View()
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *rig) hash() [32]byte {
	r.t.Helper()
	v := r.view()
	defer v.Release()
	h, err := v.Hash()
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

func set(key, value string, ttl int64) command.Op {
	return command.Op{Kind: command.Set, Key: []byte(key), Value: []byte(value), TTL: ttl}
}

func ops(o ...command.Op) *command.Command { return &command.Command{Ops: o} }
