package tuple

import (
	"bytes"
	"cmp"
	"math"
	"testing"
)

func FuzzBytesKeepsOrderAndValue(f *testing.F) {
	f.Add([]byte{0}, []byte{0, 0xFF})
	f.Add([]byte("a"), []byte("ab"))
	f.Add([]byte{0}, []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		ea, eb := AppendBytes(nil, a), AppendBytes(nil, b)
		if bytes.Compare(ea, eb) != bytes.Compare(a, b) {
			t.Errorf("order of %x and %x is lost", a, b)
		}
		if !bytes.Equal(a, b) && bytes.HasPrefix(ea, eb) {
			t.Errorf("%x is inside the span of %x", a, b)
		}
		v, rest, err := Bytes(append(ea, 'r'))
		if err != nil || !bytes.Equal(v, a) || string(rest) != "r" {
			t.Errorf("got %x rest %q err %v, want %x", v, rest, err, a)
		}
		s, rest, err := String(AppendString(nil, string(b)))
		if err != nil || s != string(b) || len(rest) != 0 {
			t.Errorf("got %q rest %q err %v, want %q", s, rest, err, b)
		}
	})
}

func FuzzNumbersKeepOrderAndValue(f *testing.F) {
	f.Add(int64(-1), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, a, b int64) {
		if got := bytes.Compare(AppendInt(nil, a), AppendInt(nil, b)); got != cmp.Compare(a, b) {
			t.Errorf("Int: order of %d and %d is lost", a, b)
		}
		if got := bytes.Compare(AppendUint(nil, uint64(a)), AppendUint(nil, uint64(b))); got != cmp.Compare(uint64(a), uint64(b)) {
			t.Errorf("Uint: order of %d and %d is lost", uint64(a), uint64(b))
		}
		i, _, err := Int(AppendInt(nil, a))
		u, _, err2 := Uint(AppendUint(nil, uint64(a)))
		if i != a || u != uint64(a) || err != nil || err2 != nil {
			t.Errorf("got %d %d (%v %v), want %d", i, u, err, err2, a)
		}
	})
}

func FuzzDecodersNeverPanic(f *testing.F) {
	f.Add([]byte{1, 'a'})
	f.Fuzz(func(t *testing.T, p []byte) {
		if _, rest, err := Bytes(p); err == nil && len(rest) >= len(p) {
			t.Error("Bytes read nothing")
		}
		if _, rest, err := Uint(p); err == nil && len(rest) >= len(p) {
			t.Error("Uint read nothing")
		}
	})
}

func TestSpanHoldsExactlyTheKeysBelow(t *testing.T) {
	for _, c := range []struct{ prefix, hi []byte }{
		{[]byte("a"), []byte("b")}, {[]byte{1, 0xFF}, []byte{2}}, {[]byte{0xFF}, nil}, {nil, nil},
	} {
		if lo, hi := Span(c.prefix); !bytes.Equal(lo, c.prefix) || !bytes.Equal(hi, c.hi) {
			t.Errorf("Span(%x) = %x, %x, want hi %x", c.prefix, lo, hi, c.hi)
		}
	}
}
