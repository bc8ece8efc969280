package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/coveydb/covey/fsm/command"
)

// sampleStream is a small state with a record of every kind, as a stream.
func sampleStream(t testing.TB) []byte {
	t.Helper()
	r := newRig(t, Options{Ring: 4})
	r.apply(1000, ops(set("a", "1", 50), set("b", "2", 0)), ops(command.Op{Kind: command.Add, Key: []byte("n"), Delta: command.Int(7)}))
	chunk := command.Chunk{Set: command.ID{9}, Total: 2, Data: []byte("half")}
	if _, err := r.m.Apply([]Entry{r.raw(command.AppendChunk(nil, 1001, chunk))}); err != nil {
		t.Fatal(err)
	}
	return streamOf(t, r)
}

func streamOf(t testing.TB, r *rig) []byte {
	t.Helper()
	v := r.view()
	defer v.Release()
	var b bytes.Buffer
	if err := v.WriteStream(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStreamCarriesTheWholeState(t *testing.T) {
	stream := sampleStream(t)
	st, err := VerifyStream(bytes.NewReader(stream))
	if err != nil || st.Version != 2 || st.Index != 2 || st.Clock != 1001 || st.Ring != 4 {
		t.Fatalf("got %+v, %v", st, err)
	}
	r := newRig(t, Options{})
	old := r.view()
	defer old.Release()
	r.apply(5, ops(set("old", "1", 0)))
	mid := r.view()
	defer mid.Release()
	if err := r.m.Restore(bytes.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	if got := r.m.State(); got != st {
		t.Errorf("restored %+v, want %+v", got, st)
	}
	if !bytes.Equal(streamOf(t, r), stream) {
		t.Error("the restored state gives another stream")
	}
	if _, ok, err := old.Get([]byte("old"), 5); ok || err != nil {
		t.Errorf("a view from before shows a later record: %v", err)
	}
	if rec, ok, err := mid.Get([]byte("old"), 5); !ok || err != nil || string(rec.Value) != "1" {
		t.Errorf("a view from before the restore lost its record: %v", err)
	}
}

func TestDamagedStreamIsRefusedAndTheOldStateStands(t *testing.T) {
	stream := sampleStream(t)
	r := newRig(t, Options{})
	r.apply(5, ops(set("old", "1", 0)))
	want := r.hash()
	refused := func(what string, at int, p []byte) {
		t.Helper()
		if _, err := VerifyStream(bytes.NewReader(p)); err == nil {
			t.Fatalf("%s at %d: passed", what, at)
		}
		if at%16 != 0 && what != "state" {
			return // a Restore costs milliseconds
		}
		if err := r.m.Restore(bytes.NewReader(p)); err == nil {
			t.Fatalf("%s at %d: restored", what, at)
		}
		if r.hash() != want {
			t.Fatalf("%s at %d: the old state is gone", what, at)
		}
	}
	for i := range stream {
		refused("cut", i, stream[:i])
		flipped := slices.Clone(stream)
		flipped[i] ^= 1 << (i % 8)
		refused("flip", i, flipped)
	}
	refused("state", 0, append(slices.Clone(stream), 0))
	// The machine goes on as if nothing had been tried.
	if res := r.apply(6, ops(set("new", "1", 0))); res[0].Outcome != command.Applied || res[0].Version != 2 {
		t.Errorf("after refused streams: %+v", res[0])
	}
}

// streamFrom makes a sound stream around pairs of key and value.
func streamFrom(pairs ...string) []byte {
	var payload []byte
	for _, p := range pairs {
		payload = append(binary.AppendUvarint(payload, uint64(len(p))), p...)
	}
	out := append([]byte(streamMagic), StreamFormat)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(payload)))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(payload, castagnoli))
	out = append(append(out, payload...), make([]byte, 8)...)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(pairs)/2))
	sum := sha256.Sum256(payload)
	return append(out, sum[:]...)
}

// A stream whose checksums are right can still hold what no machine wrote.
func TestForeignStreamIsRefused(t *testing.T) {
	state := func(ring uint64) string { return string((&State{Version: 3, Index: 3, Ring: ring}).append(nil)) }
	result := func(version uint64) string {
		res := command.Result{Outcome: command.Applied, Version: version}
		return strings.Repeat("i", 16) + string(res.Append(nil))
	}
	slotKey := func(n uint64) string { return string(appendIDKey(nil, n)) }
	if _, err := VerifyStream(bytes.NewReader(streamFrom(slotKey(3), result(3), "m", state(4)))); err != nil {
		t.Fatalf("a sound stream: %v", err)
	}
	r := newRig(t, Options{})
	want := r.hash()
	for name, stream := range map[string][]byte{
		"nothing":                streamFrom(),
		"no state":               streamFrom("d1", "\x01\x00v"),
		"unknown prefix":         streamFrom("m", state(4), "x", ""),
		"another state key":      streamFrom("m", state(4), "mm", state(4)),
		"empty key":              streamFrom("", "", "m", state(4)),
		"keys out of order":      streamFrom("m", state(4), "d1", "\x01\x00v"),
		"key twice":              streamFrom("d1", "\x01\x00v", "d1", "\x01\x00v", "m", state(4)),
		"bad record":             streamFrom("d1", "\x80", "m", state(4)),
		"bad expiry key":         streamFrom("e1", "", "m", state(4)),
		"bad history key":        streamFrom("h1", "", "m", state(4)),
		"bad history":            streamFrom("h12345678abcd", "\x01\x41", "m", state(4)),
		"bad change":             streamFrom("h12345678abcd", "\x01\x47\x05\x00\x01k", "m", state(4)),
		"history cut short":      streamFrom("h12345678abcd", "\x01\x42\x05\x00\x09key", "m", state(4)),
		"bad segment key":        streamFrom("m", state(4), "s1", ""),
		"bad chunk key":          streamFrom("c1", "", "m", state(4)),
		"bad result":             streamFrom(slotKey(3), "short", "m", state(4)),
		"result in a wrong slot": streamFrom(slotKey(2), result(3), "m", state(4)),
		"slot past the ring":     streamFrom(slotKey(7), result(3), "m", state(4)),
		"result of the future":   streamFrom(slotKey(0), result(4), "m", state(4)),
		"no ring":                streamFrom("m", state(0)),
		"huge ring":              streamFrom("m", state(1<<40)),
		"newer state":            streamFrom("m", "\x03"+state(4)[1:]),
		"newer stream":           append([]byte(streamMagic), 2),
		"something else":         []byte("PK\x03\x04 and so on and so on"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := r.m.Restore(bytes.NewReader(stream)); err == nil {
				t.Error("restored")
			}
			if r.hash() != want {
				t.Error("the old state is gone")
			}
		})
	}
}

func TestLargeValuesSpanBlocks(t *testing.T) {
	r := newRig(t, Options{})
	big := bytes.Repeat([]byte("0123456789abcdef"), blockBytes/8)
	r.apply(1, ops(command.Op{Kind: command.Set, Key: []byte("big"), Value: big}, set("small", "1", 0)))
	to := newRig(t, Options{})
	if err := to.m.Restore(bytes.NewReader(streamOf(t, r))); err != nil {
		t.Fatal(err)
	}
	if to.hash() != r.hash() {
		t.Error("the state differs")
	}
}

func FuzzVerifyStream(f *testing.F) {
	f.Add(sampleStream(f))
	f.Add(streamFrom("m", string((&State{Ring: 4}).append(nil))))
	f.Add([]byte(streamMagic + "\x01\xff\xff\xff\x03"))
	f.Fuzz(func(t *testing.T, p []byte) {
		st, err := VerifyStream(bytes.NewReader(p))
		if err == nil && (st.Ring == 0 || st.Ring > maxRing) {
			t.Errorf("accepted %+v", st)
		}
		// The same payload under sound checksums reaches what is behind them.
		var in inspector
		s := streamReader{sum: sha256.New(), set: in.pair}
		if s.payload(p) == nil {
			_, _ = in.ring()
		}
	})
}
