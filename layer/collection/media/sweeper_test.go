package media_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/media"
)

func TestSweeperRemovesDeadUploads(t *testing.T) {
	w := newWorld(t)
	s := &media.Sweeper{DB: w.store.DB, Leads: func() bool { return true }, Log: slog.New(slog.DiscardHandler)}
	dead, alive := w.upload(), w.upload()
	for range 3 {
		if _, err := dead.Add(context.Background(), part("a", random(600_000))); err != nil {
			t.Fatal(err)
		}
	}
	kept := w.add(random(10))
	w.store.Advance(50 * time.Minute)
	if _, err := alive.Add(context.Background(), part("b", random(600_000))); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Step(context.Background()); n != 0 || err != nil {
		t.Errorf("swept %d too early (%v)", n, err)
	}
	w.store.Advance(11 * time.Minute)
	w.store.ConflictNext(1)
	if n, err := s.Step(context.Background()); n != 1 || err != nil {
		t.Errorf("swept %d (%v), want 1", n, err)
	}
	if _, err := dead.Add(context.Background(), part("c", random(10))); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a file for a swept upload: %v", err)
	}
	if _, err := dead.Finish(context.Background()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("the end of a swept upload: %v", err)
	}
	if _, err := alive.Finish(context.Background()); err != nil {
		t.Errorf("the end of a living upload: %v", err)
	}
	if keys := w.keys(); keys != "mmffkkkk" || w.get(kept.ID) == nil {
		t.Errorf("the store holds %s", keys)
	}
	w.store.Advance(2 * time.Hour)
	if n, err := s.Step(context.Background()); n != 0 || err != nil || w.keys() != "mmffkkkk" {
		t.Errorf("swept %d more (%v), left %s", n, err, w.keys())
	}
}

// An upload that takes longer than the silence that is allowed says now and then
// that it is alive.
func TestALongUploadIsAlive(t *testing.T) {
	w := newWorld(t)
	s := &media.Sweeper{DB: w.store.DB}
	u := w.upload()
	slow := readerFunc(func(p []byte) (int, error) {
		w.store.Advance(15 * time.Minute / 16) // for a chunk, at most
		if _, err := s.Step(context.Background()); err != nil {
			t.Error(err)
		}
		return len(p), nil
	})
	p := media.Part{Name: "a", Body: io.LimitReader(slow, 20<<20), Limit: 1 << 30}
	if _, err := u.Add(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Finish(context.Background()); err != nil {
		t.Error(err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
