package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

func TestABrokenDiskIsToldOf(t *testing.T) {
	sync := func(err error) error { return &fs.PathError{Op: "sync", Path: "f", Err: err} }
	for name, tc := range map[string]struct {
		err  error
		told bool
	}{
		"an fsync":                            {sync(syscall.EIO), true},
		"an fsync of another sort":            {sync(syscall.EINVAL), true},
		"an fsync, as the store wraps it":     {errs.E(errs.Internal, "store d: checkpoint: %w", fmt.Errorf("flush: %w", syscall.EIO)), true},
		"a file system gone read-only":        {&fs.PathError{Op: "open", Err: syscall.EROFS}, true},
		"an fsync that found no room":         {sync(syscall.ENOSPC), false},
		"a quota":                             {&fs.PathError{Op: "write", Err: syscall.EDQUOT}, false},
		"a link that cannot be made":          {&os.LinkError{Op: "link", Err: syscall.EMLINK}, false},
		"a store that is closed":              {errs.E(errs.Unavailable, "store d: closed"), false},
		"what has nothing to do with a disk":  {errors.New("x"), false},
		"a description that is there already": {&fs.PathError{Op: "open", Err: syscall.EEXIST}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(testOptions(t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			var told []error
			s.Watch(func(err error) { told = append(told, err) })
			sink, err := s.Create(1, 1, 1, raft.Configuration{}, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.(*Sink).Checkpoint(func(string) error { return tc.err }); !errors.Is(err, tc.err) {
				t.Errorf("got %v", err)
			}
			if (len(told) == 1) != tc.told || len(told) > 1 {
				t.Errorf("told %v, want that: %v", told, tc.told)
			}
			if err := sink.Cancel(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKeepingFewerSnapshotsGivesTheirSpaceBackAtOnce(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(dir)
	o.Retain = 3
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	take := func(index uint64) {
		t.Helper()
		sink, err := s.Create(1, index, 1, raft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := sink.(*Sink).Checkpoint(func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600))
		}); err != nil {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	count := func(want int) {
		t.Helper()
		list, err := s.List()
		folders, _ := os.ReadDir(dir)
		if err != nil || len(list) != want || len(folders) != want {
			t.Fatalf("%d snapshots in %d folders, %v; want %d", len(list), len(folders), err, want)
		}
	}
	for i := range uint64(3) {
		take(i + 1)
	}
	count(3)
	s.Keep(1)
	count(1)
	take(4)
	count(1)
	s.Keep(2)
	take(5)
	count(2)
	s.Keep(0)
	count(1)
}
