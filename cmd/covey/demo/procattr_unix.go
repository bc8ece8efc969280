//go:build unix && !linux

package demo

import "syscall"

// procAttr puts a child into a process group of its own, so that Ctrl-C in the
// terminal reaches only the parent, which stops the children in its own way.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
