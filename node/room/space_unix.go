//go:build linux || darwin

package room

import "syscall"

// Of asks for the file system that dir is on; false if it does not tell.
func Of(dir string) (Space, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return Space{}, false
	}
	return Space{Free: int64(st.Bavail) * int64(st.Bsize), Total: int64(st.Blocks) * int64(st.Bsize)}, true
}
