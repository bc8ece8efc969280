package node

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster/events"
)

// traced is how many entries a trace knows of: more than can be in flight.
const traced = 256

// trace remembers of the last entries when they were on this node's disk and when
// they were applied, to tell of a slow write where its time went. Safe for
// concurrent use; a nil one takes what it is told and forgets it.
type trace struct {
	mu    sync.Mutex
	marks [traced]mark // of index i at i % traced
}

type mark struct {
	index                  uint64
	writeBegan, writeEnded time.Time
	applyBegan, applyEnded time.Time
}

// at returns the mark of an index. The caller holds t.mu.
func (t *trace) at(index uint64) *mark {
	m := &t.marks[index%traced]
	if m.index != index {
		*m = mark{index: index}
	}
	return m
}

func (t *trace) wrote(logs []*raft.Log, began, ended time.Time) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, log := range logs {
		m := t.at(log.Index)
		m.writeBegan, m.writeEnded = began, ended
	}
}

func (t *trace) applied(logs []*raft.Log, began, ended time.Time) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, log := range logs {
		m := t.at(log.Index)
		m.applyBegan, m.applyEnded = began, ended
	}
}

// parts says where the time of the entry at index went, which waited since
// queued and was answered at done. What the trace does not know of counts as
// waiting for the network.
func (t *trace) parts(index uint64, queued, done time.Time) events.Parts {
	t.mu.Lock()
	m := *t.at(index)
	t.mu.Unlock()
	p := events.Parts{Total: millis(done.Sub(queued))}
	if !m.writeEnded.IsZero() {
		p.Queue = millis(m.writeBegan.Sub(queued))
		p.Fsync = millis(m.writeEnded.Sub(m.writeBegan))
	}
	if !m.applyEnded.IsZero() {
		p.Apply = millis(m.applyEnded.Sub(m.applyBegan))
	}
	p.Network = max(0, p.Total-p.Queue-p.Fsync-p.Apply)
	return p
}

func millis(d time.Duration) float64 { return max(0, float64(d.Microseconds())/1000) }

// tracedLog tells a trace what was written when.
type tracedLog struct {
	meteredLog
	trace *trace
}

// StoreLog implements raft.LogStore.
func (l tracedLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore.
func (l tracedLog) StoreLogs(logs []*raft.Log) error {
	began := time.Now()
	err := l.meteredLog.StoreLogs(logs)
	if err == nil {
		l.trace.wrote(logs, began, time.Now())
	}
	return err
}

// tellSlowWrite adds an event if an entry that waited since queued took long.
func (n *Node) tellSlowWrite(index uint64, commands int, queued time.Time) {
	done := time.Now()
	if done.Sub(queued) < slowWrite {
		return
	}
	p := n.trace.parts(index, queued, done)
	n.Note(events.Event{Kind: events.SlowWrite, Parts: &p, Text: fmt.Sprintf("an entry with %d writes took %.0f ms", commands, p.Total)})
}
