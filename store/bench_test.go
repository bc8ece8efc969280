package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

const benchKeys = 200_000

func benchStore(b *testing.B) *DB {
	b.Helper()
	db := mustOpen(b, Options{Dir: b.TempDir(), Logger: quiet()})
	b.Cleanup(func() { must(b, db.Close()) })
	must(b, db.Replace(func(set func(k, v []byte) error) error {
		value := make([]byte, 128)
		for i := range benchKeys {
			if err := set(benchKey(i), value); err != nil {
				return err
			}
		}
		return nil
	}))
	return db
}

func benchKey(i int) []byte { return fmt.Appendf(nil, "bucket/key/%09d", i) }

func BenchmarkGet(b *testing.B) {
	db := benchStore(b)
	for _, writes := range []bool{false, true} {
		b.Run(fmt.Sprintf("snapshot each, commits=%v", writes), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if writes && i%8 == 0 {
					commit(b, db, func(w *Batch) { w.Set(benchKey(i%benchKeys), make([]byte, 128)) })
				}
				s := db.Snapshot()
				ok, err := s.View(benchKey(rand.IntN(benchKeys)), func([]byte) error { return nil })
				if !ok || err != nil {
					b.Fatal(ok, err)
				}
				must(b, s.Close())
			}
		})
	}
	b.Run("batch", func(b *testing.B) {
		b.ReportAllocs()
		w := db.Batch()
		defer w.Close()
		for range b.N {
			if _, ok, err := w.Get(benchKey(rand.IntN(benchKeys))); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("%d sets", n), func(b *testing.B) {
			db := benchStore(b)
			value := make([]byte, 128)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				w := db.Batch()
				for range n {
					w.Set(benchKey(rand.IntN(benchKeys)), value)
				}
				must(b, w.Commit())
				must(b, w.Close())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/set")
		})
	}
}

func BenchmarkScan(b *testing.B) {
	db := benchStore(b)
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("%d records", n), func(b *testing.B) {
			s := db.Snapshot()
			defer s.Close()
			b.ReportAllocs()
			for range b.N {
				it := s.Scan(benchKey(rand.IntN(benchKeys-n)), nil)
				for range n {
					if !it.Next() {
						b.Fatal(it.Err())
					}
				}
				must(b, it.Close())
			}
		})
	}
}

func BenchmarkCheckpoint(b *testing.B) {
	db := benchStore(b)
	dir := b.TempDir()
	for i := range b.N {
		must(b, db.Checkpoint(fmt.Sprintf("%s/%d", dir, i)))
	}
}
