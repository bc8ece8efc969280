package vault

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// slow commits as late as a cluster does.
type slow struct {
	*kvtest.Store
	latency time.Duration
	tried   atomic.Int64
}

func (s *slow) Commit(ctx context.Context, cmd *command.Command) (command.Result, error) {
	s.tried.Add(1)
	time.Sleep(s.latency)
	return s.Store.Commit(ctx, cmd)
}

// BenchmarkCreateVariables measures how many variables 8 writers create in one
// organization where a commit takes 4 ms, each by itself and in turns of a
// Recorder: each one is a link of the organization's audit chain, so they
// cannot be created independently.
func BenchmarkCreateVariables(b *testing.B) {
	for _, c := range []struct {
		writers int
		turns   bool
	}{{1, false}, {1, true}, {8, false}, {8, true}, {32, false}, {32, true}} {
		b.Run(fmt.Sprintf("%d writers, in turns %v", c.writers, c.turns), func(b *testing.B) {
			w := newWorld(b)
			user := w.user("ada")
			env := w.environment(user, w.project(user, w.organization(user, "Acme"), "Web"), "production")
			backend := &slow{Store: w.Store, latency: 4 * time.Millisecond}
			w.DB = kv.New(backend)
			r := NewRecorder(w.DB)
			defer r.Close()
			update := func(r *Recorder, fn func(*kv.Tx) error) (kv.Result, error) {
				if c.turns {
					return r.Update(b.Context(), fn)
				}
				return r.db.Update(b.Context(), fn)
			}
			took := make([]time.Duration, b.N)
			var next, failed atomic.Int64
			var work sync.WaitGroup
			begin := time.Now()
			for range c.writers {
				work.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						k, started := fmt.Sprintf("K%d", n), time.Now()
						draw := NewDraw()
						create := func(tx *kv.Tx) error {
							row, err := w.s.userByID(tx, user)
							if err != nil {
								return err
							}
							_, err = w.s.session(tx, user, row, Client{Draw: draw}).CreateVariable(VariableFields{Key: &k, Environment: &env})
							return err
						}
						if _, err := update(r, create); err != nil {
							failed.Add(1)
						}
						took[n-1] = time.Since(started)
					}
				})
			}
			work.Wait()
			b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "variables/s")
			b.ReportMetric(float64(backend.tried.Load())/float64(b.N), "commits/variable")
			b.ReportMetric(float64(failed.Load()), "failed")
			slices.Sort(took)
			b.ReportMetric(float64(took[b.N*99/100].Milliseconds()), "p99-ms")
		})
	}
}
