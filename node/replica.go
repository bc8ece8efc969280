package node

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/node/checkpoint"
)

// replica is the state machine as Raft sees it.
type replica struct {
	m    *fsm.Machine
	fail func(error)              // stops the node
	done atomic.Pointer[position] // the last entry applied
	size logSize                  // of the log that was applied
	seen *meters

	trace *trace // nil: nobody wants to know

	broken error // after it nothing is applied any more; only Raft's FSM goroutine looks
}

var _ raft.BatchingFSM = (*replica)(nil)

// Apply implements raft.FSM; Raft uses ApplyBatch instead.
func (r *replica) Apply(log *raft.Log) any { return r.ApplyBatch([]*raft.Log{log})[0] }

// ApplyBatch implements raft.BatchingFSM. The response to a command entry is
// its []command.Result, or an error.
func (r *replica) ApplyBatch(logs []*raft.Log) []any {
	responses := make([]any, len(logs))
	entries := make([]fsm.Entry, 0, len(logs))
	bytes := 0
	for _, log := range logs {
		bytes += len(log.Data)
		if log.Type == raft.LogCommand {
			entries = append(entries, fsm.Entry{Index: log.Index, Data: log.Data})
		}
	}
	var results [][]command.Result
	if len(entries) > 0 && r.broken == nil {
		began := time.Now()
		if results, r.broken = r.m.Apply(entries); r.broken != nil {
			r.fail(fmt.Errorf("the state machine cannot go on: %w", r.broken))
		}
		since(r.seen.apply, began)
		r.trace.applied(logs, began, time.Now())
	}
	last := logs[len(logs)-1]
	r.size.add(last.Index, bytes)
	if r.broken == nil {
		r.done.Store(&position{last.Index, last.Term})
	}
	i := 0
	for k, log := range logs {
		if log.Type != raft.LogCommand {
			continue
		}
		if r.broken != nil {
			responses[k] = r.broken
			continue
		}
		responses[k] = results[i]
		i++
	}
	return responses
}

// Snapshot implements raft.FSM. It costs nothing here: the checkpoint is made
// by Persist, beside further entries. It may stand later than the index that
// Raft gives it, which is well: the machine skips what it has applied.
func (r *replica) Snapshot() (raft.FSMSnapshot, error) {
	if r.broken != nil {
		return nil, r.broken
	}
	return picture{r.m, r.seen.snapshots}, nil
}

// Restore implements raft.FSM: it installs a stream that the leader sent.
func (r *replica) Restore(stream io.ReadCloser) error {
	if r.broken != nil {
		return errors.Join(r.broken, stream.Close())
	}
	began := time.Now()
	return r.seen.restores.record(began, errors.Join(r.m.Restore(stream), stream.Close()))
}

// position is the last entry applied since the start; zero before the first.
func (r *replica) position() position {
	if p := r.done.Load(); p != nil {
		return *p
	}
	return position{}
}

// picture is a snapshot on its way to disk.
type picture struct {
	m    *fsm.Machine
	seen timed
}

func (p picture) Persist(sink raft.SnapshotSink) error {
	k, ok := sink.(*checkpoint.Sink)
	if !ok {
		return errors.Join(fmt.Errorf("a snapshot into a foreign sink %T", sink), sink.Cancel())
	}
	began := time.Now()
	if err := k.Checkpoint(p.m.Checkpoint); err != nil {
		return p.seen.record(began, errors.Join(err, k.Cancel()))
	}
	return p.seen.record(began, k.Close())
}

func (picture) Release() {}
