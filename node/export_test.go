package node

import "golang.org/x/sync/semaphore"

// LargeBytes is what large commands on their way may take together.
const LargeBytes, LargeCommand = largeBytes, largeCommand

// Large holds the bytes of large commands on their way.
func (n *Node) Large() *semaphore.Weighted { return n.large }

// BeforeParts has f called before each part of a restore goes into the log. It is
// set before the restore begins.
func (n *Node) BeforeParts(f func(part uint64)) { n.archive.before = f }
