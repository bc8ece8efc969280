//go:build unix

package seal

import (
	"os"
	"syscall"
)

// keepOwner gives the file at path the owner of the one that it is to replace.
// Only root can change what is another's and then has to: the nodes that run as
// that user could not read their keyring any more.
func keepOwner(path, of string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(of)
	if err != nil {
		return err
	}
	was, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return os.Chown(path, int(was.Uid), int(was.Gid))
}
