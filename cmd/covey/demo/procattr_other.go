//go:build !unix

package demo

import "syscall"

// procAttr has nothing to ask for here; children watch their stdin.
func procAttr() *syscall.SysProcAttr { return nil }
