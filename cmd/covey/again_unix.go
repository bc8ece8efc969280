//go:build unix

package main

import (
	"os"
	"syscall"
)

// again runs this binary in place of this process. It returns only if it could
// not.
func again(args, environ []string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(exe, append([]string{"covey"}, args...), environ)
}
