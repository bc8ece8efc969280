package node

import "golang.org/x/sync/semaphore"

// LargeBytes is what large commands on their way may take together.
const LargeBytes, LargeCommand = largeBytes, largeCommand

// Large holds the bytes of large commands on their way.
func (n *Node) Large() *semaphore.Weighted { return n.large }
