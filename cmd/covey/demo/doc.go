// Package demo runs a cluster of real processes on this machine, for trying
// things out.
//
// Run starts the nodes as children of the same binary, waits until they serve,
// makes a bucket, prints lines to paste, and then shows one line of status
// until its context ends. A child that dies is started again after a pause.
// Children end with their parent, however it ends: they watch a pipe from it,
// and on Linux the kernel signals them too.
//
// It never listens beyond loopback, and it deletes only a folder that it made
// itself.
package demo
