//go:build linux || darwin

package node

import (
	"io/fs"
	"syscall"
)

// onDisk is which file info is of and what it takes on disk, which is less than
// its size where it has holes.
func onDisk(info fs.FileInfo) (fileID, int64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, info.Size()
	}
	return fileID{uint64(st.Dev), st.Ino}, st.Blocks * 512
}
