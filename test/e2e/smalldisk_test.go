//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

const mib = 1 << 20

// smallDisk is a file system in memory of so many bytes.
type smallDisk struct {
	t   testing.TB
	dir string
}

// newSmallDisk mounts one, or skips the test where that cannot be done.
func newSmallDisk(t testing.TB, bytes int64) *smallDisk {
	t.Helper()
	d := &smallDisk{t, t.TempDir()}
	if err := syscall.Mount("covey-test", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// resize makes the file system larger or smaller.
func (d *smallDisk) resize(bytes int64) {
	d.t.Helper()
	if err := syscall.Mount("covey-test", d.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", bytes)); err != nil {
		d.t.Fatal(err)
	}
}

// free is what is left on it.
func (d *smallDisk) free() int64 {
	d.t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &st); err != nil {
		d.t.Fatal(err)
	}
	return int64(st.Bavail) * int64(st.Bsize)
}

// leave lets something else fill the disk, but for so many bytes.
func (d *smallDisk) leave(bytes int64) {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.dir, "other"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		d.t.Fatal(err)
	}
	size := info.Size() + d.free() - bytes
	if err := f.Truncate(min(size, info.Size())); err != nil {
		d.t.Fatal(err)
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, max(size, 1)); err != nil {
		d.t.Fatal(err)
	}
}

// empty removes what leave has put there.
func (d *smallDisk) empty() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.dir, "other")); err != nil {
		d.t.Fatal(err)
	}
}
