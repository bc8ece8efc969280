package kv_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

var ctx = context.Background()

func put(t *testing.T, s *kvtest.Store, pairs ...string) {
	t.Helper()
	if _, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			tx.Set([]byte(pairs[i]), []byte(pairs[i+1]), 0)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// dump returns what a linearizable View sees, as "key=value …".
func dump(t *testing.T, s *kvtest.Store) string {
	t.Helper()
	var out string
	if _, err := s.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
		out = scan(t, tx, "", "", false)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func scan(t *testing.T, tx *kv.Tx, lo, hi string, back bool) string {
	t.Helper()
	var end []byte
	if hi != "" {
		end = []byte(hi)
	}
	seq := tx.Scan
	if back {
		seq = tx.ScanBack
	}
	out := ""
	for rec, err := range seq([]byte(lo), end) {
		if err != nil {
			t.Fatal(err)
		}
		if out != "" {
			out += " "
		}
		out += fmt.Sprintf("%s=%s", rec.Key, rec.Value)
	}
	return out
}

func TestTxSeesItsOwnWrites(t *testing.T) {
	s := kvtest.New(t)
	put(t, s, "a", "1", "b", "2", "c", "3", "d", "4", "n", "10")
	_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		tx.Set([]byte("b"), []byte("two"), 0)
		tx.Delete([]byte("c"))
		tx.Set([]byte("bb"), []byte("new"), 0)
		tx.Add([]byte("n"), command.Int(5), 0)
		tx.Add([]byte("m"), command.Int(7), 0)
		if got, want := scan(t, tx, "", "", false), "a=1 b=two bb=new d=4 m=7 n=15"; got != want {
			t.Errorf("scan: got %q, want %q", got, want)
		}
		if got, want := scan(t, tx, "b", "e", true), "d=4 bb=new b=two"; got != want {
			t.Errorf("scan back: got %q, want %q", got, want)
		}
		tx.DeleteSpan([]byte("a"), []byte("c"))
		tx.Set([]byte("b"), []byte("again"), 0)
		tx.Add([]byte("a"), command.Int(1), 0)
		if got, want := scan(t, tx, "", "", false), "a=1 b=again d=4 m=7 n=15"; got != want {
			t.Errorf("after delete span: got %q, want %q", got, want)
		}
		if _, ok, err := tx.Get([]byte("bb")); ok || err != nil {
			t.Errorf("Get of a key in a deleted span: %v %v, want none", ok, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, s), "a=1 b=again d=4 m=7 n=15"; got != want {
		t.Errorf("committed: got %q, want %q", got, want)
	}
}

func TestUpdateRunsAgainAfterAConflict(t *testing.T) {
	s := kvtest.New(t)
	put(t, s, "k", "1")
	s.ConflictNext(3)
	runs := 0
	_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		runs++
		rec, _, err := tx.Get([]byte("k"))
		tx.Set([]byte("k"), append(rec.Value, 'x'), 0)
		return err
	})
	if err != nil || runs != 4 {
		t.Fatalf("%d runs, error %v, want 4 runs", runs, err)
	}
	if got := dump(t, s); got != "k=1x" {
		t.Errorf("got %q, want one effect", got)
	}
}

// A write between an Update's read and its commit must make it run again,
// whatever kind of read it was.
func TestUpdateNeverCommitsOnAChangedRead(t *testing.T) {
	for name, read := range map[string]func(tx *kv.Tx) error{
		"point":        func(tx *kv.Tx) error { _, _, err := tx.Get([]byte("b")); return err },
		"absent point": func(tx *kv.Tx) error { _, _, err := tx.Get([]byte("bb")); return err },
		"span":         func(tx *kv.Tx) error { return drain(tx, "a", "z") },
		"span back": func(tx *kv.Tx) error {
			for _, err := range tx.ScanBack([]byte("a"), nil) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"own sum": func(tx *kv.Tx) error {
			tx.Add([]byte("b"), command.Int(0), 0)
			_, _, err := tx.Get([]byte("b"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, change := range []func(tx *kv.Tx){
				func(tx *kv.Tx) { tx.Set([]byte("b"), []byte("9"), 0); tx.Set([]byte("bb"), []byte("9"), 0) },
				func(tx *kv.Tx) { tx.DeleteSpan([]byte("b"), []byte("c")); tx.Set([]byte("bb"), []byte("9"), 0) },
			} {
				s := kvtest.New(t)
				put(t, s, "a", "1", "b", "2", "c", "3")
				runs := 0
				_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
					if err := read(tx); err != nil {
						return err
					}
					tx.Set([]byte("out"), []byte("x"), 0)
					if runs++; runs == 1 {
						if _, err := s.DB.Update(ctx, func(tx *kv.Tx) error { change(tx); return nil }); err != nil {
							t.Fatal(err)
						}
					}
					return nil
				})
				if err != nil || runs != 2 {
					t.Errorf("%d runs, error %v, want 2 runs", runs, err)
				}
			}
		})
	}
}

func drain(tx *kv.Tx, lo, hi string) error {
	for _, err := range tx.Scan([]byte(lo), []byte(hi)) {
		if err != nil {
			return err
		}
	}
	return nil
}

// What a loop did not reach is not part of what was read.
func TestScanGuardsOnlyWhatItWentOver(t *testing.T) {
	for _, back := range []bool{false, true} {
		s := kvtest.New(t)
		put(t, s, "a", "1", "b", "2", "c", "3", "d", "4", "e", "5")
		runs := 0
		_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
			runs++
			seq, far := tx.Scan, "dd"
			if back {
				seq, far = tx.ScanBack, "aa"
			}
			n := 0
			for _, err := range seq([]byte("a"), []byte("f")) {
				if err != nil {
					return err
				}
				if n++; n == 2 {
					break
				}
			}
			tx.Set([]byte("out"), nil, 0)
			if runs == 1 {
				put(t, s, far, "new")
			}
			return nil
		})
		if err != nil || runs != 1 {
			t.Errorf("back=%v: %d runs, error %v, want 1 run", back, runs, err)
		}
	}
}

func TestUpdateBelievesAnErrorOnlyFromACurrentState(t *testing.T) {
	s := kvtest.New(t)
	runs := 0
	_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		if runs++; runs == 1 {
			return errs.E(errs.Forbidden, "as an old state would say")
		}
		tx.Set([]byte("k"), []byte("v"), 0)
		return nil
	})
	if err != nil || runs != 2 {
		t.Errorf("%d runs, error %v, want success in the second", runs, err)
	}
}

func TestUpdateOnceTakesEffectOnce(t *testing.T) {
	s := kvtest.New(t)
	once := kv.Once{ID: command.ID{1}}
	create := func(reply string) (kv.Result, error) {
		return s.DB.UpdateOnce(ctx, once, func(tx *kv.Tx) error {
			if _, ok, err := tx.Get([]byte("made")); ok || err != nil {
				if err == nil {
					err = errs.E(errs.Exists, "exists")
				}
				return err
			}
			tx.Set([]byte("made"), []byte(reply), 0)
			tx.Add([]byte("n"), command.Int(1), 0)
			tx.Reply([]byte(reply))
			return nil
		})
	}
	s.LoseNext(1)
	if _, err := create("first"); errs.KindOf(err) != errs.Unknown {
		t.Fatalf("got %v, want an unknown outcome", err)
	}
	res, err := create("second")
	want := kv.Result{Version: 1, Added: [][]byte{[]byte("1")}, Reply: []byte("first"), Duplicate: true}
	if d := cmp.Diff(want, res); d != "" || err != nil {
		t.Errorf("the repeat: %v (-want +got)\n%s", err, d)
	}
	if got := dump(t, s); got != "made=first n=1" {
		t.Errorf("got %q, want one effect", got)
	}
	once.ID = command.ID{2}
	if _, err := create("third"); errs.KindOf(err) != errs.Exists {
		t.Errorf("another ID: got %v, want exists", err)
	}
}

func TestUpdateOnceRefusesWhatMayBeForgotten(t *testing.T) {
	s := kvtest.New(t)
	put(t, s, "k", "v")
	once := kv.Once{ID: command.ID{1}, Since: 1}
	for range 3 {
		put(t, s, "k", "v")
	}
	if _, err := s.DB.UpdateOnce(ctx, once, func(tx *kv.Tx) error { tx.Delete([]byte("k")); return nil }); err != nil {
		t.Errorf("well within what is remembered: %v", err)
	}
}

func TestConcurrentReadModifyWritesAllCount(t *testing.T) {
	s := kvtest.New(t)
	const writers, each = 8, 50
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
					rec, ok, err := tx.Get([]byte("n"))
					if err != nil {
						return err
					}
					var n command.Number
					if ok {
						n, _ = command.ParseNumber(rec.Value)
					}
					n, err = n.Add(command.Int(1))
					tx.Set([]byte("n"), n.Append(nil), 0)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, want := dump(t, s), fmt.Sprintf("n=%d", writers*each); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExpiredRecordsAreHiddenAndReaped(t *testing.T) {
	s := kvtest.New(t)
	if _, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		tx.Set([]byte("short"), []byte("v"), time.Second)
		tx.Set([]byte("long"), []byte("v"), time.Minute)
		tx.Add([]byte("n"), command.Int(5), time.Second)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, s); got != "long=v n=5 short=v" {
		t.Errorf("before: %q", got)
	}
	s.Advance(time.Second)
	if got := dump(t, s); got != "long=v" {
		t.Errorf("after a second: %q", got)
	}
	if err := s.Reap(); err != nil {
		t.Fatal(err)
	}
	res, err := s.DB.Update(ctx, func(tx *kv.Tx) error { tx.Add([]byte("n"), command.Int(1), 0); return nil })
	if err != nil || string(res.Added[0]) != "1" {
		t.Errorf("an expired counter goes on at %s (%v), want 1", res.Added, err)
	}
}

func TestMisuseFailsWithoutEffect(t *testing.T) {
	s := kvtest.New(t)
	if _, err := s.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error { tx.Delete([]byte("k")); return nil }); err == nil {
		t.Error("a write in a View passed")
	}
	for name, fn := range map[string]func(tx *kv.Tx){
		"negative ttl":   func(tx *kv.Tx) { tx.Set([]byte("k"), nil, -1) },
		"tiny ttl":       func(tx *kv.Tx) { tx.Set([]byte("k"), nil, time.Microsecond) },
		"huge key":       func(tx *kv.Tx) { tx.Set(make([]byte, command.MaxKey+1), nil, 0) },
		"huge value":     func(tx *kv.Tx) { tx.Set([]byte("k"), make([]byte, command.MaxBytes), 0) },
		"huge reply":     func(tx *kv.Tx) { tx.Delete([]byte("k")); tx.Reply(make([]byte, command.MaxReply+1)) },
		"not a number":   func(tx *kv.Tx) { tx.Set([]byte("s"), []byte("x"), 0); tx.Add([]byte("s"), command.Int(1), 0) },
		"backward range": func(tx *kv.Tx) { tx.DeleteSpan([]byte("b"), []byte("a")) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.DB.Update(ctx, func(tx *kv.Tx) error { fn(tx); return nil })
			if k := errs.KindOf(err); err == nil || k != errs.Invalid && k != errs.TooLarge {
				t.Errorf("got %v, want it refused", err)
			}
			if got := dump(t, s); got != "" {
				t.Errorf("left %q", got)
			}
		})
	}
}
