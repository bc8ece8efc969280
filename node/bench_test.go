package node_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/coveydb/covey/kv"
)

// BenchmarkCommit commits 128-byte values on three nodes in this process, on
// disk, over loopback.
func BenchmarkCommit(b *testing.B) {
	for _, through := range []string{"leader", "follower"} {
		for _, writers := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/writers=%d", through, writers), func(b *testing.B) {
				m := benchMember(b, through)
				value := make([]byte, 128)
				each(b, writers, func(i int64) error {
					key := fmt.Appendf(nil, "key-%06d", i%100_000)
					_, err := m.db.Update(context.Background(), func(tx *kv.Tx) error { tx.Set(key, value, 0); return nil })
					return err
				})
			})
		}
	}
}

// BenchmarkView reads one key, linearizable, on three nodes in this process.
func BenchmarkView(b *testing.B) {
	for _, through := range []string{"leader", "follower"} {
		for _, readers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/readers=%d", through, readers), func(b *testing.B) {
				m := benchMember(b, through)
				m.set("k", "v")
				each(b, readers, func(int64) error {
					_, err := m.db.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) error {
						_, _, err := tx.Get([]byte("k"))
						return err
					})
					return err
				})
			})
		}
	}
}

func benchMember(b *testing.B, through string) *member {
	members := newCluster(b, 3)
	leader := leaderOf(b, members)
	if through == "leader" {
		return leader
	}
	for _, m := range members {
		if m != leader {
			return m
		}
	}
	return nil
}

// each calls op b.N times from so many goroutines.
func each(b *testing.B, workers int, op func(i int64) error) {
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	done := make(chan error, workers)
	for range workers {
		go func() {
			var err error
			for i := next.Add(1); i <= int64(b.N) && err == nil; i = next.Add(1) {
				err = op(i)
			}
			done <- err
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}
