package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A batch that looks up many keys sees what Get sees, whatever it has written
// between the reads.
func TestManyViewsOfABatch(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	db, err := Open(Options{Dir: "probe", FS: MemFS(), MemTableBytes: minMemTableBytes})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	key := func() []byte { return fmt.Appendf(nil, "%03d", r.IntN(400)) }
	for round := range 30 {
		b := db.Batch()
		for range 300 {
			switch r.IntN(10) {
			case 0, 1, 2:
				b.Set(key(), bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(200)))
			case 3:
				b.Delete(key())
			case 4:
				if lo, hi := key(), key(); r.IntN(10) == 0 {
					b.DeleteSpan(lo, hi)
				}
			default:
				k := key()
				want, there, err := b.Get(k)
				if err != nil {
					t.Fatal(err)
				}
				var got []byte
				found, err := b.View(k, func(v []byte) error { got = bytes.Clone(v); return nil })
				if err != nil || found != there || !bytes.Equal(got, want) {
					t.Fatalf("round %d: View of %s gave %v %x, %v, Get %v %x", round, k, found, got, err, there, want)
				}
			}
		}
		if r.IntN(4) > 0 {
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if r.IntN(5) == 0 {
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
