package server

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
)

// checkEvery is how often systemd is told what the node waits for.
const checkEvery = 2 * time.Second

// notifySystemd tells systemd, if it started this process and asked for it,
// that the node is ready once every check passes, which includes that it has
// caught up; until then and afterwards what it waits for, and that it lives. It
// does nothing elsewhere.
//
// A node that is not ready any more stays started: systemd restarts what ends,
// and a node without a quorum must not be restarted for that. What the watchdog
// finds is a process whose checks no longer come to an end.
func (s *Server) notifySystemd(ctx context.Context) {
	n := notifier{
		checks: s.node.Checks,
		tell:   func(state string) (bool, error) { return daemon.SdNotify(false, state) },
	}
	var err error
	if n.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		s.cfg.Log.Warn("systemd's watchdog is not served", "err", err)
	}
	if err := n.run(ctx); err != nil {
		s.cfg.Log.Warn("systemd was not told how the node is", "err", err)
	}
}

// notifier tells a manager of services how the node is.
type notifier struct {
	checks   func(ctx context.Context) []cluster.Check
	tell     func(state string) (told bool, err error) // false = there is nobody to tell
	watchdog time.Duration                             // how long may pass between signs of life; 0 = none are wanted

	last string // status that was told
}

// run returns when ctx ends, or when there is nobody to tell.
func (n *notifier) run(ctx context.Context) error {
	every := checkEvery
	if n.watchdog > 0 {
		every = min(every, n.watchdog/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	ready := false
	for {
		bad := n.check(ctx, every)
		if ctx.Err() != nil {
			_, err := n.tell(daemon.SdNotifyStopping)
			return err
		}
		told, err := n.report(bad, &ready)
		if err != nil || !told {
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// check returns the first check that does not pass. One that does not end in
// time holds run up, and the watchdog with it.
func (n *notifier) check(ctx context.Context, most time.Duration) *cluster.Check {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return firstBad(n.checks(ctx))
}

// report tells what is new, and that the node lives.
func (n *notifier) report(bad *cluster.Check, ready *bool) (told bool, err error) {
	state := "WATCHDOG=1"
	status := "serving"
	if bad != nil {
		status = "waiting, " + bad.Name + ": " + bad.Detail
	}
	if status != n.last {
		n.last = status
		state += "\nSTATUS=" + oneLine(status)
	}
	if bad == nil && !*ready {
		*ready = true
		state += "\n" + daemon.SdNotifyReady
	}
	if told, err = n.tell(state); err != nil {
		return told, errs.E(errs.Unavailable, "notification socket: %w", err)
	}
	return told, nil
}

// oneLine keeps a text from being read as more than one assignment.
func oneLine(text string) string {
	out := []rune(text)
	for i, r := range out {
		if r < ' ' {
			out[i] = ' '
		}
	}
	return string(out)
}
