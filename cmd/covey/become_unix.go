//go:build unix

package main

import "syscall"

// become runs a command in place of this process, which so gets its signals, its
// terminal and its place in the process group, and leaves its exit code to who
// waits. It returns only if it could not.
func become(path string, argv, environ []string) (int, error) {
	return 0, syscall.Exec(path, argv, environ)
}
