package store

import (
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// patientFS is the file system as one generation's Pebble sees it. It differs
// in five ways, for the day on which the disk is full, or broken, or the power
// fails.
//
//   - A table is not begun until retryEvery after the last failure, because
//     Pebble retries a failed flush in a tight loop.
//   - A table whose sync fails, other than for want of room, ends the store. A
//     new file might well succeed; but a disk that loses writes is not to be
//     trusted with the next one.
//   - Creating and writing the few small files that are not tables (manifest,
//     markers) waits until there is room, because Pebble takes a failure there
//     for fatal. Pebble holds no lock then that readers or commits need. A
//     failed sync is not repeated: what the kernel dropped is gone, so that
//     stays fatal.
//   - While a generation is tentative (see health) nothing waits. A failure
//     goes up, and the small files take no further write.
//   - A marker moves in an order that survives a crash (see syncForMarker).
//
// Paths outside the generation's folder, which are those of a checkpoint, are
// not waited for: there Pebble returns errors, but for the sync of a folder.
type patientFS struct {
	vfs.FS
	h *health
}

// outside reports whether name is not in the generation's folder.
func (p patientFS) outside(name string) bool {
	return name != p.h.dir && p.FS.PathDir(name) != p.h.dir
}

// Create implements vfs.FS.
func (p patientFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if p.outside(name) {
		return p.FS.Create(name, category)
	}
	if strings.HasSuffix(name, ".sst") {
		p.h.pause()
		f, err := p.FS.Create(name, category)
		if err != nil {
			return nil, err
		}
		return &tableFile{File: f, h: p.h, name: name}, nil
	}
	if err := p.syncForMarker(name); err != nil {
		return nil, err
	}
	var f vfs.File
	err := p.h.patiently(func() (err error) {
		f, err = p.FS.Create(name, category)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &patientFile{File: f, h: p.h}, nil
}

// Rename implements vfs.FS.
func (p patientFS) Rename(oldname, newname string) error {
	if p.outside(newname) {
		return p.FS.Rename(oldname, newname)
	}
	return p.h.patiently(func() error { return p.FS.Rename(oldname, newname) })
}

// Remove implements vfs.FS.
func (p patientFS) Remove(name string) error {
	if p.outside(name) {
		return p.FS.Remove(name)
	}
	if err := p.h.abandonedErr(); err != nil {
		return err
	}
	if err := p.syncForMarker(name); err != nil {
		return err
	}
	return p.FS.Remove(name)
}

// syncForMarker syncs the folder of name if that is a marker, which is the
// empty file whose name says which manifest is in force. Pebble moves one by
// creating the new file, removing the old one and syncing the folder once. A
// crash may keep any part of that: a marker for a manifest that is gone, or no
// marker at all. With a sync before each step it keeps a prefix.
func (p patientFS) syncForMarker(name string) error {
	if !strings.HasPrefix(p.FS.PathBase(name), "marker.") {
		return nil
	}
	return syncDir(p, p.FS.PathDir(name))
}

// OpenDir implements vfs.FS.
func (p patientFS) OpenDir(name string) (vfs.File, error) {
	f, err := p.FS.OpenDir(name)
	if err != nil {
		if !p.outside(name) {
			p.h.abandon(err)
		}
		return nil, err
	}
	return &patientDir{File: f, h: p.h, name: name, outside: p.outside(name)}, nil
}

// Unwrap implements vfs.FS.
func (p patientFS) Unwrap() vfs.FS { return p.FS }

// patientFile is a small file.
type patientFile struct {
	vfs.File
	h *health
}

// Write implements io.Writer. After a wait it goes on behind the part that
// fitted.
func (f *patientFile) Write(b []byte) (int, error) {
	done := 0
	err := f.h.patiently(func() error {
		n, err := f.File.Write(b[done:])
		done += n
		return err
	})
	return done, err
}

// Sync implements vfs.File.
func (f *patientFile) Sync() error { return f.abandon(f.File.Sync()) }

// SyncData implements vfs.File.
func (f *patientFile) SyncData() error { return f.abandon(f.File.SyncData()) }

// SyncTo implements vfs.File.
func (f *patientFile) SyncTo(length int64) (fullSync bool, err error) {
	fullSync, err = f.File.SyncTo(length)
	return fullSync, f.abandon(err)
}

func (f *patientFile) abandon(err error) error {
	if err != nil {
		f.h.abandon(err)
	}
	return err
}

// tableFile is a table being written.
type tableFile struct {
	vfs.File
	h    *health
	name string
}

// Sync implements vfs.File.
func (f *tableFile) Sync() error { return f.judge(f.File.Sync()) }

// SyncData implements vfs.File.
func (f *tableFile) SyncData() error { return f.judge(f.File.SyncData()) }

// SyncTo implements vfs.File.
func (f *tableFile) SyncTo(length int64) (fullSync bool, err error) {
	fullSync, err = f.File.SyncTo(length)
	return fullSync, f.judge(err)
}

func (f *tableFile) judge(err error) error {
	if err != nil && !vfs.IsNoSpaceError(err) && !f.h.isTentative() {
		f.h.Fatalf("sync the table %s: %v", f.name, err)
	}
	return err
}

// patientDir is a folder, opened to sync it.
type patientDir struct {
	vfs.File
	h       *health
	name    string
	outside bool
}

// Sync implements vfs.File. Pebble panics on an error of it, so it returns
// none where one can be dealt with: outside, and while the generation is
// tentative. There health keeps the error and is asked before the checkpoint,
// or the generation, is used.
func (d *patientDir) Sync() error {
	err := d.File.Sync()
	switch {
	case err == nil:
	case d.outside:
		d.h.noteOutside(err)
	case !d.h.abandon(err):
		d.h.Fatalf("sync the folder %s: %v", d.name, err)
	}
	return nil
}

// patiently calls try until it does not fail for want of space. On any other
// error, and while the generation is tentative, it gives up.
func (h *health) patiently(try func() error) error {
	waiting := false
	defer func() {
		if waiting {
			h.endWait()
		}
	}()
	for {
		if err := h.abandonedErr(); err != nil {
			return err
		}
		err := try()
		if err == nil {
			return nil
		}
		if !vfs.IsNoSpaceError(err) || h.isTentative() {
			h.abandon(err)
			return err
		}
		if !waiting {
			waiting = true
			h.beginWait(err)
		}
		if !h.wait() {
			h.abandon(err)
			return err
		}
	}
}

// unlockedFS takes no locks: a read-only store writes no file.
type unlockedFS struct{ vfs.FS }

// Lock implements vfs.FS.
func (unlockedFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Unwrap implements vfs.FS.
func (u unlockedFS) Unwrap() vfs.FS { return u.FS }
