package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/folder"
	"github.com/coveydb/covey/node/room"
)

// readFolder asks a data folder whose it is, and whether its node may start.
func readFolder(dir, id string) (f Folder) {
	if dir == "" {
		return Folder{Err: errNotAsked}
	}
	kept, err := folder.Read(dir)
	if errs.Is(err, errs.NotFound) {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = errs.E(errs.Invalid, "data folder %s is not a folder", dir)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return Folder{Empty: true, Err: err}
	}
	if err != nil {
		return Folder{Err: err}
	}
	f.NodeID, f.ClusterID = kept.NodeID(), kept.ClusterID().String()
	if id == "" {
		id = f.NodeID
	}
	_, err = os.Stat(kept.Path(filepath.Join("peer", "gossip.json")))
	f.KeepsGossip = err == nil
	_, f.Err = folder.Open(dir, id) // changes nothing where node.json is
	return f
}

// standing returns dir, or the nearest folder above it that exists.
func standing(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "."
	}
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func readDisk(dir string) Disk {
	if dir == "" {
		return Disk{}
	}
	space, ok := room.Of(standing(dir))
	return Disk{Space: space, Known: ok}
}

// probeFsync writes a small file some times and makes each write durable, as
// the log does.
func probeFsync(ctx context.Context, dir string) (f Fsync) {
	if dir == "" {
		return Fsync{Err: errNotAsked}
	}
	file, err := os.CreateTemp(standing(dir), ".covey-doctor-*")
	if err != nil {
		return Fsync{Err: err}
	}
	defer os.Remove(file.Name())
	defer file.Close()
	block := make([]byte, 4<<10)
	var took []time.Duration
	for range fsyncProbes {
		if ctx.Err() != nil {
			return Fsync{Err: ctx.Err()}
		}
		began := time.Now()
		if _, err := file.Write(block); err != nil {
			return Fsync{Err: err}
		}
		if err := file.Sync(); err != nil {
			return Fsync{Err: err}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return Fsync{Median: took[len(took)/2], Worst: took[len(took)-1]}
}

func readMode(f File) Mode {
	info, err := os.Stat(f.Path)
	if err != nil {
		return Mode{File: f, Err: err}
	}
	return Mode{File: f, Perm: uint32(info.Mode().Perm())}
}
