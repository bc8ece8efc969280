package fsm

import (
	"bytes"
	"testing"

	"github.com/coveydb/covey/fsm/command"
)

// What the cache of heads answers is what the store holds, after each kind of
// write, also of keys and values that it does not keep.
func TestHeadsAreThoseOfTheStore(t *testing.T) {
	r := newRig(t, Options{})
	keys := map[string]string{
		"short": "1", "long value": string(bytes.Repeat([]byte{'v'}, maxNearby+1)),
		string(bytes.Repeat([]byte{'k'}, maxHeadKey+1)): "1",
	}
	agree := func(after string) {
		t.Helper()
		snap := r.db.Snapshot()
		defer snap.Close()
		for key := range keys {
			h, value, err := r.m.heads.record(snap, []byte(key))
			want, wantValue, werr := newHeads(1).record(snap, []byte(key))
			if err != nil || werr != nil || h != want || !bytes.Equal(value, wantValue) {
				t.Errorf("after %s: %.10s: %+v %.10q, the store has %+v %.10q", after, key, h, value, want, wantValue)
			}
		}
	}
	each := func(op func(key, value string) command.Op) {
		t.Helper()
		for key, value := range keys {
			r.apply(1000, ops(op(key, value)))
		}
	}
	agree("nothing")
	each(func(k, v string) command.Op { return set(k, v, 50) })
	agree("set")
	each(func(k, _ string) command.Op { return command.Op{Kind: command.Touch, Key: []byte(k), TTL: 90} })
	agree("touch")
	each(func(k, _ string) command.Op {
		return command.Op{Kind: command.Add, Key: []byte(k), Delta: command.Int(1)}
	})
	agree("add")
	each(func(k, _ string) command.Op { return command.Op{Kind: command.Delete, Key: []byte(k)} })
	agree("delete")
	each(func(k, v string) command.Op { return set(k, v, 50) })
	r.apply(1000, ops(command.Op{Kind: command.DeleteSpan}))
	agree("delete span")
	each(func(k, v string) command.Op { return set(k, v, 50) })
	r.apply(1050, ops(command.Op{Kind: command.Reap, Limit: 9}))
	agree("reap")
	each(func(k, v string) command.Op { return set(k, v, 0) })
	if err := r.m.Restore(bytes.NewReader(sampleStream(t))); err != nil {
		t.Fatal(err)
	}
	agree("restore")
}
