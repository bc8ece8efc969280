package bucket

import (
	"bytes"
	"context"
	"testing"

	"github.com/coveydb/covey/kv"
)

func BenchmarkOpenAndSet(b *testing.B) {
	for _, c := range []struct{ name, keys, credential string }{{"public", "", ""}, {"secret", "SW", "secret"}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b)
			id := w.create(fields(c.keys))
			k, v := []byte("some/key"), Text(bytes.Repeat([]byte("v"), 128))
			b.ReportAllocs()
			for b.Loop() {
				_, err := w.DB.Update(context.Background(), func(tx *kv.Tx) error {
					bucket, err := w.bs.Open(tx, id, cred(c.credential), Write)
					if err != nil {
						return err
					}
					return bucket.Set(k, v, TTL{}, Condition{})
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpenAndGet(b *testing.B) {
	w := newWorld(b)
	id := w.create(fields("SWRG"))
	w.set(id, "secret", "some/key", string(bytes.Repeat([]byte("v"), 128)), TTL{})
	for _, c := range []struct{ name, credential string }{
		{"secret", "secret"}, {"token", w.mustMint(id, "", PermRead, TTL{})},
	} {
		b.Run(c.name, func(b *testing.B) {
			k := []byte("some/key")
			b.ReportAllocs()
			for b.Loop() {
				_, err := w.DB.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) error {
					bucket, err := w.bs.Open(tx, id, cred(c.credential), Read)
					if err != nil {
						return err
					}
					_, err = bucket.Get(k)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
