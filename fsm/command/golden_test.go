package command

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "append new constructs to the golden file")

const goldenFile = "testdata/format1.txt"

// same compares decoded values: nil and empty differ only where the format
// says so, which the bytes show.
var same = cmp.Options{cmp.AllowUnexported(Number{}), cmpopts.EquateEmpty()}

// golden is one construct of the format: its notation, its bytes, and a
// function that decodes bytes and returns them encoded again, and in notation.
type golden struct {
	name, text string
	encoded    []byte
	again      func(p []byte) (encoded []byte, text string, err error)
}

func goldenCommand(name string, c *Command) golden {
	return golden{name, c.String(), c.Append(nil), func(p []byte) ([]byte, string, error) {
		c, err := Decode(p)
		if err != nil {
			return nil, "", err
		}
		return c.Append(nil), c.String(), nil
	}}
}

func goldenResult(name string, r Result) golden {
	text := func(r Result) string {
		return fmt.Sprintf("outcome=%d version=%d time=%d added=%q reply=%q duplicate=%v msg=%q", r.Outcome, r.Version, r.Time, r.Added, r.Reply, r.Duplicate, r.Msg)
	}
	return golden{name, text(r), r.Append(nil), func(p []byte) ([]byte, string, error) {
		r, err := DecodeResult(p)
		if err != nil {
			return nil, "", err
		}
		return r.Append(nil), text(r), nil
	}}
}

func goldenEntry(name string, encoded []byte) golden {
	text := func(p []byte) (string, error) {
		e, err := DecodeEntry(p)
		if err != nil {
			return "", err
		}
		out := fmt.Sprintf("stamp=%d", e.Time)
		if c := e.Chunk; c != nil {
			return out + fmt.Sprintf(" chunk set=%s total=%d seq=%d data=%q", c.Set, c.Total, c.Seq, c.Data), nil
		}
		if c := e.State; c != nil {
			return out + fmt.Sprintf(" state set=%s total=%d seq=%d data=%q keep=%q", c.Set, c.Total, c.Seq, c.Data, c.Keep), nil
		}
		for _, p := range e.Commands {
			c, err := Decode(p)
			if err != nil {
				return "", err
			}
			out += " | " + c.String()
		}
		return out, nil
	}
	first, err := text(encoded)
	if err != nil {
		first = err.Error()
	}
	return golden{name, first, encoded, func(p []byte) ([]byte, string, error) {
		t, err := text(p)
		if err != nil {
			return nil, "", err
		}
		again, err := encodeAgain(p)
		return again, t, err
	}}
}

// encodeAgain decodes an entry and encodes it.
func encodeAgain(p []byte) ([]byte, error) {
	e, err := DecodeEntry(p)
	if err != nil {
		return nil, err
	}
	if e.Chunk != nil {
		return AppendChunk(nil, e.Time, *e.Chunk), nil
	}
	if e.State != nil {
		return AppendState(nil, e.Time, *e.State), nil
	}
	return AppendEntry(nil, e.Time, e.Commands...), nil
}

func number(text string) Number {
	n, ok := ParseNumber([]byte(text))
	if !ok {
		panic(text)
	}
	return n
}

// goldens holds every construct. Append to it, never change a line.
func goldens() []golden {
	one := func(o Op) *Command { return &Command{ID: ID{1}, Ops: []Op{o}} }
	add := func(text string) *Command { return one(Op{Kind: Add, Key: []byte("n"), Delta: number(text)}) }
	read := func(r Read) *Command { return &Command{ID: ID{2}, Version: 300, At: 1700000000000, Reads: []Read{r}} }
	full := &Command{
		ID: ID{0xff, 15: 0xee}, Since: 127, Version: 128, At: -1,
		Reads: []Read{{Lo: []byte("p"), Point: true, Live: 1}, {Lo: []byte("a"), Hi: []byte("b"), Live: 1 << 40}},
		Ops:   []Op{{Kind: Set, Key: []byte("k\x00\xff"), Value: []byte("v\n"), TTL: 5}, {Kind: Delete, Key: []byte("d")}},
		Reply: []byte("reply"),
	}
	return []golden{
		goldenCommand("command: nothing", &Command{}),
		goldenCommand("op: set", one(Op{Kind: Set, Key: []byte("k"), Value: []byte("v")})),
		goldenCommand("op: set with ttl, empty key and value", one(Op{Kind: Set, TTL: 604800000})),
		goldenCommand("op: set with the largest ttl", one(Op{Kind: Set, Key: []byte("k"), TTL: 1 << 62})),
		goldenCommand("op: delete", one(Op{Kind: Delete, Key: []byte("k")})),
		goldenCommand("op: delete span", one(Op{Kind: DeleteSpan, Key: []byte("a"), Hi: []byte("b")})),
		goldenCommand("op: delete span without end", one(Op{Kind: DeleteSpan, Key: []byte("a")})),
		goldenCommand("op: delete empty span", one(Op{Kind: DeleteSpan, Hi: []byte{}})),
		goldenCommand("op: touch", one(Op{Kind: Touch, Key: []byte("k"), TTL: 1000})),
		goldenCommand("op: reap", one(Op{Kind: Reap, Limit: 1000})),
		goldenCommand("op: add integer", add("1")),
		goldenCommand("op: add with ttl", one(Op{Kind: Add, Key: []byte("n"), TTL: 7, Delta: Int(-1)})),
		goldenCommand("op: add least integer", add("-9223372036854775808")),
		goldenCommand("op: add float", add("0.1")),
		goldenCommand("op: add float that looks like an integer", add("2.0")),
		goldenCommand("op: add float zero", add("-0.0")),
		goldenCommand("op: add large float", add("1e18")),
		goldenCommand("op: add largest float", add(fmt.Sprint(math.MaxFloat64))),
		goldenCommand("op: add smallest float", add(fmt.Sprint(math.SmallestNonzeroFloat64))),
		goldenCommand("read: point, absent", read(Read{Lo: []byte("k"), Point: true})),
		goldenCommand("read: point, live", read(Read{Lo: []byte("k"), Point: true, Live: 1})),
		goldenCommand("read: span", read(Read{Lo: []byte("a"), Hi: []byte("b"), Live: 7})),
		goldenCommand("read: span without end", read(Read{Lo: []byte("a"), Live: 200})),
		goldenCommand("read: empty span", read(Read{Hi: []byte{}})),
		goldenCommand("command: everything", full),
		goldenEntry("entry: no command", AppendEntry(nil, 0)),
		goldenEntry("entry: one command", AppendEntry(nil, 1700000000000, full.Append(nil))),
		goldenEntry("entry: three commands", AppendEntry(nil, 1700000000000, (&Command{}).Append(nil), add("1").Append(nil), full.Append(nil))),
		goldenEntry("entry: chunk", AppendChunk(nil, 1700000000000, Chunk{Set: ID{3}, Total: 300, Seq: 299, Data: []byte("data")})),
		goldenResult("result: applied", Result{Outcome: Applied, Version: 1, Time: 1700000000000}),
		goldenResult("result: sums and reply", Result{Outcome: Applied, Version: 300, Time: 1, Added: [][]byte{[]byte("1"), []byte("-2.5")}, Reply: []byte("r")}),
		goldenResult("result: duplicate", Result{Outcome: Applied, Version: 2, Duplicate: true}),
		goldenResult("result: conflict", Result{Outcome: Conflict, Version: 2, Msg: "what read 0 saw has changed"}),
		goldenResult("result: rejected", Result{Outcome: Rejected, Msg: "no number"}),
		goldenResult("result: forgotten", Result{Outcome: Forgotten}),
		goldenResult("result: waiting", Result{Outcome: Waiting}),
		goldenEntry("entry: a piece of a state", AppendState(nil, 1700000000000, StatePart{Chunk: Chunk{Set: ID{4}, Total: 300, Seq: 7, Data: []byte("state")}})),
		goldenEntry("entry: the last piece of a state", AppendState(nil, 1700000000000, StatePart{
			Chunk: Chunk{Set: ID{4}, Total: 1, Data: []byte("state")},
			Keep:  []Span{{[]byte("f"), []byte("g")}, {[]byte("g"), []byte("gz")}},
		})),
	}
}

func TestFormatIsWhatItWas(t *testing.T) {
	file, err := os.ReadFile(goldenFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	type stanza struct{ text, hex string }
	want := map[string]stanza{}
	for part := range strings.SplitSeq(strings.TrimSpace(string(file)), "\n\n") {
		if l := strings.Split(part, "\n"); len(l) == 3 {
			want[l[0]] = stanza{l[1], l[2]}
		}
	}
	var grown strings.Builder
	seen := 0
	for _, g := range goldens() {
		w, ok := want[g.name]
		if !ok && *update {
			fmt.Fprintf(&grown, "%s\n%s\n%x\n\n", g.name, g.text, g.encoded)
			continue
		}
		seen++
		t.Run(g.name, func(t *testing.T) { g.check(t, w.text, w.hex) })
	}
	if seen != len(want) {
		t.Errorf("%s holds %d constructs, of which this test knows %d", goldenFile, len(want), seen)
	}
	if grown.Len() > 0 {
		if err := os.WriteFile(goldenFile, append(file, grown.String()...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// check holds g against its stanza, in both directions.
func (g golden) check(t *testing.T, text, hexa string) {
	if g.text != text {
		t.Errorf("text\n got %s\nwant %s", g.text, text)
	}
	p, err := hex.DecodeString(hexa)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g.encoded, p) {
		t.Errorf("encoded\n got %x\nwant %x", g.encoded, p)
	}
	again, text2, err := g.again(p)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, p) || text2 != text {
		t.Errorf("decoded and encoded\n got %x %s\nwant %x %s", again, text2, p, text)
	}
}
