package depot

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/coveydb/covey/internal/errs"
)

// folder is a depot in a folder, local or mounted.
type folder struct{ dir string }

func openFolder(dir string) (*folder, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, errs.E(errs.Invalid, "place for backups: %w: make the folder, or mount what belongs there", err)
	}
	if !info.IsDir() {
		return nil, errs.E(errs.Invalid, "place for backups: %s is no folder", dir)
	}
	return &folder{dir}, nil
}

func (d *folder) String() string { return "file://" + filepath.ToSlash(d.dir) }

// Put implements Depot: the file appears under its name when it is on the disk.
// The name of what is not done begins with a dot, so it is in no list.
func (d *folder) Put(ctx context.Context, name string, r io.Reader) error {
	if err := CheckName(name); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.dir, "."+name+".*.tmp")
	if err != nil {
		return fileError(name, err)
	}
	w := &writer{ctx: ctx, f: f}
	_, err = io.Copy(w, r)
	if w.err != nil {
		err = fileError(name, w.err)
	}
	if err == nil {
		if err = errors.Join(f.Sync(), f.Chmod(0o600)); err != nil {
			err = fileError(name, err)
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		if err = os.Rename(f.Name(), filepath.Join(d.dir, name)); err == nil {
			return syncDir(d.dir)
		}
		err = fileError(name, err)
	}
	if rm := os.Remove(f.Name()); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

// writer tells errors of the file from those of what is copied into it.
type writer struct {
	ctx context.Context
	f   *os.File
	err error
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if err := context.Cause(w.ctx); err != nil {
		return 0, err
	}
	n, err := w.f.Write(p)
	w.err = err
	return n, err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fileError(dir, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil && !errors.Is(err, syscall.EINVAL) { // some mounts cannot
		return fileError(dir, err)
	}
	return nil
}

// Get implements Depot.
func (d *folder) Get(_ context.Context, name string) (io.ReadCloser, int64, error) {
	if err := CheckName(name); err != nil {
		return nil, 0, err
	}
	f, err := os.Open(filepath.Join(d.dir, name))
	if err != nil {
		return nil, 0, fileError(name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fileError(name, err), f.Close())
	}
	return f, info.Size(), nil
}

// List implements Depot.
func (d *folder) List(ctx context.Context) ([]File, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, fileError(d.dir, err)
	}
	var out []File
	for _, e := range entries {
		if !e.Type().IsRegular() || CheckName(e.Name()) != nil {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fileError(e.Name(), err)
		}
		if out = append(out, File{Name: e.Name(), Size: info.Size(), Changed: info.ModTime()}); len(out) > maxFiles {
			return nil, tooMany(d)
		}
	}
	return out, context.Cause(ctx)
}

func tooMany(d Depot) error {
	return errs.E(errs.TooLarge, "%s holds over %d files: give backups a place of their own", d, maxFiles)
}

// Delete implements Depot.
func (d *folder) Delete(_ context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(d.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(name, err)
	}
	return syncDir(d.dir)
}

func fileError(name string, err error) error {
	kind := errs.Unavailable
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = errs.NotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		kind = errs.Forbidden
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind = errs.NoSpace
	}
	return errs.E(kind, "%s: %w", name, err)
}
