package kv_test

import (
	"context"
	"fmt"
	"testing"
	"time"

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

// A write between an Update's read and its commit must make it run again,
// whatever kind of read it was.
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

// A repeat that finds nothing to do must not answer as if nothing had been done.
// In a cluster at rest the last stamp is old; a transaction must not take it
// for the time, or it would let expired credentials pass.
// What has just expired may show in the first run, but is never committed on.
// The bytes of a scan's record change with the next step; what was made of
// them must not.
func TestTxCopiesWhatItIsGiven(t *testing.T) {
	s := kvtest.New(t)
	put(t, s, "a1", "x", "a2", "y", "a3", "z", "b1", "", "b2", "", "b3", "")
	runs := 0
	_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		runs++
		other := make([]byte, 2)
		for rec, err := range tx.Scan([]byte("a"), []byte("b")) {
			if err != nil {
				return err
			}
			copy(other, "b")
			other[1] = rec.Key[1]
			if _, _, err := tx.Get(other); err != nil {
				return err
			}
			tx.Set(other, rec.Value, 0)
			other[0] = 'c'
			tx.Set(other, rec.Key, 0)
			tx.Delete(rec.Key)
		}
		if runs == 1 {
			put(t, s, "b2", "changed") // it was read, so this must be noticed
		}
		return nil
	})
	if err != nil || runs != 2 {
		t.Errorf("%d runs, error %v, want 2 runs", runs, err)
	}
	if got, want := dump(t, s), "b1=x b2=y b3=z c1=a1 c2=a2 c3=a3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWritesInsideAScanShowInTheNext(t *testing.T) {
	s := kvtest.New(t)
	put(t, s, "a", "1", "b", "2", "c", "3", "d", "4")
	if _, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		tx.Set([]byte("bb"), []byte("own"), 0)
		seen := ""
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			if seen += string(rec.Key) + " "; seen == "a " {
				tx.DeleteSpan([]byte("b"), []byte("c"))
				tx.Delete([]byte("c"))
				tx.Set([]byte("cc"), nil, 0)
				tx.Touch([]byte("bb"), time.Minute)
			}
		}
		if want := "a b bb c d "; seen != want {
			t.Errorf("during: %q, want %q", seen, want)
		}
		if got, want := scan(t, tx, "", "", false), "a=1 cc= d=4"; got != want {
			t.Errorf("after: %q, want %q", got, want)
		}
		for range tx.Scan([]byte("z"), []byte("a")) {
			t.Error("a backward span is not empty")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
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
