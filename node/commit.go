package node

import (
	"context"
	"fmt"
	"time"

	"github.com/coveydb/covey/cluster/events"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/transport"
)

const (
	commitLimit = 30 * time.Second      // of a Commit whose context has no deadline
	retryEvery  = 30 * time.Millisecond // between tries while nothing changes

	// Large commands take turns: those of a node on their way together are no
	// more bytes than the largest one may be. A leader that gets more at once
	// is too busy for heartbeats.
	largeCommand = 256 << 10
	largeBytes   = command.MaxBytes
)

// Commit implements kv.Backend. It sends cmd to the leader, whoever that is,
// and again to the next one if the answer stays out: the state machine applies
// a command id once, so resending is safe. When ctx ends first, the error says
// whether cmd can have reached a log: errs.Unavailable or errs.Unknown.
func (n *Node) Commit(ctx context.Context, cmd *command.Command) (command.Result, error) {
	if err := cmd.Check(); err != nil {
		return command.Result{}, err
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, commitLimit)
		defer cancel()
	}
	ctx, cancel := n.whileAlive(ctx)
	defer cancel()
	if size := int64(cmd.Size()); size >= largeCommand {
		if err := n.large.Acquire(ctx, size); err != nil {
			return command.Result{}, errs.E(errs.Unavailable, "the write was not applied: other large writes took all the time")
		}
		defer n.large.Release(size)
	}
	began := time.Now()
	encoded := cmd.Append(make([]byte, 0, cmd.Size()))
	sent := false // some try may have reached a log
	for {
		changed := n.changed.next()
		res, err := n.propose(ctx, changed, encoded)
		switch errs.KindOf(err) {
		case errs.Unknown:
			sent = true
		case errs.Unavailable:
		default:
			if err == nil && res.Outcome == command.Forgotten && sent {
				return res, errs.E(errs.Unknown, "the write may or may not have been applied: %s", res.Msg)
			}
			if err == nil {
				// Views of this node shall show the effect. If time runs out
				// here, the command is applied all the same.
				_ = n.machine.Wait(ctx, res.Version)
				since(n.meters.commit, began)
				return res, nil
			}
			return res, err
		}
		n.meters.retries.Inc()
		if !pause(ctx, changed, retryEvery) {
			n.Note(events.Event{Kind: events.WriteError, Text: fmt.Sprintf("a write was given up after %d ms: %v", time.Since(began).Milliseconds(), err)})
			return res, n.meters.gaveUp(n.gaveUp(err, sent))
		}
	}
}

func (n *Node) gaveUp(last error, sent bool) error {
	if sent {
		return errs.E(errs.Unknown, "the write may or may not have been applied: %w", last)
	}
	return errs.E(errs.Unavailable, "the write was not applied: %w", last)
}

// pause waits for d or until changed closes; false means that the time is up
// for good.
func pause(ctx context.Context, changed context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed.Done():
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// propose makes one try, with the leader known now. It gives up as unknown when
// the leader changes: the old one may never answer.
func (n *Node) propose(ctx context.Context, changed context.Context, encoded []byte) (command.Result, error) {
	leader, term, reason := n.leader()
	switch leader {
	case "":
		return command.Result{}, errs.E(errs.Unavailable, "%s", reason)
	case n.cfg.ID:
		return n.proposeHere(ctx, encoded)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(changed, cancel)()
	body := proposeRequest{term, encoded}.append(make([]byte, 0, len(encoded)+16))
	reply, err := n.transport.Call(ctx, leader, transport.Propose, body)
	if err != nil {
		return command.Result{}, err
	}
	a, err := decodeProposeReply(reply)
	if err != nil {
		return a.result, errs.E(errs.Unknown, "leader %s answered with what does not decode: %w", leader, err)
	}
	n.believe(leader, term, a.at)
	return a.result, nil
}

func (n *Node) proposeHere(ctx context.Context, encoded []byte) (command.Result, error) {
	type answer struct {
		res command.Result
		err error
	}
	if _, err := n.leading(); err != nil {
		return command.Result{}, err
	}
	if err := n.roomFor(encoded); err != nil {
		return command.Result{}, err
	}
	done := make(chan answer, 1)
	err := n.proposer.add(proposal{encoded, func(res command.Result, err error) { done <- answer{res, err} }})
	if err != nil {
		return command.Result{}, err
	}
	select {
	case a := <-done:
		return a.res, a.err
	case <-ctx.Done():
		return command.Result{}, errs.E(errs.Unknown, "no quorum confirmed it in time")
	}
}

// proposeFor answers a peer's proposal.
func (n *Node) proposeFor(body []byte, reply func([]byte, error)) {
	q, err := decodePropose(body)
	if err != nil {
		reply(nil, err)
		return
	}
	term, err := n.leading()
	if err != nil {
		reply(nil, err)
		return
	}
	// A proposal meant for an earlier term may have lain somewhere for long,
	// and its sender may have been told since that it was not applied.
	if term != q.term {
		reply(nil, errs.E(errs.Unavailable, "sent to the leader of term %d, in term %d", q.term, term))
		return
	}
	// What does not decode must never get into the log: it would stop all nodes.
	if _, err := command.Decode(q.command); err != nil {
		reply(nil, errs.E(errs.Invalid, "%w", err))
		return
	}
	if err := n.roomFor(q.command); err != nil {
		reply(nil, err)
		return
	}
	err = n.proposer.add(proposal{q.command, func(res command.Result, err error) {
		if err != nil {
			reply(nil, err)
			return
		}
		reply(proposeReply{n.replica.position(), res}.append(make([]byte, 0, 64)), nil)
	}})
	if err != nil {
		reply(nil, err)
	}
}
