//go:build linux || darwin

package raftlog

import "syscall"

// freeBytes returns the space that is left to us on the file system of dir, and
// whether it could be asked.
func freeBytes(dir string) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
