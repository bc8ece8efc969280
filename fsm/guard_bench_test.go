package fsm

import (
	"math/rand/v2"
	"testing"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/tuple"
)

// What one read costs at commit: a bulk write under unique constraints has
// thousands of them, and the applying goroutine checks them all.
func BenchmarkGuard(b *testing.B) {
	const reads = 1000
	for _, c := range []struct {
		name string
		read func() command.Read
	}{
		{"point of a record", func() command.Read {
			return command.Read{Lo: benchKey(rand.IntN(benchKeys)), Point: true, Live: 1}
		}},
		{"point of nothing", func() command.Read {
			return command.Read{Lo: append(benchKey(rand.IntN(benchKeys)), 'x'), Point: true}
		}},
		{"span of one record", func() command.Read {
			lo, hi := tuple.Span(benchKey(rand.IntN(benchKeys)))
			return command.Read{Lo: lo, Hi: hi, Live: 1}
		}},
		{"span of nothing", func() command.Read {
			lo, hi := tuple.Span(append(benchKey(rand.IntN(benchKeys)), 'x'))
			return command.Read{Lo: lo, Hi: hi}
		}},
		{"span of 1000 records", func() command.Read {
			i := rand.IntN(benchKeys - 1000)
			return command.Read{Lo: benchKey(i), Hi: benchKey(i + 1000), Live: 1000}
		}},
	} {
		for _, where := range []string{"memory", "disk"} {
			b.Run(c.name+"/"+where, func(b *testing.B) {
				r := benchRig(b, where == "disk")
				cmd := command.Command{Version: r.m.st.Version}
				for range reads {
					cmd.Reads = append(cmd.Reads, c.read())
				}
				batch := r.m.db.Batch()
				defer batch.Close()
				a := applier{m: r.m, b: batch, st: r.m.st}
				for b.Loop() {
					r.m.heads.void()
					if msg, err := a.guard(&cmd); msg != "" || err != nil {
						b.Fatal(msg, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/reads, "ns/read")
			})
		}
	}
}
