package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/internal/errs"
)

const (
	lockName       = "LOCK"
	pointerName    = "CURRENT"
	pointerTmpName = "CURRENT.tmp"
	pointerFormat  = 1 // of the folder's lay-out
	pointerHead    = "covey store "
	maxPointer     = 256 // bytes; a pointer file is about 30
	genPrefix      = "gen-"
)

// generationName returns the folder name of generation n.
func generationName(n uint64) string { return fmt.Sprintf("%s%06d", genPrefix, n) }

// generationNumber is the reverse of generationName.
func generationNumber(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, genPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && generationName(n) == name
}

// formatPointer returns the content of a pointer file that names a generation.
func formatPointer(name string) string {
	return fmt.Sprintf("%s%d\n%s\n", pointerHead, pointerFormat, name)
}

// parsePointer is the reverse of formatPointer. dir is for the error, which is
// errs.Invalid.
func parsePointer(text, dir string) (string, error) {
	head, name, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\n")
	digits, ok := strings.CutPrefix(head, pointerHead)
	format, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil {
		return "", errs.E(errs.Invalid, "store %s: %s is not the pointer file of a store", dir, pointerName)
	}
	if format > pointerFormat {
		return "", errs.E(errs.Invalid, "store %s: its format %d is newer than this release knows (%d); use a newer release",
			dir, format, pointerFormat)
	}
	if _, ok := generationNumber(name); !ok || format == 0 || text != formatPointer(name) {
		return "", errs.E(errs.Invalid, "store %s: %s is damaged", dir, pointerName)
	}
	return name, nil
}

// readPointer returns the name of dir's current generation, errs.NotFound when
// there is no store, and errs.Invalid when the pointer file is none.
func readPointer(files vfs.FS, dir string) (string, error) {
	f, err := files.Open(files.PathJoin(dir, pointerName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", errs.E(errs.NotFound, "store %s: there is no store in this folder", dir)
	}
	if err != nil {
		return "", wrap("open the pointer file", dir, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPointer))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", wrap("read the pointer file", dir, err)
	}
	return parsePointer(string(text), dir)
}

// writePointer makes name dir's current generation, atomically and durably.
func writePointer(files vfs.FS, dir, name string) error {
	tmp := files.PathJoin(dir, pointerTmpName)
	if err := writeFile(files, tmp, formatPointer(name)); err != nil {
		_ = files.Remove(tmp)
		return err
	}
	if err := files.Rename(tmp, files.PathJoin(dir, pointerName)); err != nil {
		return err
	}
	return syncDir(files, dir)
}

// writeFile creates path with the given text and syncs it.
func writeFile(files vfs.FS, path, text string) error {
	f, err := files.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// syncDir makes the entries of dir durable.
func syncDir(files vfs.FS, dir string) error {
	d, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// makeDir creates dir and its missing parents and makes them durable.
func makeDir(files vfs.FS, dir string) error {
	if _, err := files.Stat(dir); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := files.PathDir(dir)
	if parent != dir {
		if err := makeDir(files, parent); err != nil {
			return err
		}
	}
	if err := files.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return syncDir(files, parent)
}

// removeLeftovers removes all generations of dir but keep, and a pointer file
// that was never renamed.
func removeLeftovers(files vfs.FS, dir, keep string) error {
	names, err := files.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		_, isGen := generationNumber(name)
		if name == keep || !isGen && name != pointerTmpName {
			continue
		}
		if err := files.RemoveAll(files.PathJoin(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
