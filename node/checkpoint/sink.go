package checkpoint

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/coveydb/covey/internal/errs"
)

const (
	dataDir    = "data"
	streamFile = "stream"
)

// Sink takes one snapshot, either by Checkpoint or by Write, and not both. It is
// a raft.SnapshotSink; like every sink it is used by one goroutine.
type Sink struct {
	store *Store
	snap  *snapshot
	dir   string

	file   *os.File // of the stream, from the first Write on
	buf    *bufio.Writer
	failed error // by a Checkpoint or Write that did not succeed
	ended  bool
}

// ID returns the id under which the snapshot can be opened once it is closed.
func (k *Sink) ID() string { return k.snap.meta.ID }

// Checkpoint lets take make a checkpoint of the store in dir, which does not
// exist yet. When take returns, all that is below dir must be on disk.
func (k *Sink) Checkpoint(take func(dir string) error) error {
	if k.ended || k.failed != nil || k.snap.kind != "" {
		return errs.E(errs.Internal, "snapshot %s: a checkpoint into a sink in use", k.ID())
	}
	k.snap.kind = kindCheckpoint
	dir := filepath.Join(k.dir, dataDir)
	if k.failed = take(dir); k.failed != nil {
		return k.store.tell(k.failed)
	}
	if k.failed = syncDir(dir); k.failed != nil {
		return k.store.tell(k.failed)
	}
	k.snap.meta.Size, k.failed = diskSize(dir)
	return k.failed
}

// Write appends to the snapshot's stream.
func (k *Sink) Write(p []byte) (int, error) {
	if k.failed != nil {
		return 0, k.failed
	}
	if k.ended || k.snap.kind == kindCheckpoint {
		return 0, errs.E(errs.Internal, "snapshot %s: a write into a sink in use", k.ID())
	}
	if k.file == nil {
		k.snap.kind = kindStream
		f, err := os.OpenFile(filepath.Join(k.dir, streamFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			k.failed = storeError("begin a stream", err)
			return 0, k.failed
		}
		k.file, k.buf = f, bufio.NewWriterSize(f, 256<<10)
	}
	n, err := k.buf.Write(p)
	k.snap.meta.Size += int64(n)
	if err != nil {
		k.failed = k.store.tell(storeError("write snapshot "+k.ID(), err))
	}
	return n, k.failed
}

// Close publishes the snapshot when all of it is on disk and, if it is a stream,
// Verify has found it whole. After an error nothing of it is left. A second
// Close does nothing.
func (k *Sink) Close() error {
	if k.ended {
		return nil
	}
	k.ended = true
	err := k.finish()
	if err == nil {
		err = k.store.publish(k.dir, k.snap)
	}
	if err != nil {
		return errors.Join(k.store.tell(err), k.discard())
	}
	return nil
}

// Cancel removes the snapshot. After Close it does nothing.
func (k *Sink) Cancel() error {
	if k.ended {
		return nil
	}
	k.ended = true
	if k.file != nil {
		// The file is about to be removed; what it lacks does not matter.
		_ = k.file.Close()
	}
	return k.discard()
}

func (k *Sink) finish() error {
	if k.file != nil {
		err := k.finishStream()
		if closeErr := k.file.Close(); err == nil && closeErr != nil {
			err = storeError("close snapshot "+k.ID(), closeErr)
		}
		if err != nil {
			return err
		}
	}
	if k.failed != nil {
		return k.failed
	}
	if k.snap.meta.Size == 0 {
		return errs.E(errs.Internal, "snapshot %s is empty", k.ID())
	}
	return writeSnapshot(k.dir, k.snap)
}

func (k *Sink) finishStream() error {
	if k.failed != nil {
		return k.failed
	}
	if err := errors.Join(k.buf.Flush(), k.file.Sync()); err != nil {
		return storeError("write snapshot "+k.ID(), err)
	}
	if _, err := k.file.Seek(0, 0); err != nil {
		return storeError("read back snapshot "+k.ID(), err)
	}
	if err := k.store.o.Verify(bufio.NewReaderSize(k.file, 256<<10)); err != nil {
		return errs.E(errs.Invalid, "snapshot %s: %w", k.ID(), err)
	}
	return nil
}

func (k *Sink) discard() error {
	if err := os.RemoveAll(k.dir); err != nil {
		return storeError("remove snapshot "+k.ID(), err)
	}
	return nil
}

// diskSize adds up the files below dir.
func diskSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, storeError("measure a checkpoint", err)
	}
	return size, nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return storeError("sync folder", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return storeError("sync folder "+dir, err)
	}
	return nil
}

// storeError gives an error of the file system its kind.
func storeError(what string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errs.E(errs.NoSpace, "snapshots: %s: the disk is full: %w", what, err)
	}
	return errs.E(errs.Internal, "snapshots: %s: %w", what, err)
}
