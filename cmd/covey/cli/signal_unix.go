//go:build unix

package cli

import (
	"os"
	"syscall"
)

// hangup is the signal that asks to read settings again.
var hangup = []os.Signal{syscall.SIGHUP}
