//go:build !unix

package cli

import (
	"os"
	"syscall"
)

// hangup is a signal that never comes here.
var hangup = []os.Signal{syscall.Signal(1)}
