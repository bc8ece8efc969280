package kv_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// txModel is what a transaction should see: a map.
type txModel map[string]string

func (m txModel) span(lo, hi []byte, back bool, limit int) string {
	keys := slices.Sorted(maps.Keys(m))
	if back {
		slices.Reverse(keys)
	}
	out := ""
	for _, k := range keys {
		if k >= string(lo) && (hi == nil || k < string(hi)) && limit > 0 {
			out += k + "=" + m[k] + " "
			limit--
		}
	}
	return out
}

// txStep is one random step of a transaction.
type txStep struct {
	kind   string
	lo, hi []byte
	value  string
	delta  int64
	limit  int
}

func drawStep(t *rapid.T) txStep {
	key := func(name string) []byte { return fmt.Appendf(nil, "k%d", rapid.IntRange(0, 5).Draw(t, name)) }
	s := txStep{
		kind: rapid.SampledFrom([]string{"get", "scan", "scan back", "set", "add", "add", "delete", "delete span", "touch"}).Draw(t, "step"),
		lo:   key("key"), value: fmt.Sprint(rapid.IntRange(0, 99).Draw(t, "value")),
		delta: rapid.Int64Range(-9, 9).Draw(t, "delta"), limit: rapid.IntRange(1, 9).Draw(t, "limit"),
	}
	if s.hi = key("end"); rapid.IntRange(0, 3).Draw(t, "open") == 0 {
		s.hi = nil
	}
	if s.kind == "delete span" && s.hi != nil && string(s.lo) > string(s.hi) {
		s.lo, s.hi = s.hi, s.lo
	}
	return s
}

// run takes the step in tx and in m and compares what they show.
func (s txStep) run(tx *kv.Tx, m txModel) error {
	switch s.kind {
	case "get":
		rec, ok, err := tx.Get(s.lo)
		if want, has := m[string(s.lo)]; err != nil || ok != has || string(rec.Value) != want {
			return fmt.Errorf("get %s: %s %v %w, want %s %v", s.lo, rec.Value, ok, err, want, has)
		}
	case "scan", "scan back":
		seq := tx.Scan
		if s.kind == "scan back" {
			seq = tx.ScanBack
		}
		got, n := "", 0
		for rec, err := range seq(s.lo, s.hi) {
			if err != nil {
				return err
			}
			got += string(rec.Key) + "=" + string(rec.Value) + " "
			if n++; n == s.limit {
				break
			}
		}
		if want := m.span(s.lo, s.hi, s.kind == "scan back", s.limit); got != want {
			return fmt.Errorf("%s [%s, %s) limit %d: %q, want %q", s.kind, s.lo, s.hi, s.limit, got, want)
		}
	case "set":
		tx.Set(s.lo, []byte(s.value), 0)
		m[string(s.lo)] = s.value
	case "add":
		tx.Add(s.lo, command.Int(s.delta), 0)
		n, _ := command.ParseNumber([]byte(m[string(s.lo)]))
		sum, _ := n.Add(command.Int(s.delta))
		m[string(s.lo)] = sum.String()
	case "touch":
		tx.Touch(s.lo, time.Hour)
	case "delete":
		tx.Delete(s.lo)
		delete(m, string(s.lo))
	case "delete span":
		tx.DeleteSpan(s.lo, s.hi)
		maps.DeleteFunc(m, func(k, _ string) bool { return k >= string(s.lo) && (s.hi == nil || k < string(s.hi)) })
	}
	return nil
}

// What a transaction sees of its own writes is what is there after the commit.
func TestTxIsAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := kvtest.New(t)
		model := txModel{}
		for range rapid.IntRange(1, 4).Draw(rt, "transactions") {
			steps := make([]txStep, rapid.IntRange(1, 12).Draw(rt, "steps"))
			for i := range steps {
				steps[i] = drawStep(rt)
			}
			s.ConflictNext(rapid.IntRange(0, 1).Draw(rt, "conflicts"))
			var after txModel
			if _, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
				after = maps.Clone(model)
				for _, step := range steps {
					if err := step.run(tx, after); err != nil {
						return err
					}
				}
				return txStep{kind: "scan", limit: 99}.run(tx, after)
			}); err != nil {
				rt.Fatal(err)
			}
			s.ConflictNext(0)
			model = after
			if _, err := s.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
				return txStep{kind: "scan", limit: 99}.run(tx, model)
			}); err != nil {
				rt.Fatalf("committed: %v", err)
			}
		}
	})
}

// Transfers between accounts, read beside them: the sum never changes, in any
// view and in any transaction.
func TestTransfersKeepTheSum(t *testing.T) {
	s := kvtest.New(t)
	const accounts, each = 4, 100
	for i := range accounts {
		put(t, s, fmt.Sprintf("acc%d", i), fmt.Sprint(each))
	}
	sum := func(tx *kv.Tx) (total int) {
		for rec, err := range tx.Scan([]byte("acc"), []byte("acd")) {
			var n int
			if _, serr := fmt.Sscan(string(rec.Value), &n); err != nil || serr != nil {
				t.Error(err, serr)
			}
			total += n
		}
		return total
	}
	done := make(chan error)
	for w := range 4 {
		go func() {
			for i := range 25 {
				from, to := (w+i)%accounts, (w+2*i+1)%accounts
				_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
					tx.Add(fmt.Appendf(nil, "acc%d", from), command.Int(-1), 0)
					tx.Add(fmt.Appendf(nil, "acc%d", to), command.Int(1), 0)
					if total := sum(tx); total != accounts*each {
						return fmt.Errorf("inside a transfer the sum is %d", total)
					}
					return nil
				})
				if err != nil {
					done <- err
					return
				}
				if _, err := s.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
					if total := sum(tx); total != accounts*each {
						return fmt.Errorf("in a view the sum is %d", total)
					}
					return nil
				}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	value := make([]byte, 128)
	for name, guarded := range map[string]bool{"blind": false, "guarded": true} {
		b.Run(name, func(b *testing.B) {
			s := kvtest.New(b)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
					if guarded {
						if _, _, err := tx.Get([]byte("bucket/policy")); err != nil {
							return err
						}
					}
					tx.Set(fmt.Appendf(nil, "bucket/key-%06d", i%10000), value, time.Hour)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkViewGet(b *testing.B) {
	s := kvtest.New(b)
	for i := range 1000 {
		if _, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
			tx.Set(fmt.Appendf(nil, "key-%06d", i), make([]byte, 128), 0)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
			_, ok, err := tx.Get(fmt.Appendf(nil, "key-%06d", i%1000))
			if !ok {
				b.Error("not there")
			}
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
