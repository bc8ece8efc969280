//go:build linux || darwin

package doctor

import "golang.org/x/sys/unix"

// openFilesLimit is that of this process, 0 when it is unknown.
func openFilesLimit() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return l.Cur
}
