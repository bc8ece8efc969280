package node

import (
	"context"
	"errors"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Close stops the node: it hands the lead to another member, if it has it,
// leaves the gossip, and closes its data, flushed, so that the next start has
// nothing to replay. ctx bounds the handing over, not the closing; only a node
// that has failed gives up after some seconds. Only the first call does it; all
// return the same.
func (n *Node) Close(ctx context.Context) error {
	n.closing.Do(func() {
		n.handOver(ctx)
		n.closed = n.releaseOrGiveUp()
	})
	return n.closed
}

// failedClose is how long a node that has failed takes to close at the most.
const failedClose = 5 * time.Second

// releaseOrGiveUp is release, but does not wait for ever for what may have made
// the node fail, such as a disk that never answers: the process shall end.
func (n *Node) releaseOrGiveUp() error {
	done := make(chan error, 1)
	go func() { done <- n.release() }()
	select {
	case err := <-done:
		return err
	case <-n.failed:
	}
	limit := time.NewTimer(failedClose)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return errs.E(errs.Unavailable, "what failed does not let this node close within %v: end its process", failedClose)
	}
}

// handOver lets another member lead before this one goes, so that writes wait
// for milliseconds and not for an election time-out.
func (n *Node) handOver(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*n.cfg.Heartbeat)
	defer cancel()
	if err := n.giveUpLead(ctx); err != nil {
		n.log.Warn("the lead could not be handed over", "err", err)
	}
}

// release closes all that is open, in the reverse order of opening.
func (n *Node) release() error {
	n.cancel()
	n.forming.Wait() // after it nobody starts Raft
	var all []error
	if n.gossip != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		all = append(all, ignore(n.gossip.Leave(ctx), errs.Unavailable), n.gossip.Close())
		cancel()
	}
	if c := n.consensus.Load(); c != nil {
		all = append(all, n.stopConsensus(c))
	}
	n.wg.Wait()
	if n.transport != nil {
		all = append(all, n.transport.Close())
	}
	if n.machine != nil {
		n.machine.Close()
	}
	if n.logs != nil {
		all = append(all, n.logs.Close())
	}
	if n.db != nil {
		if n.Err() == nil {
			all = append(all, n.db.Flush(), n.db.Close())
		} else {
			all = append(all, ignore(n.db.Abandon(), errs.Unavailable))
		}
	}
	return errors.Join(all...)
}

func ignore(err error, k errs.Kind) error {
	if errs.Is(err, k) {
		return nil
	}
	return err
}
