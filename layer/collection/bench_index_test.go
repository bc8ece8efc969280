package collection

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection/query"
)

// benchDocuments is how many documents a collection has before a benchmark
// begins.
const benchDocuments = 100_000

func benchBody(i int) string {
	return fmt.Sprintf(`{"name":"name %d","city":"city %d","age":%d,"score":%d.5,"about":%q}`,
		i, i%1000, rand.IntN(100), rand.IntN(1_000_000), strings.Repeat("some words ", 10))
}

func benchWorld(b *testing.B, indexes ...string) *world {
	b.Helper()
	w := newWorld(b, Config{})
	for at := 0; at < benchDocuments; at += 2000 {
		var body []string
		for i := at; i < at+2000; i++ {
			body = append(body, benchBody(i))
		}
		w.insert("items", "["+strings.Join(body, ",")+"]")
	}
	for _, path := range indexes {
		w.indexed("items", path)
	}
	return w
}

func BenchmarkSelect(b *testing.B) {
	w := benchWorld(b, "city", "score")
	for _, c := range []struct {
		name, sort string
		most       int
		q          func() string
	}{
		{"equality", "", 1000, func() string { return fmt.Sprintf(`{"city":"city %d"}`, rand.IntN(1000)) }},
		{"range with sort and max 20", "score", 20, func() string {
			lo := rand.IntN(900_000)
			return fmt.Sprintf(`{"score":{"$gte":%d,"$lt":%d}}`, lo, lo+20_000)
		}},
		{"range with sort backwards and max 20", "-score", 20, func() string { return `{"score":{"$gte":500000}}` }},
		{"id", "", 1000, func() string { return `{"_id":"56e9d0b301bf3408000006f4"}` }},
		{"scan", "", 20, func() string { return `{"age":17,"name":"nobody"}` }},
	} {
		for _, total := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/total=%v", c.name, total), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					benchSelect(b, w, specOf(b, c.q(), c.sort, 0, c.most), total)
				}
			})
		}
	}
}

func benchSelect(b *testing.B, w *world, spec *query.Spec, total bool) {
	if _, _, err := w.selectAll("items", spec, total); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkInsert(b *testing.B) {
	for _, indexes := range [][]string{nil, {"city", "score"}} {
		for _, bulk := range []int{1, 100} {
			b.Run(fmt.Sprintf("%d indexes, %d at once", len(indexes), bulk), func(b *testing.B) {
				w := benchWorld(b, indexes...)
				n := benchDocuments
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					var body []string
					for range bulk {
						body = append(body, benchBody(n))
						n++
					}
					w.insert("items", "["+strings.Join(body, ",")+"]")
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bulk), "ns/document")
			})
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	w := benchWorld(b)
	for b.Loop() {
		w.indexed("items", "score")
		if _, err := w.DB.Update(context.Background(), func(tx *kv.Tx) error {
			return w.s.DropIndex(tx, DefaultDatabase, "items", "score")
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchDocuments), "ns/document")
}
