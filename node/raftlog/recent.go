package raftlog

import (
	"sync"

	"github.com/hashicorp/raft"
)

// What stays in memory of the log's end, for followers that are a little behind
// and for the state machine, which gets entries from the log.
const (
	recentEntries = 512
	recentBytes   = 16 << 20 // of data; the newest entry stays whatever it takes
)

// recentLog keeps the newest entries of a log store in memory. Unlike Raft's
// LogCache it is bounded by bytes too: 512 entries of bulk data would be a
// quarter of a GiB.
type recentLog struct {
	raft.LogStore

	mu      sync.RWMutex
	entries []*raft.Log // by index mod len
	first   uint64      // the oldest index that is kept
	next    uint64      // the index after the newest; nothing is kept if it is first
	bytes   int
}

func newRecentLog(below raft.LogStore) *recentLog {
	return &recentLog{LogStore: below, entries: make([]*raft.Log, recentEntries)}
}

// IsMonotonic forwards what Raft asks of the store below.
func (l *recentLog) IsMonotonic() bool {
	m, ok := l.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// GetLog implements raft.LogStore.
func (l *recentLog) GetLog(index uint64, log *raft.Log) error {
	l.mu.RLock()
	kept := l.first <= index && index < l.next
	if kept {
		*log = *l.entries[index%recentEntries]
	}
	l.mu.RUnlock()
	if kept {
		return nil
	}
	return l.LogStore.GetLog(index, log)
}

// StoreLog implements raft.LogStore.
func (l *recentLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore. What could not be stored is not kept.
func (l *recentLog) StoreLogs(logs []*raft.Log) error {
	if err := l.LogStore.StoreLogs(logs); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, log := range logs {
		if log.Index != l.next {
			l.clear(log.Index)
		}
		if l.next-l.first == recentEntries {
			l.dropFirst()
		}
		l.entries[log.Index%recentEntries] = log
		l.bytes += len(log.Data)
		l.next++
	}
	for l.bytes > recentBytes && l.next-l.first > 1 {
		l.dropFirst()
	}
	return nil
}

// DeleteRange implements raft.LogStore.
func (l *recentLog) DeleteRange(min, max uint64) error {
	l.mu.Lock()
	if max >= l.first && min < l.next {
		l.clear(0)
	}
	l.mu.Unlock()
	return l.LogStore.DeleteRange(min, max)
}

func (l *recentLog) dropFirst() {
	at := l.first % recentEntries
	l.bytes -= len(l.entries[at].Data)
	l.entries[at] = nil
	l.first++
}

// clear forgets all; what comes next begins at index.
func (l *recentLog) clear(index uint64) {
	clear(l.entries)
	l.first, l.next, l.bytes = index, index, 0
}
