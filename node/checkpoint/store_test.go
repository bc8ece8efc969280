package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

// The store below, in these tests, is one file; its stream is "stream:" and the
// file, and is whole if it does not contain "bad".
func produce(dir string, w io.Writer) error {
	p, err := os.ReadFile(filepath.Join(dir, "table"))
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.MultiReader(strings.NewReader("stream:"), bytes.NewReader(p)))
	return err
}

func verify(r io.Reader) error {
	p, err := io.ReadAll(r)
	if err == nil && bytes.Contains(p, []byte("bad")) {
		err = errors.New("bad stream")
	}
	return err
}

func take(content string) func(dir string) error {
	return func(dir string) error {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "table"), []byte(content), 0o600)
	}
}

func testOptions(dir string) Options {
	return Options{Dir: dir, Produce: produce, Verify: verify, Logger: slog.New(slog.DiscardHandler)}
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var config = raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: "n1", Address: "n1:1"}, {Suffrage: raft.Nonvoter, ID: "n2", Address: "n2:1"}}}

func create(t *testing.T, s *Store, index uint64) *Sink {
	t.Helper()
	sink, err := s.Create(1, index, 3, config, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sink.(*Sink)
}

// addCheckpoint and addStream make a snapshot in one of the two ways.
func addCheckpoint(t *testing.T, s *Store, index uint64, content string) string {
	t.Helper()
	k := create(t, s, index)
	if err := errors.Join(k.Checkpoint(take(content)), k.Close()); err != nil {
		t.Fatal(err)
	}
	return k.ID()
}

func addStream(t *testing.T, s *Store, index uint64, content string) string {
	t.Helper()
	k := create(t, s, index)
	if _, err := io.Copy(k, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	return k.ID()
}

func ids(t *testing.T, s *Store) (ids []string) {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids
}

func folders(t *testing.T, s *Store) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func wantStream(t *testing.T, s *Store, id, want string) {
	t.Helper()
	meta, r, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if string(got) != want || meta.Size != int64(len(want)) {
		t.Errorf("read %q of %d bytes, want %q", got, meta.Size, want)
	}
	meta.Size = 0
	wantMeta := &raft.SnapshotMeta{Version: 1, ID: id, Index: meta.Index, Term: 3, Configuration: config, ConfigurationIndex: 2}
	if diff := cmp.Diff(wantMeta, meta); diff != "" {
		t.Error(diff)
	}
}

func TestSnapshotsSurviveReopening(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	a := addCheckpoint(t, s, 10, "one")
	b := addStream(t, s, 20, "two")
	for range 2 {
		if diff := cmp.Diff([]string{b, a}, ids(t, s)); diff != "" {
			t.Error(diff)
		}
		wantStream(t, s, a, "stream:one")
		wantStream(t, s, a, "stream:one") // its length is known by now
		wantStream(t, s, b, "two")
		s = open(t, s.o)
	}
	for _, m := range []string{"", "1-2-3", a + tmpSuffix, "../" + a} {
		if _, _, err := s.Open(m); !errs.Is(err, errs.NotFound) {
			t.Errorf("open %q: %v", m, err)
		}
	}
}

func TestNewestFirstAndOldOnesGo(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Retain = 3
	s := open(t, o)
	var all []string
	for _, index := range []uint64{5, 100, 20, 20, 7} {
		all = append(all, addStream(t, s, index, "x"))
	}
	want := []string{all[1], all[3], all[2]} // 100, the later 20, the earlier 20
	if diff := cmp.Diff(want, ids(t, s)); diff != "" {
		t.Error(diff)
	}
	if got := folders(t, s); len(got) != 3 {
		t.Errorf("on disk: %v", got)
	}
	o.Retain = 1
	s = open(t, o)
	if diff := cmp.Diff(want[:1], ids(t, s)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:1], folders(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestSnapshotsOfOneInstantAndOfAClockSetBack(t *testing.T) {
	o := testOptions(t.TempDir())
	var want []string
	add := func(t *testing.T) { // within a bubble no time passes, and each bubble begins at the same instant
		s := open(t, o)
		for range 2 {
			want = append([]string{addStream(t, s, 20, "x")}, want...)[:min(2, len(want)+1)]
			if diff := cmp.Diff(want, ids(t, s)); diff != "" {
				t.Error(diff)
			}
		}
	}
	synctest.Test(t, add)
	synctest.Test(t, add)
}

func TestAnOpenSnapshotStays(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Retain = 1
	for _, add := range []func(*testing.T, *Store, uint64, string) string{addCheckpoint, addStream} {
		s := open(t, o)
		id := add(t, s, 10, "one")
		_, r1, err1 := s.Open(id)
		_, r2, err2 := s.Open(id)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		newer := add(t, s, 11, "two")
		if diff := cmp.Diff([]string{newer}, ids(t, s)); diff != "" {
			t.Error(diff)
		}
		if err := errors.Join(r1.Close(), r1.Close()); err != nil { // a second Close must not count twice
			t.Error(err)
		}
		if got := folders(t, s); len(got) != 2 {
			t.Fatalf("on disk: %v", got)
		}
		if p, err := io.ReadAll(r2); err != nil || !strings.HasSuffix(string(p), "one") {
			t.Errorf("read %q, %v", p, err)
		}
		if err := r2.Close(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{newer}, folders(t, s)); diff != "" {
			t.Error(diff)
		}
		os.RemoveAll(o.Dir)
	}
}

func TestOpenAndRemovalAtOnce(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Retain = 1
	s := open(t, o)
	addCheckpoint(t, s, 1, "1")
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				list, err := s.List()
				if err != nil || len(list) != 1 {
					t.Errorf("list %v, %v", list, err)
					return
				}
				_, r, err := s.Open(list[0].ID)
				if errs.Is(err, errs.NotFound) {
					continue // replaced since it was listed
				}
				if err != nil {
					t.Error(err)
					return
				}
				p, err := io.ReadAll(r)
				if want := fmt.Sprint("stream:", list[0].Index); err != nil || string(p) != want {
					t.Errorf("read %q, %v, want %q", p, err, want)
				}
				r.Close()
			}
		})
	}
	for i := uint64(2); i < 25; i++ {
		addCheckpoint(t, s, i, fmt.Sprint(i))
	}
	close(stop)
	readers.Wait()
	if got := folders(t, s); len(got) != 1 {
		t.Errorf("on disk: %v", got)
	}
}

func TestWhatACrashLeaves(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	good := addCheckpoint(t, s, 10, "one")
	create(t, s, 11) // never closed
	half := create(t, s, 12)
	if _, err := half.Write([]byte("ha")); err != nil {
		t.Fatal(err)
	}
	damage := func(index uint64, do func(dir string) error) string {
		id := addStream(t, s, index, "content")
		if err := do(filepath.Join(s.o.Dir, id)); err != nil {
			t.Fatal(err)
		}
		return id
	}
	s.o.Retain = 100
	edit := func(old, new string) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, metaFile)
			p, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(p), old) {
				return fmt.Errorf("%s: no %q: %v", p, old, err)
			}
			return os.WriteFile(path, bytes.Replace(p, []byte(old), []byte(new), 1), 0o600)
		}
	}
	bad := []string{
		damage(20, func(dir string) error { return os.Remove(filepath.Join(dir, metaFile)) }),
		damage(21, func(dir string) error { return os.Truncate(filepath.Join(dir, metaFile), 50) }),
		damage(22, func(dir string) error { return os.Remove(filepath.Join(dir, streamFile)) }),
		damage(23, func(dir string) error { return os.Truncate(filepath.Join(dir, streamFile), 3) }),
		damage(24, edit(`"n1:1"`, `"n9:1"`)),
		damage(25, edit(`"format":1`, `"format":2`)),
		damage(26, edit(`"body":`, `"extra":1,"body":`)),
		damage(27, func(dir string) error { return os.Rename(dir, dir+"7") }) + "7",
		damage(28, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, metaFile), make([]byte, metaLimit+1), 0o600)
		}),
	}
	var log bytes.Buffer
	o := s.o
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s = open(t, o)
	if diff := cmp.Diff([]string{good}, ids(t, s)); diff != "" {
		t.Error(diff)
	}
	if got, want := len(folders(t, s)), 1+len(bad); got != want {
		t.Errorf("%d folders, want %d: what cannot be read stays, what is half done goes: %v", got, want, folders(t, s))
	}
	for _, id := range bad {
		if !strings.Contains(log.String(), id) {
			t.Errorf("nothing in the log about %s", id)
		}
	}
}

func TestStreamThatDoesNotVerifyIsNotKept(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	k := create(t, s, 10)
	if _, err := io.WriteString(k, "a bad one"); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "bad stream") {
		t.Errorf("got %v", err)
	}
	if err := k.Cancel(); err != nil {
		t.Errorf("Cancel after it: %v", err)
	}
	if got := append(ids(t, s), folders(t, s)...); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestSinkIsUsedOneWay(t *testing.T) {
	failing := errors.New("no checkpoint")
	tests := map[string]func(k *Sink) error{
		"nothing in it":                  func(k *Sink) error { return nil },
		"an empty stream":                func(k *Sink) error { _, err := k.Write(nil); return err },
		"a write after a checkpoint":     func(k *Sink) error { k.Checkpoint(take("x")); _, err := k.Write([]byte("y")); return err },
		"a checkpoint after a write":     func(k *Sink) error { k.Write([]byte("y")); return k.Checkpoint(take("x")) },
		"two checkpoints":                func(k *Sink) error { k.Checkpoint(take("x")); return k.Checkpoint(take("x")) },
		"an empty checkpoint":            func(k *Sink) error { return k.Checkpoint(take("")) },
		"a checkpoint that is not there": func(k *Sink) error { return k.Checkpoint(func(string) error { return nil }) },
		"a checkpoint that fails":        func(k *Sink) error { return k.Checkpoint(func(string) error { return failing }) },
		"a write after a failure": func(k *Sink) error {
			k.Checkpoint(func(string) error { return failing })
			_, err := k.Write([]byte("y"))
			return err
		},
	}
	for name, use := range tests {
		for _, end := range []string{"close", "cancel"} {
			t.Run(name+", "+end, func(t *testing.T) {
				s := open(t, testOptions(t.TempDir()))
				k := create(t, s, 10)
				err := use(k)
				if end == "close" {
					if err == nil || !strings.Contains(name, " after a ") && !strings.Contains(name, "two") {
						err = k.Close()
					} else {
						k.Cancel()
					}
					if err == nil {
						t.Error("no error")
					}
				} else if err := k.Cancel(); err != nil {
					t.Error(err)
				}
				if got := append(ids(t, s), folders(t, s)...); len(got) != 0 {
					t.Errorf("left: %v", got)
				}
				if _, err := k.Write([]byte("z")); err == nil {
					t.Error("a write after the end")
				}
				if err := errors.Join(k.Close(), k.Cancel()); err != nil {
					t.Errorf("a second end: %v", err)
				}
			})
		}
	}
}

func TestAStreamOfAnotherLengthIsAnError(t *testing.T) {
	for name, lengths := range map[string][]int{"shorter": {100, 99}, "longer": {100, 101}, "much longer": {100, 1 << 20}, "empty": {0, 0}} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t.TempDir())
			o.Produce = func(_ string, w io.Writer) error {
				n := lengths[0]
				lengths = lengths[1:]
				_, err := w.Write(make([]byte, n))
				return err
			}
			s := open(t, o)
			id := addCheckpoint(t, s, 10, "x")
			meta, r, err := s.Open(id)
			if name == "empty" {
				if err == nil {
					t.Error("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p, err := io.ReadAll(r)
			if !errs.Is(err, errs.Internal) || err == nil {
				t.Errorf("error %v", err)
			}
			if int64(len(p)) > meta.Size {
				t.Errorf("%d bytes, promised were %d", len(p), meta.Size)
			}
			r.Close()
		})
	}
}

func TestAProducerThatFails(t *testing.T) {
	o := testOptions(t.TempDir())
	runs, failAt := 0, 1
	broken := errors.New("broken block")
	o.Produce = func(dir string, w io.Writer) error {
		if runs++; runs == failAt {
			w.Write([]byte("str"))
			return broken
		}
		return produce(dir, w)
	}
	s := open(t, o)
	id := addCheckpoint(t, s, 10, "x")
	if _, _, err := s.Open(id); !errors.Is(err, broken) {
		t.Errorf("while measuring: %v", err)
	}
	failAt = 3
	_, r, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("while reading: %v", err)
	}
	r.Close()
	wantStream(t, s, id, "stream:x")
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.held[0].readers; n != 0 {
		t.Errorf("%d readers are still counted", n)
	}
}

func TestClosingEarlyEndsTheProducer(t *testing.T) {
	o := testOptions(t.TempDir())
	ended := make(chan error, 2)
	o.Produce = func(_ string, w io.Writer) error {
		_, err := w.Write(make([]byte, 4<<20))
		ended <- err
		return err
	}
	s := open(t, o)
	_, r, err := s.Open(addCheckpoint(t, s, 10, "x"))
	if err != nil {
		t.Fatal(err)
	}
	<-ended // measured
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("it ended with %v", err)
		}
	default:
		t.Error("the producer is still at work after Close")
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Retain = -1
	if _, err := Open(o); !errs.Is(err, errs.Invalid) {
		t.Errorf("retain -1: %v", err)
	}
	if _, err := Open(Options{Dir: t.TempDir()}); err == nil {
		t.Error("opened without Produce and Verify")
	}
	s := open(t, testOptions(t.TempDir()))
	if _, err := s.Create(0, 1, 1, config, 1, nil); err == nil {
		t.Error("created a snapshot of version 0")
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	good, err := encodeSnapshot(&snapshot{kind: kindStream, stamp: 9, meta: raft.SnapshotMeta{Version: 1, ID: "3-10-9", Index: 10, Term: 3, Size: 4, Configuration: config}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1,"crc32c":0,"body":null}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		n, err := decodeSnapshot(p)
		if err != nil {
			return
		}
		again, err := encodeSnapshot(n)
		if err != nil {
			t.Fatal(err)
		}
		m, err := decodeSnapshot(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if diff := cmp.Diff(n.meta, m.meta); diff != "" || n.kind != m.kind || n.stamp != m.stamp {
			t.Error(diff)
		}
	})
}
