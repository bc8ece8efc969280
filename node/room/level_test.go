package room_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/node/room"
)

func set(key string, size int) command.Op {
	return command.Op{Kind: command.Set, Key: []byte(key), Value: bytes.Repeat([]byte("x"), size)}
}

func del(key string) command.Op  { return command.Op{Kind: command.Delete, Key: []byte(key)} }
func span(key string) command.Op { return command.Op{Kind: command.DeleteSpan, Key: []byte(key)} }
func touch(key string) command.Op {
	return command.Op{Kind: command.Touch, Key: []byte(key), TTL: 1000}
}
func add(key string) command.Op {
	return command.Op{Kind: command.Add, Key: []byte(key), Delta: command.Int(1)}
}

// vital records of these tests begin with a '!'.
func vital(key []byte) bool { return bytes.HasPrefix(key, []byte("!")) }

func TestWhatIsAllowedAtEachLevel(t *testing.T) {
	const plenty, low, scarce, full, none = room.Plenty, room.Low, room.Scarce, room.Full, room.None
	for name, tc := range map[string]struct {
		ops   []command.Op
		worst room.Level // at which it is allowed
	}{
		"a set":         {[]command.Op{set("k", 1)}, plenty},
		"an empty set":  {[]command.Op{set("", 0)}, plenty},
		"a counter":     {[]command.Op{add("n")}, plenty},
		"many counters": {[]command.Op{add("n"), add("m")}, plenty},
		"a new expiry":  {[]command.Op{touch("k")}, plenty},
		"a delete":      {[]command.Op{del("k")}, full},
		"a span":        {[]command.Op{span("k")}, full},
		"expiry":        {[]command.Op{{Kind: command.Reap, Limit: 1000}}, full},
		"nothing":       {nil, full},
		"a delete with its audit row and counter":   {[]command.Op{del("k"), add("n"), set("!audit", 500)}, scarce},
		"a delete that keeps the old version":       {[]command.Op{del("k"), del("i"), set("old", 20<<10), touch("o"), set("!audit", 500)}, low},
		"a delete that keeps a small old version":   {[]command.Op{del("k"), set("old", 1<<10), set("!audit", 500)}, scarce},
		"a delete beside large writes":              {[]command.Op{del("k"), set("a", 70<<10)}, plenty},
		"an update with a changed index":            {[]command.Op{set("doc", 100), del("i1"), set("i2", 0)}, plenty},
		"a span beside a new root":                  {[]command.Op{span("k"), set("a", 10), set("b", 10)}, scarce},
		"a login: audit rows and a session":         {[]command.Op{set("!session", 32), set("!audit", 800), set("!head", 60)}, scarce},
		"a login that counts":                       {[]command.Op{set("!session", 32), add("logins")}, scarce},
		"vital records beside another":              {[]command.Op{set("!audit", 800), set("k", 1)}, plenty},
		"more vital records than can be called few": {[]command.Op{set("!audit", 20<<10)}, plenty},
	} {
		t.Run(name, func(t *testing.T) {
			for l := plenty; l <= none; l++ {
				if got, want := l.Allows(&command.Command{Ops: tc.ops}, vital), l <= tc.worst; got != want {
					t.Errorf("at level %s: allowed is %v, want %v", l, got, want)
				}
			}
		})
	}
}

func TestNothingIsVitalUnlessSomebodySaysSo(t *testing.T) {
	if room.Low.Allows(&command.Command{Ops: []command.Op{set("!audit", 1)}}, nil) {
		t.Error("a set is allowed")
	}
}

// Whatever a command does: a worse level allows no more, and removals go as long
// as anything does.
func TestAWorseLevelAllowsNoMore(t *testing.T) {
	kinds := []func(string) command.Op{
		func(k string) command.Op { return set(k, 100) }, func(k string) command.Op { return set(k, 9<<10) },
		func(k string) command.Op { return set("!"+k, 5<<10) }, del, span, touch, add,
	}
	rapid.Check(t, func(t *rapid.T) {
		c := &command.Command{}
		removes := true
		for range rapid.IntRange(0, 8).Draw(t, "ops") {
			op := rapid.SampledFrom(kinds).Draw(t, "op")("k")
			removes = removes && (op.Kind == command.Delete || op.Kind == command.DeleteSpan)
			c.Ops = append(c.Ops, op)
		}
		before := true
		for l := room.Plenty; l <= room.Full; l++ {
			now := l.Allows(c, vital)
			if now && !before {
				t.Fatalf("level %s allows what the one before does not", l)
			}
			before = now
		}
		if room.None.Allows(c, vital) {
			t.Fatal("something is allowed where nothing has room")
		}
		if before != removes {
			t.Fatalf("the last level allows it: %v; it only removes: %v", before, removes)
		}
	})
}
