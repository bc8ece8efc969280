package node

import (
	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"
)

// LargeBytes is what large commands on their way may take together.
const LargeBytes, LargeCommand = largeBytes, largeCommand

// Large holds the bytes of large commands on their way.
func (n *Node) Large() *semaphore.Weighted { return n.large }

// BeforeParts has f called before each part of a restore goes into the log. It is
// set before the restore begins.
func (n *Node) BeforeParts(f func(part uint64)) { n.archive.before = f }

// Blank reports whether this node began with nothing and has not caught up.
func (n *Node) Blank() bool { return n.blank.Load() }

// SetBlank has it be so from now on, in memory only.
func (n *Node) SetBlank(blank bool) { n.blank.Store(blank) }

// FirstIndex is the index of the first entry in this node's log.
func (n *Node) FirstIndex() (uint64, error) { return n.logs.Log.FirstIndex() }

// LargestEntry is how many bytes the largest entry in this node's log has.
func (n *Node) LargestEntry() (largest int, err error) {
	first, err := n.logs.Log.FirstIndex()
	if err != nil {
		return 0, err
	}
	last, err := n.logs.Log.LastIndex()
	for i := first; i <= last && err == nil; i++ {
		var entry raft.Log
		if err = n.logs.Log.GetLog(i, &entry); err == nil {
			largest = max(largest, len(entry.Data))
		}
	}
	return largest, err
}

// HoldTransfers keeps the lead from being handed over until done is called, as a
// transfer under way does.
func (n *Node) HoldTransfers() (done func()) {
	c := n.consensus.Load()
	c.moving <- struct{}{}
	return func() { <-c.moving }
}
