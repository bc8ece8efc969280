package command

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
)

func TestEveryFlippedBitIsRefused(t *testing.T) {
	for _, g := range goldens() {
		if !strings.HasPrefix(g.name, "entry") {
			continue
		}
		for i := range len(g.encoded) * 8 {
			p := bytes.Clone(g.encoded)
			p[i/8] ^= 1 << (i % 8)
			if e, err := DecodeEntry(p); err == nil {
				t.Errorf("%s: bit %d flipped: %+v", g.name, i, e)
			}
		}
		for n := range g.encoded {
			if _, err := DecodeEntry(g.encoded[:n]); err == nil {
				t.Errorf("%s: cut at %d: accepted", g.name, n)
			}
		}
	}
}

func TestNewerFormatIsNamed(t *testing.T) {
	p := AppendEntry(nil, 1)
	p[0] = 9
	var f FormatError
	if _, err := DecodeEntry(p); !errors.As(err, &f) || f.Format != 9 {
		t.Errorf("got %v, want a FormatError of format 9", err)
	}
}

// sealed puts a checksum under p.
func sealed(p ...byte) []byte { return appendCRC(bytes.Clone(p), 0) }

// What a checksum cannot tell, the decoder must.
func TestDecodersAcceptOneEncodingOnly(t *testing.T) {
	id := make([]byte, 16)
	cmd := func(rest ...byte) []byte { return append(bytes.Clone(id), rest...) }
	for name, err := range map[string]error{
		"entry of unknown kind":        second(DecodeEntry(sealed(formatCommands, 9, 0, 0))),
		"bytes after the entry":        second(DecodeEntry(sealed(formatCommands, kindCommands, 0, 0, 0))),
		"long varint":                  second(DecodeEntry(sealed(formatCommands, kindCommands, 0x80, 0, 0))),
		"overlong varint":              second(DecodeEntry(sealed(append([]byte{formatCommands, kindCommands}, bytes.Repeat([]byte{0xff}, 12)...)...))),
		"more commands than said":      second(DecodeEntry(sealed(formatCommands, kindCommands, 0, 0xff, 0xff, 3))),
		"chunk of one":                 second(DecodeEntry(AppendChunk(nil, 1, Chunk{Total: 1, Data: id}))),
		"chunk past its total":         second(DecodeEntry(AppendChunk(nil, 1, Chunk{Total: 2, Seq: 2, Data: id}))),
		"piece of a state, no total":   second(DecodeEntry(AppendState(nil, 1, StatePart{Chunk: Chunk{Data: id}}))),
		"spans to keep out of order":   second(DecodeEntry(AppendState(nil, 1, StatePart{Chunk: Chunk{Total: 1, Data: id}, Keep: []Span{{[]byte("b"), []byte("c")}, {[]byte("a"), []byte("b")}}}))),
		"an empty span to keep":        second(DecodeEntry(AppendState(nil, 1, StatePart{Chunk: Chunk{Total: 1, Data: id}, Keep: []Span{{[]byte("b"), []byte("b")}}}))),
		"too many spans to keep":       second(DecodeEntry(AppendState(nil, 1, StatePart{Chunk: Chunk{Total: 1, Data: id}, Keep: make([]Span, MaxKeep+1)}))),
		"piece of a state in format 1": second(DecodeEntry(sealed(formatCommands, kindState, 0, 0))),
		"commands in format 2":         second(DecodeEntry(sealed(FormatState, kindCommands, 0, 0))),
		"format 0":                     second(DecodeEntry(sealed(0, kindCommands, 0, 0))),
		"empty chunk":                  second(DecodeEntry(AppendChunk(nil, 1, Chunk{Total: 2}))),
		"large chunk":                  second(DecodeEntry(AppendChunk(nil, 1, Chunk{Total: 2, Data: make([]byte, ChunkBytes+1)}))),
		"short id":                     second(Decode(id[:15])),
		"unknown read":                 second(Decode(cmd(0, 0, 0, 1, 9, 0, 0, 0, 0))),
		"backward read":                second(Decode(cmd(0, 0, 0, 1, readSpan, 1, 'b', 1, 'a', 0, 0, 0))),
		"unknown op":                   second(Decode(cmd(0, 0, 0, 0, 1, 9, 0, 0))),
		"op zero":                      second(Decode(cmd(0, 0, 0, 0, 1, 0, 0, 0))),
		"backward span":                second(Decode(cmd(0, 0, 0, 0, 1, byte(DeleteSpan), 1, 'b', 1, 1, 'a', 0))),
		"bad end of span":              second(Decode(cmd(0, 0, 0, 0, 1, byte(DeleteSpan), 1, 'b', 2, 0))),
		"number in long form":          second(Decode(cmd(0, 0, 0, 0, 1, byte(Add), 0, 0, 4, '1', '.', '5', '0', 0))),
		"negative zero":                second(Decode(cmd(0, 0, 0, 0, 1, byte(Add), 0, 0, 2, '-', '0', 0))),
		"no number":                    second(Decode(cmd(0, 0, 0, 0, 1, byte(Add), 0, 0, 1, 'x', 0))),
		"empty number":                 second(Decode(cmd(0, 0, 0, 0, 1, byte(Add), 0, 0, 0, 0))),
		"bytes after the command":      second(Decode(cmd(0, 0, 0, 0, 0, 0, 0))),
		"unknown outcome":              second(DecodeResult([]byte{9, 0, 0, 0, 0, 0, 0})),
		"bad duplicate":                second(DecodeResult([]byte{1, 0, 0, 2, 0, 0, 0})),
		"empty result":                 second(DecodeResult(nil)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Check and Decode must agree: what a proposer may put into the log is what
// every replica can read.
func TestCheckAndDecodeHaveTheSameLimits(t *testing.T) {
	key := make([]byte, MaxKey)
	spans := func(n int) []Op { return repeat(Op{Kind: DeleteSpan, Hi: []byte("a")}, n) }
	for name, c := range map[string]struct {
		Command
		kind errs.Kind // Internal for none
	}{
		"most ops":        {Command{Ops: repeat(Op{Kind: Delete}, MaxOps)}, 0},
		"too many ops":    {Command{Ops: repeat(Op{Kind: Delete}, MaxOps+1)}, errs.TooLarge},
		"most reads":      {Command{Reads: repeat(Read{Point: true}, MaxReads)}, 0},
		"too many reads":  {Command{Reads: repeat(Read{Point: true}, MaxReads+1)}, errs.TooLarge},
		"most spans":      {Command{Ops: spans(MaxSpans)}, 0},
		"too many spans":  {Command{Ops: spans(MaxSpans + 1)}, errs.TooLarge},
		"longest keys":    {Command{Ops: []Op{{Kind: Set, Key: key}}, Reads: []Read{{Lo: key, Point: true}, {Hi: key}}}, 0},
		"long key":        {Command{Ops: []Op{{Kind: Touch, Key: append(key, 0)}}}, errs.TooLarge},
		"long end":        {Command{Ops: []Op{{Kind: DeleteSpan, Hi: append(key, 0)}}}, errs.TooLarge},
		"long read":       {Command{Reads: []Read{{Lo: append(key, 0), Point: true}}}, errs.TooLarge},
		"longest reply":   {Command{Reply: make([]byte, MaxReply)}, 0},
		"long reply":      {Command{Reply: make([]byte, MaxReply+1)}, errs.TooLarge},
		"longest ttl":     {Command{Ops: []Op{{Kind: Set, TTL: 1 << 62}}}, 0},
		"long ttl":        {Command{Ops: []Op{{Kind: Set, TTL: 1<<62 + 1}}}, errs.Invalid},
		"negative ttl":    {Command{Ops: []Op{{Kind: Set, TTL: -1}}}, errs.Invalid},
		"backward span":   {Command{Ops: []Op{{Kind: DeleteSpan, Key: []byte("b"), Hi: []byte("a")}}}, errs.Invalid},
		"backward read":   {Command{Reads: []Read{{Lo: []byte("b"), Hi: []byte("a")}}}, errs.Invalid},
		"op of no kind":   {Command{Ops: []Op{{}}}, errs.Invalid},
		"op of new kind":  {Command{Ops: []Op{{Kind: Reap + 1}}}, errs.Invalid},
		"largest value":   {Command{Ops: []Op{{Kind: Set, Value: make([]byte, MaxBytes-200)}}}, 0},
		"too large value": {Command{Ops: []Op{{Kind: Set, Value: make([]byte, MaxBytes)}}}, errs.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Check()
			if (err != nil) != (c.kind != 0) || err != nil && errs.KindOf(err) != c.kind {
				t.Errorf("Check: %v, want kind %v", err, c.kind)
			}
			if _, derr := Decode(c.Append(nil)); (err == nil) != (derr == nil) {
				t.Errorf("Check: %v, Decode: %v", err, derr)
			}
		})
	}
}

func repeat[T any](v T, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// drawCommand draws any command that Check passes.
func drawCommand(t *rapid.T) *Command {
	bytesOf := rapid.SliceOfN(rapid.Byte(), 0, 8)
	ordered := func() (lo, hi []byte) {
		lo, hi = bytesOf.Draw(t, "lo"), bytesOf.Draw(t, "hi")
		if bytes.Compare(lo, hi) > 0 {
			lo, hi = hi, lo
		}
		return lo, hi
	}
	c := &Command{
		Since: rapid.Uint64().Draw(t, "since"), Version: rapid.Uint64().Draw(t, "version"), At: rapid.Int64().Draw(t, "at"),
		Reply: bytesOf.Draw(t, "reply"),
	}
	copy(c.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	for range rapid.IntRange(0, 3).Draw(t, "reads") {
		r := Read{Live: rapid.Uint64().Draw(t, "live")}
		switch rapid.IntRange(0, 2).Draw(t, "kind of read") {
		case 0:
			r.Point, r.Lo = true, bytesOf.Draw(t, "key")
		case 1:
			r.Lo = bytesOf.Draw(t, "lo")
		case 2:
			r.Lo, r.Hi = ordered()
		}
		c.Reads = append(c.Reads, r)
	}
	for range rapid.IntRange(0, 4).Draw(t, "ops") {
		o := Op{Kind: OpKind(rapid.IntRange(int(Set), int(Reap)).Draw(t, "op"))}
		switch o.Kind {
		case Reap:
			o.Limit = rapid.Uint64().Draw(t, "limit")
		case DeleteSpan:
			if o.Key, o.Hi = ordered(); rapid.Bool().Draw(t, "open") {
				o.Hi = nil
			}
		default:
			o.Key = bytesOf.Draw(t, "key")
		}
		if o.Kind == Set || o.Kind == Add || o.Kind == Touch {
			o.TTL = rapid.Int64Range(0, 1<<62).Draw(t, "ttl")
		}
		switch o.Kind {
		case Set:
			o.Value = bytesOf.Draw(t, "value")
		case Add:
			o.Delta = Int(rapid.Int64().Draw(t, "delta"))
			if rapid.Bool().Draw(t, "float") {
				f := rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(t, "delta")
				o.Delta = Number{float: true, f: f + 0} // + 0: no negative zero
			}
		}
		c.Ops = append(c.Ops, o)
	}
	return c
}

func TestCommandsSurviveTheirEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCommand(t)
		p := c.Append(nil)
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		if len(p) > c.Size() {
			t.Fatalf("%d bytes, Size says at most %d", len(p), c.Size())
		}
		var got Command
		got.Ops, got.Reads = repeat(Op{Hi: p, Value: p, Limit: 9}, 2), repeat(Read{Hi: p, Point: true}, 2) // left from another one
		if err := got.Decode(p); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, &got, same); d != "" {
			t.Fatal(d)
		}
		for i := range c.Ops {
			if (c.Ops[i].Hi == nil) != (got.Ops[i].Hi == nil) {
				t.Fatal("no end and an empty end are not the same")
			}
		}
		e, err := DecodeEntry(AppendEntry(nil, c.At, p, p))
		if err != nil || e.Time != c.At || len(e.Commands) != 2 || !bytes.Equal(e.Commands[1], p) {
			t.Fatalf("in an entry: %+v, %v", e, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, g := range goldens() {
		if !strings.HasPrefix(g.name, "entry") && !strings.HasPrefix(g.name, "result") {
			f.Add(g.encoded)
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := Decode(p)
		if err != nil {
			return
		}
		if again := c.Append(nil); !bytes.Equal(again, p) {
			t.Errorf("%x was accepted and encodes as %x (%v)", p, again, c)
		}
		if err := c.Check(); err != nil && c.Size() <= MaxBytes {
			t.Errorf("decoded, but not allowed: %v", err)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	for _, g := range goldens() {
		if strings.HasPrefix(g.name, "entry") {
			f.Add(g.encoded[:len(g.encoded)-crcLen])
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _ = DecodeEntry(p)
		p = sealed(p...) // behind the checksum
		again, err := encodeAgain(p)
		if err == nil && !bytes.Equal(again, p) {
			t.Errorf("%x was accepted and encodes as %x", p, again)
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	for _, g := range goldens() {
		if strings.HasPrefix(g.name, "result") {
			f.Add(g.encoded)
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := DecodeResult(p)
		if err != nil {
			return
		}
		if again := r.Append(nil); !bytes.Equal(again, p) {
			t.Errorf("%x was accepted and encodes as %x", p, again)
		}
	})
}

func benchCommand() *Command {
	c := &Command{
		Since: 1_000_000, Version: 1_000_000, At: 1_700_000_000_000,
		Reads: []Read{{Lo: []byte("bucket/0123456789"), Point: true, Live: 1}},
		Ops:   []Op{{Kind: Set, Key: []byte("bucket/0123456789/some-key"), Value: make([]byte, 128), TTL: 604_800_000}},
	}
	binary.LittleEndian.PutUint64(c.ID[:], 0x0123456789abcdef)
	return c
}

func BenchmarkEncode(b *testing.B) {
	c := benchCommand()
	buf := make([]byte, 0, c.Size())
	b.ReportAllocs()
	for b.Loop() {
		buf = c.Append(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	p := benchCommand().Append(nil)
	var c Command
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Decode(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEntry(b *testing.B) {
	p := benchCommand().Append(nil)
	for name, n := range map[string]int{"1 command": 1, "64 commands": 64} {
		b.Run(name, func(b *testing.B) {
			commands := repeat(p, n)
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendEntry(buf[:0], 1_700_000_000_000, commands...)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkDecodeEntry(b *testing.B) {
	p := AppendEntry(nil, 1_700_000_000_000, repeat(benchCommand().Append(nil), 64)...)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEntry(p); err != nil {
			b.Fatal(err)
		}
	}
}
