package raftlog

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/coveydb/covey/internal/errs"
)

const (
	ballastFile = "ballast"
	probeFile   = "probe"
	probeSize   = 4 << 10
)

// disk minds the file system below the stores: a probe that tells whether it
// still answers, and a ballast that is given up when it is full.
type disk struct {
	o    Options
	log  *slog.Logger
	file *os.File // the probe, written in full once so that it needs no space later
	free func(dir string) (int64, bool)

	mu      sync.Mutex
	ballast bool // the ballast file is there
	full    bool
	crammed bool
}

func openDisk(o Options) (*disk, error) {
	f, err := os.OpenFile(filepath.Join(o.Dir, probeFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, storeError("open the probe file", err)
	}
	d := &disk{o: o, log: o.Logger, file: f, free: freeBytes}
	if err := d.probe(); err != nil {
		return nil, errors.Join(storeError("write the probe file", err), f.Close())
	}
	info, err := os.Stat(d.path())
	d.ballast = err == nil && info.Size() == o.Ballast
	if err := d.mind(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return d, nil
}

func (d *disk) path() string { return filepath.Join(d.o.Dir, ballastFile) }

// Close closes the probe. The ballast stays for the next start.
func (d *disk) Close() error { return d.file.Close() }

// probe writes the probe file and returns once the disk has it.
func (d *disk) probe() error {
	if _, err := d.file.WriteAt(make([]byte, probeSize), 0); err != nil {
		return err
	}
	return d.file.Sync()
}

func (d *disk) isFull() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

func (d *disk) isCrammed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crammed
}

// giveUpBallast frees the ballast's space, and reports whether there was any.
func (d *disk) giveUpBallast() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ballast {
		return false
	}
	if err := os.Remove(d.path()); err != nil {
		d.log.Error("ballast of the raft log is not given up", "err", err)
		return false
	}
	d.ballast, d.crammed = false, true
	d.setFull(true)
	return true
}

// mind makes the ballast anew when there is space for it, and sets full. An
// error says that the disk is broken: an fsync failed.
func (d *disk) mind() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	reserve := max(d.o.Reserve, 0)
	free, known := d.free(d.o.Dir)
	// The space that giving the ballast up has freed is no reason to take it
	// back: beyond the ballast the reserve must be there.
	if !d.ballast && (!known || free >= reserve+d.o.Ballast) {
		if err := d.makeBallast(); unsynced(err) {
			return err
		} else if err != nil {
			d.log.Warn("no ballast for the raft log", "dir", d.o.Dir, "err", err)
		} else {
			d.ballast = true
			free -= d.o.Ballast
		}
	}
	d.setFull(!d.ballast || known && free < reserve)
	d.crammed = !d.ballast || reserve > 0 && known && free < int64(d.o.SegmentSize)+d.o.Ballast
	return nil
}

func (d *disk) setFull(full bool) {
	if full == d.full {
		return
	}
	d.full = full
	if full {
		d.log.Error("disk is almost full: writes are refused until there is space", "dir", d.o.Dir, "reserve_bytes", d.o.Reserve)
	} else {
		d.log.Info("disk has space again", "dir", d.o.Dir)
	}
}

// makeBallast fills the file with bytes that no file system can compress.
func (d *disk) makeBallast() (err error) {
	tmp := d.path() + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return errs.E(errs.Internal, "make the ballast: %w", err)
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), d.o.Ballast)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, d.path())
	}
	if err != nil {
		if rmErr := os.Remove(tmp); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
		return storeError("make the ballast", err)
	}
	return nil
}
