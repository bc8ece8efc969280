package vault

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// goldenValue is "plain", sealed with data key 7 (32 bytes of 1) for "place"
// from a seed of 32 bytes of 2.
const goldenValue = "01000000071490b2c0c778a948bec6f53acf37c576205d2f9cb685a377f157a74568d3464e2a"

// The format is stored: values that were sealed once must open for ever.
func TestGoldenValueOpens(t *testing.T) {
	aead, err := newAEAD(bytes.Repeat([]byte{1}, dataKeySize))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := hex.DecodeString(goldenValue)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := keyOf(sealed); err != nil || id != 7 {
		t.Errorf("data key %d, %v", id, err)
	}
	if p, err := openWith(aead, sealed, []byte("place")); err != nil || string(p) != "plain" {
		t.Errorf("opens as %q, %v", p, err)
	}
	o, e := &organizationRow{UID: []byte{0xab}}, &environmentRow{UID: []byte{0xcd}}
	for want, got := range map[string][]byte{
		"vault/value/ab/cd/KEY": valuePlace(o, e, "KEY"), "vault/org/ab/3": dataKeyPlace(o.UID, 3), "vault/token/ab": tokenPlace(o.UID),
	} {
		if string(got) != want {
			t.Errorf("place %s, want %s", got, want)
		}
	}
}

func FuzzOpenValue(f *testing.F) {
	aead, err := newAEAD(bytes.Repeat([]byte{1}, dataKeySize))
	if err != nil {
		f.Fatal(err)
	}
	golden, err := hex.DecodeString(goldenValue)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte{valueFormat1})
	f.Fuzz(func(t *testing.T, p []byte) {
		if _, err := keyOf(p); err != nil {
			return
		}
		if plain, err := openWith(aead, p, []byte("place")); err == nil && !bytes.Equal(p, golden) {
			t.Errorf("%x was never sealed and opens as %x", p, plain)
		}
	})
}
