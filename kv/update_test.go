package kv_test

import (
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

func TestUpdateIsNoRepeatOfItself(t *testing.T) {
	s := kvtest.New(t)
	s.RepeatNext(1)
	res, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		tx.Add([]byte("n"), command.Int(1), 0)
		return nil
	})
	if err != nil || res.Version != 1 || res.Duplicate || len(res.Added) != 1 || string(res.Added[0]) != "1" {
		t.Errorf("a command that came twice: %+v, %v; want what the first one came to", res, err)
	}
	if got := dump(t, s); got != "n=1" {
		t.Errorf("got %q, want one effect", got)
	}
}

func TestUpdateOnceRefusesWhatMayBeForgotten(t *testing.T) {
	s := kvtest.NewForgetful(t, 4)
	put(t, s, "k", "v")
	once := kv.Once{ID: command.ID{1}, Since: 1}
	add := func() (kv.Result, error) {
		return s.DB.UpdateOnce(ctx, once, func(tx *kv.Tx) error { tx.Add([]byte("n"), command.Int(1), 0); return nil })
	}
	if _, err := add(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		put(t, s, "k", "v")
	}
	if res, err := add(); err != nil || !res.Duplicate || res.Version != 2 {
		t.Errorf("the last that is remembered: %+v, %v", res, err)
	}
	put(t, s, "k", "v")
	if res, err := add(); !errs.Is(err, errs.Unknown) {
		t.Errorf("the first that may be forgotten: %+v, %v, want an unknown outcome", res, err)
	}
	if _, err := s.DB.UpdateOnce(ctx, once, func(*kv.Tx) error { return errs.E(errs.Exists, "exists") }); !errs.Is(err, errs.Unknown) {
		t.Errorf("with a closure that fails: %v, want an unknown outcome", err)
	}
	if got := dump(t, s); got != "k=v n=1" {
		t.Errorf("got %q, want one effect", got)
	}
	// One that says nothing of its age is taken as new.
	once.Since = 0
	if res, err := add(); err != nil || res.Duplicate {
		t.Errorf("without an age: %+v, %v", res, err)
	}
}

func TestUpdateOnceRecallsWhatLeftNothingToDo(t *testing.T) {
	s := kvtest.New(t)
	put(t, s, "k", "v")
	once := kv.Once{ID: command.ID{1}}
	remove := func() (kv.Result, error) {
		return s.DB.UpdateOnce(ctx, once, func(tx *kv.Tx) error {
			if _, ok, err := tx.Get([]byte("k")); !ok || err != nil {
				return err
			}
			tx.Delete([]byte("k"))
			tx.Reply([]byte("deleted"))
			return nil
		})
	}
	s.LoseNext(1)
	if _, err := remove(); !errs.Is(err, errs.Unknown) {
		t.Fatalf("got %v, want an unknown outcome", err)
	}
	if res, err := remove(); err != nil || !res.Duplicate || string(res.Reply) != "deleted" {
		t.Errorf("the repeat: %+v, %v, want the first answer", res, err)
	}
	once.ID = command.ID{2}
	if res, err := remove(); err != nil || res.Duplicate || res.Version != 0 {
		t.Errorf("another ID: %+v, %v, want nothing done", res, err)
	}
}

func TestFirstRunKnowsTheTime(t *testing.T) {
	s := kvtest.New(t)
	put(t, s, "k", "v")
	s.Advance(time.Hour)
	var first int64
	if _, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		if first == 0 {
			first = tx.Now()
		}
		_, _, err := tx.Get([]byte("k"))
		tx.Set([]byte("k"), []byte("w"), 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if first != s.Now() {
		t.Errorf("the first run was %d ms behind", s.Now()-first)
	}
	if s.Commits() != 2 {
		t.Errorf("%d commits, want no conflict", s.Commits())
	}
}

func TestFirstRunIsNotCommittedOnWhatHasExpired(t *testing.T) {
	s := kvtest.New(t)
	if _, err := s.DB.Update(ctx, func(tx *kv.Tx) error { tx.Set([]byte("k"), []byte("v"), time.Second); return nil }); err != nil {
		t.Fatal(err)
	}
	s.Advance(1500 * time.Millisecond)
	var saw []bool
	if _, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
		_, ok, err := tx.Get([]byte("k"))
		saw = append(saw, ok)
		tx.Set([]byte("out"), fmt.Append(nil, ok), 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, s); got != "out=false" || !saw[0] || len(saw) != 2 {
		t.Errorf("got %q after runs that saw %v, want a second run that does not see it", got, saw)
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
