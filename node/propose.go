package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

const (
	entriesInFlight = 2         // entries between the queue and their results
	entryCommands   = 4096      // commands of one entry at the most
	queueBytes      = 128 << 20 // of commands that wait for a place in an entry
	enqueueTimeout  = 5 * time.Second
)

// proposal is one encoded command that wants into the log. answer is called
// once, from any goroutine; it must not block.
type proposal struct {
	command []byte
	answer  func(command.Result, error)
}

// queued is a proposal that waits since then.
type queued struct {
	proposal
	since time.Time
}

// proposer is the leader's way into the log: it gathers the commands that wait
// while earlier entries are in flight into one entry (group commit), so that
// the fsyncs and round trips of an entry are shared by all of them.
type proposer struct {
	apply func(entry []byte) raft.ApplyFuture
	now   func() int64
	seen  *meters
	done  func(index uint64, commands int, queued time.Time) // of each entry that was committed; nil: nobody

	mu     sync.Mutex
	queue  []queued
	bytes  int
	closed bool

	kick  chan struct{} // capacity 1: the queue is not empty
	slots chan struct{} // one for each entry in flight
	large chan struct{} // one: large commands are chunked one at a time
	wg    sync.WaitGroup
}

func newProposer(apply func([]byte) raft.ApplyFuture, now func() int64, seen *meters) *proposer {
	return &proposer{
		apply: apply, now: now, seen: seen,
		kick:  make(chan struct{}, 1),
		slots: make(chan struct{}, entriesInFlight),
		large: make(chan struct{}, 1),
	}
}

// add queues p, whose command must have been checked. An error means that it
// was not queued and that answer will not be called.
func (p *proposer) add(x proposal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return errs.E(errs.Unavailable, "this node is stopping")
	case p.bytes+len(x.command) > queueBytes && len(p.queue) > 0:
		return errs.E(errs.Unavailable, "the leader has %d writes waiting and takes no more", len(p.queue))
	}
	p.queue = append(p.queue, queued{x, time.Now()})
	p.bytes += len(x.command)
	select {
	case p.kick <- struct{}{}:
	default:
	}
	return nil
}

// take removes from the queue what goes into one entry.
func (p *proposer) take() []queued {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, 0
	for n < len(p.queue) && n < entryCommands {
		size += len(p.queue[n].command)
		if n > 0 && size > command.ChunkBytes {
			break
		}
		n++
	}
	batch := p.queue[:n:n]
	p.queue = p.queue[n:]
	if len(p.queue) == 0 {
		p.queue = nil
	}
	for i := range batch {
		p.bytes -= len(batch[i].command)
	}
	return batch
}

// waiting is how many commands are queued, and their bytes.
func (p *proposer) waiting() (commands, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue), p.bytes
}

// run proposes what is queued until ctx ends; then it refuses what is left.
func (p *proposer) run(ctx context.Context) {
	defer p.drain()
	for {
		select {
		case <-p.kick:
		case <-ctx.Done():
			return
		}
		for {
			select {
			case p.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			batch := p.take()
			if len(batch) == 0 {
				<-p.slots
				break
			}
			p.submit(batch)
		}
	}
}

// submit puts batch into the log and gives the slot back when its result is
// known. A command too large for one entry leaves the line.
func (p *proposer) submit(batch []queued) {
	since(p.seen.queue, batch[0].since)
	if len(batch) == 1 && len(batch[0].command) > command.ChunkBytes {
		<-p.slots
		p.wg.Go(func() { p.submitLarge(batch[0].proposal) })
		return
	}
	commands := make([][]byte, len(batch))
	size := 64
	for i := range batch {
		commands[i] = batch[i].command
		size += len(commands[i]) + 5
	}
	p.seen.entry(len(batch))
	began := time.Now()
	future := p.apply(command.AppendEntry(make([]byte, 0, size), p.now(), commands...))
	p.wg.Go(func() {
		results, err := resultsOf(future)
		<-p.slots
		if err == nil {
			since(p.seen.entryCommit, began)
			p.tell(future, len(batch), batch[0].since)
		}
		for i := range batch {
			if err != nil {
				batch[i].answer(command.Result{}, err)
			} else {
				batch[i].answer(results[i], nil)
			}
		}
	})
}

// submitLarge puts one command into the log in pieces. Each waits for the one
// before, so that heartbeats and other writes find room between them.
func (p *proposer) submitLarge(x proposal) {
	p.large <- struct{}{}
	defer func() { <-p.large }()
	sum := sha256.Sum256(x.command)
	c := command.Chunk{Set: command.ID(sum[:16]), Total: uint64((len(x.command) + command.ChunkBytes - 1) / command.ChunkBytes)}
	for rest := x.command; ; c.Seq++ {
		c.Data = rest[:min(len(rest), command.ChunkBytes)]
		rest = rest[len(c.Data):]
		p.seen.entry(1)
		began := time.Now()
		future := p.apply(command.AppendChunk(nil, p.now(), c))
		results, err := resultsOf(future)
		if err == nil {
			since(p.seen.entryCommit, began)
			p.tell(future, 1, began)
		}
		if err != nil && len(rest) > 0 {
			// Without the last piece the command has no effect.
			err = errs.E(errs.Unavailable, "piece %d of %d of a large write: %w", c.Seq+1, c.Total, err)
		}
		switch {
		case err != nil:
			x.answer(command.Result{}, err)
			return
		case len(rest) == 0:
			x.answer(results[0], nil)
			return
		}
	}
}

// tell tells of an entry that was committed.
func (p *proposer) tell(f raft.ApplyFuture, commands int, queued time.Time) {
	if p.done != nil {
		p.done(f.Index(), commands, queued)
	}
}

// drain refuses what was never put into the log and waits for what was.
func (p *proposer) drain() {
	p.mu.Lock()
	left := p.queue
	p.queue, p.closed = nil, true
	p.mu.Unlock()
	for i := range left {
		left[i].answer(command.Result{}, errs.E(errs.Unavailable, "this node is stopping"))
	}
	p.wg.Wait()
}

// resultsOf waits for an entry's results and sorts its failure into the two
// classes that matter: certainly not in the log, and unknown.
func resultsOf(f raft.ApplyFuture) ([]command.Result, error) {
	if err := f.Error(); err != nil {
		for _, never := range []error{raft.ErrNotLeader, raft.ErrEnqueueTimeout, raft.ErrLeadershipTransferInProgress} {
			if errors.Is(err, never) {
				return nil, errs.E(errs.Unavailable, "not put into the log: %w", err)
			}
		}
		return nil, errs.E(errs.Unknown, "the log did not confirm the write: %w", err)
	}
	switch r := f.Response().(type) {
	case []command.Result:
		return r, nil
	case error:
		return nil, errs.E(errs.Unknown, "the write is in the log but could not be applied: %w", r)
	}
	return nil, errs.E(errs.Internal, "the log answered with a %T", f.Response())
}
