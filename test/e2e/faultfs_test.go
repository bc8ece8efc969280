//go:build linux

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// faultyDisk is a folder that passes everything through to another one, but for
// its fsyncs, which hang or fail as told.
type faultyDisk struct {
	dir    string
	hang   atomic.Pointer[chan struct{}] // fsyncs wait until it closes
	broken atomic.Bool                   // fsyncs are EIO
	hung   atomic.Int64                  // fsyncs that waited so far
}

// newFaultyDisk mounts one, or skips the test where that cannot be done.
func newFaultyDisk(t *testing.T) *faultyDisk {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no FUSE here: ", err)
	}
	d := &faultyDisk{dir: t.TempDir()}
	root, err := fs.NewLoopbackRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	loopback, ok := root.(*fs.LoopbackNode)
	if !ok {
		t.Fatalf("the root is a %T", root)
	}
	second := time.Second
	top := &faultyNode{loopback, d}
	loopback.RootData.RootNode = top
	server, err := fs.Mount(d.dir, top, &fs.Options{AttrTimeout: &second, EntryTimeout: &second,
		MountOptions: fuse.MountOptions{DirectMount: os.Geteuid() == 0, FsName: "faulty", Name: "covey-test"}})
	if err != nil {
		t.Skip("FUSE does not mount here: ", err)
	}
	t.Cleanup(func() {
		d.heal()
		if err := server.Unmount(); err != nil {
			_ = syscall.Unmount(d.dir, syscall.MNT_DETACH)
		}
	})
	return d
}

// path is a folder on the disk.
func (d *faultyDisk) path(name string) string { return filepath.Join(d.dir, name) }

// stall makes every fsync from now on wait until the returned function is called.
func (d *faultyDisk) stall() (end func()) {
	c := make(chan struct{})
	d.hang.Store(&c)
	return d.heal
}

// heal makes the disk a good one.
func (d *faultyDisk) heal() {
	d.broken.Store(false)
	if c := d.hang.Swap(nil); c != nil {
		close(*c)
	}
}

func (d *faultyDisk) fsync(cancel <-chan struct{}) syscall.Errno {
	if c := d.hang.Load(); c != nil {
		d.hung.Add(1)
		select {
		case <-*c:
		case <-cancel: // its process is being killed
			return syscall.EINTR
		}
	}
	if d.broken.Load() {
		return syscall.EIO
	}
	return 0
}

// faultyNode is a file or folder of a faultyDisk.
type faultyNode struct {
	*fs.LoopbackNode
	disk *faultyDisk
}

var (
	_ fs.NodeWrapChilder = (*faultyNode)(nil)
	_ fs.NodeFsyncer     = (*faultyNode)(nil)
)

func (n *faultyNode) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	if l, ok := ops.(*fs.LoopbackNode); ok {
		return &faultyNode{l, n.disk}
	}
	return ops
}

// Fsync is that of files.
func (n *faultyNode) Fsync(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	if errno := n.disk.fsync(ctx.Done()); errno != 0 {
		return errno
	}
	if s, ok := f.(fs.FileFsyncer); ok {
		return s.Fsync(ctx, flags)
	}
	return 0
}
