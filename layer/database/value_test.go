package database

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/coveydb/covey/internal/errs"
)

func random(n int) string {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return string(p)
}

func TestPackedValuesComeBack(t *testing.T) {
	c, at := NewCodec(), Address{Place: NewPlace(), Key: "k"}
	for _, v := range []Value{
		{}, {Kind: String}, {Kind: String, Text: "v"}, {Kind: JSON, Text: `[[[],{}],"m"]`}, {Kind: String, Text: random(1000)},
		{Kind: String, Text: strings.Repeat("long ", 20_000)}, {Kind: String, Text: strings.Repeat("x", MaxValue)}, {Kind: String, Text: random(MaxValue)},
	} {
		for _, o := range []Options{{}, {Compress: true}, {EncryptionKey: "e"}, {EncryptionKey: "e", Compress: true}} {
			packed, err := c.Pack(t.Context(), v, at, o)
			if err != nil {
				t.Fatal(err)
			}
			if got := Sealed(packed); got != (o.EncryptionKey != "") {
				t.Errorf("sealed: %v with %+v", got, o)
			}
			got, err := c.Unpack(t.Context(), packed, at, o.EncryptionKey)
			if err != nil || got != v {
				t.Errorf("%d bytes of kind %d with %+v: got %d of %d, %v", len(v.Text), v.Kind, o, len(got.Text), got.Kind, err)
			}
			if o.Compress && strings.HasPrefix(v.Text, "long") && len(packed) > len(v.Text)/100 {
				t.Errorf("%d bytes compressed to %d", len(v.Text), len(packed))
			}
			if len(packed) > len(v.Text)+64 {
				t.Errorf("%d bytes packed to %d", len(v.Text), len(packed))
			}
		}
	}
}

func TestTooLongValues(t *testing.T) {
	c := NewCodec()
	if _, err := c.Pack(t.Context(), Value{Kind: String, Text: strings.Repeat("x", MaxValue+1)}, Address{}, Options{Compress: true}); !errs.Is(err, errs.TooLarge) {
		t.Errorf("got %v, want too large", err)
	}
}

func TestKeysOpenOnlyWhatTheyShould(t *testing.T) {
	c, at := NewCodec(), Address{Place: NewPlace(), Key: "k"}
	v := Value{Kind: String, Text: "plaintext-to-look-for"}
	sealed, err := c.Pack(t.Context(), v, at, Options{EncryptionKey: "right"})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("plaintext")) || bytes.Contains(sealed, []byte("right")) {
		t.Error("what is stored shows a secret")
	}
	plain, err := c.Pack(t.Context(), v, at, Options{})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, renamed := at, at
	elsewhere.Place.ID = NewPlace().ID
	renamed.Key = "K"
	for _, tt := range []struct {
		what   string
		packed []byte
		at     Address
		key    string
		ok     bool
	}{
		{"its key", sealed, at, "right", true},
		{"another key", sealed, at, "wrong", false},
		{"no key", sealed, at, "", false},
		{"plain without key", plain, at, "", true},
		{"plain with a key", plain, at, "right", false},
		{"moved to another database", sealed, elsewhere, "right", false},
		{"moved to another key", sealed, renamed, "right", false},
		{"plain elsewhere", plain, elsewhere, "", true},
	} {
		got, err := c.Unpack(t.Context(), tt.packed, tt.at, tt.key)
		switch {
		case tt.ok && (err != nil || got != v):
			t.Errorf("%s: got %v, %v", tt.what, got, err)
		case !tt.ok && !errs.Is(err, errs.Invalid):
			t.Errorf("%s: got %v, want invalid", tt.what, err)
		}
	}
	again, err := c.Pack(t.Context(), v, at, Options{EncryptionKey: "right"})
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("the same value seals to the same bytes, %v", err)
	}
	if got, err := NewCodec().Unpack(t.Context(), sealed, at, "right"); err != nil || got != v {
		t.Errorf("on another node: %v, %v", got, err)
	}
}

// What Covey once stored must open for ever.
func TestStoredFormat(t *testing.T) {
	for _, tt := range []struct {
		what, packed, key string
		want              Value
	}{
		{"null", "\x01\x00", "", Value{}},
		{"text", "\x01\x01hello", "", Value{Kind: String, Text: "hello"}},
		{"record", "\x01\x02[[[],{}],null]", "", Value{Kind: JSON, Text: "[[[],{}],null]"}},
		{"compressed", "\x01\x11" + compressed, "", Value{Kind: String, Text: strings.Repeat("a", 1000)}},
		{"sealed", sealedHello, "passphrase", Value{Kind: String, Text: "hello"}},
	} {
		at := Address{Key: "key"}
		copy(at.Place.ID[:], "0123456789abcdef")
		copy(at.Place.Salt[:], "fedcba9876543210")
		got, err := NewCodec().Unpack(t.Context(), []byte(tt.packed), at, tt.key)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v", tt.what, got, err)
		}
	}
}

func TestDecompressionIsBounded(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := enc.EncodeAll(make([]byte, 4*MaxValue), []byte{formatPlain1, byte(String) | flagCompressed})
	if _, err := NewCodec().Unpack(context.Background(), bomb, Address{}, ""); !errs.Is(err, errs.Internal) {
		t.Errorf("a value of %d bytes: got %v, want internal", 4*MaxValue, err)
	}
}

func TestACanceledRequestDerivesNoKey(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := NewCodec()
	for range 20 { // with a free slot, either may win
		if _, err := c.Pack(ctx, Value{}, Address{}, Options{EncryptionKey: "k"}); err != nil {
			return
		}
		c = NewCodec()
	}
	t.Error("20 canceled requests derived keys")
}

func FuzzUnpack(f *testing.F) {
	c, at := NewCodec(), Address{Key: "k"}
	sealed, err := c.Pack(f.Context(), Value{Kind: String, Text: "v"}, at, Options{EncryptionKey: "e"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("\x01\x01hello"))
	f.Add([]byte("\x01\x11" + compressed))
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, packed []byte) {
		v, err := c.Unpack(t.Context(), packed, at, "")
		if err == nil && (v.Kind > JSON || len(v.Text) > MaxValue) {
			t.Errorf("%q is a value of kind %d and %d bytes", packed, v.Kind, len(v.Text))
		}
		if v, err := c.Unpack(t.Context(), packed, at, "e"); err == nil && (v != Value{Kind: String, Text: "v"}) {
			t.Errorf("%q opens as %+v", packed, v)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	c, at := NewCodec(), Address{Place: NewPlace(), Key: "key"}
	v := Value{Kind: String, Text: strings.Repeat("some text ", 100)}
	for name, o := range map[string]Options{"plain": {}, "compressed": {Compress: true}, "sealed": {EncryptionKey: "e"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Pack(b.Context(), v, at, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("first use of a key", func(b *testing.B) {
		for b.Loop() {
			if _, err := NewCodec().Pack(b.Context(), v, at, Options{EncryptionKey: "e"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
