package schedule

import (
	"context"
	"hash/fnv"
	"io"
	"log/slog"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/backup/depot"
	"github.com/coveydb/covey/internal/errs"
)

// Run is what the cluster remembers of its backups.
type Run struct {
	Slot    int64  // the last time, unix seconds, for which there is a backup; 0 = never
	Node    string // that made it
	Name    string
	Size    int64
	Version uint64
	At      int64 // when it was done, unix seconds

	Failures int64  // since then
	FailedAt int64  // the last of them, unix seconds
	Error    string // of it
}

// Ledger keeps the Run in the cluster.
type Ledger interface {
	// Last returns it as this node has it; a node that leads has the newest.
	Last(ctx context.Context) (Run, error)

	// Done records that a backup was made for r.Slot. It is errs.Conflict if one is
	// recorded for that slot, or a later one, already.
	Done(ctx context.Context, r Run) error

	// Failed counts a run that failed, and why.
	Failed(ctx context.Context, at int64, why string) error
}

// Source writes backups; a node.
type Source interface {
	Backup(ctx context.Context, stale bool, to func(backup.Header) (io.Writer, error)) error
}

// Config of a Runner. All but Recipients and Metrics is required.
type Config struct {
	Every time.Duration // between backups; see Check
	Keep  int           // so many of the newest

	Depot      depot.Depot
	Recipients []age.Recipient // whom backups are encrypted for; none = they are not
	Source     Source
	Ledger     Ledger
	Node       string      // the name of this one
	Leads      func() bool // must not block

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Bounds of Check.
const (
	MinEvery = time.Minute
	MaxEvery = 366 * 24 * time.Hour
	MaxKeep  = 10_000
)

const (
	lookEvery   = 2 * time.Second // for what is due, and for what others did
	watchEvery  = time.Second     // whether this node still leads, during a run
	firstRetry  = time.Minute
	lastRetry   = time.Hour
	recordFor   = 30 * time.Second // for a change of the ledger
	tidyFor     = time.Minute      // to remove what a run that failed has left
	maxShift    = 10 * time.Minute
	maxErrorLen = 500
)

// Runner makes backups while its node leads.
type Runner struct {
	cfg     Config
	shift   int64 // seconds
	figures figures
}

// Check says whether every and keep may stand in a Config. The error is
// errs.Invalid and names the flag.
func Check(every time.Duration, keep int) error {
	switch {
	case every < MinEvery || every > MaxEvery:
		return errs.E(errs.Invalid, "--backup-every %v: from %v to %v", every, MinEvery, MaxEvery)
	case keep < 1 || keep > MaxKeep:
		return errs.E(errs.Invalid, "--backup-keep %d: from 1 to %d", keep, MaxKeep)
	}
	return nil
}

// New returns a Runner. Its metrics are registered: one for a registry.
func New(cfg Config) *Runner {
	h := fnv.New64a()
	h.Write([]byte(cfg.Depot.String()))
	r := &Runner{cfg: cfg, figures: newFigures()}
	r.shift = int64(h.Sum64() % uint64(min(cfg.Every/4, maxShift)/time.Second))
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(r.figures.all()...)
	}
	return r
}

// Run works until ctx ends.
func (r *Runner) Run(ctx context.Context) {
	r.cfg.Log.Info("backups are scheduled", "to", r.cfg.Depot.String(), "every", r.cfg.Every, "keep", r.cfg.Keep, "encrypted", len(r.cfg.Recipients) > 0)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		timer.Reset(r.look(ctx))
	}
}

// look does what is due, and returns how long to wait until the next look.
func (r *Runner) look(ctx context.Context) time.Duration {
	last, err := r.cfg.Ledger.Last(ctx)
	if err != nil {
		r.cfg.Log.Debug("what was backed up last cannot be read", "err", err)
		return lookEvery
	}
	r.figures.show(last)
	if !r.cfg.Leads() {
		return lookEvery
	}
	now := time.Now()
	slot := r.slot(now)
	if wait := time.Unix(slot, 0).Add(r.cfg.Every).Sub(now); last.Slot >= slot {
		return min(max(wait, 0), lookEvery)
	}
	if wait := time.Unix(last.FailedAt, 0).Add(r.pause(last.Failures)).Sub(now); last.Failures > 0 && wait > 0 {
		return min(wait, lookEvery)
	}
	r.serve(ctx, slot)
	return lookEvery
}

// slot is the last time at or before now at which a backup is due.
func (r *Runner) slot(now time.Time) int64 {
	every := int64(r.cfg.Every / time.Second)
	return (now.Unix()-r.shift)/every*every + r.shift
}

// pause is how long to wait after so many failures.
func (r *Runner) pause(failures int64) time.Duration {
	p := firstRetry << min(max(failures-1, 0), 10)
	return min(p, lastRetry, r.cfg.Every)
}

// serve makes the backup for a slot.
func (r *Runner) serve(ctx context.Context, slot int64) {
	began := time.Now()
	run, err := r.back(ctx, slot)
	if ctx.Err() != nil {
		return // the node stops; the next leader goes on
	}
	switch {
	case errs.Is(err, errs.Conflict):
		r.cfg.Log.Info("this backup is left to another node, or was made by one", "err", err)
		return
	case err != nil:
		r.figures.failures.Inc()
		r.cfg.Log.Error("a scheduled backup was not made, it will be tried again", "to", r.cfg.Depot.String(), "took", time.Since(began), "err", err)
		ctx, cancel := context.WithTimeout(ctx, recordFor)
		defer cancel()
		text := err.Error()
		if err := r.cfg.Ledger.Failed(ctx, time.Now().Unix(), text[:min(len(text), maxErrorLen)]); err != nil {
			r.cfg.Log.Warn("that a backup failed is not recorded", "err", err)
		}
		return
	}
	r.figures.show(run)
	r.cfg.Log.Info("a scheduled backup was made and verified", "name", run.Name, "bytes", run.Size, "version", run.Version, "took", time.Since(began))
	removed, err := r.trim(ctx, run.Name)
	if err != nil {
		r.cfg.Log.Warn("old backups are not all removed", "removed", removed, "err", err)
	} else if removed > 0 {
		r.cfg.Log.Info("old backups were removed", "removed", removed)
	}
}

// back makes, verifies and records one backup.
func (r *Runner) back(ctx context.Context, slot int64) (Run, error) {
	leading, cancel := r.whileLeading(ctx)
	defer cancel()
	u, err := r.make(leading)
	if err != nil {
		return Run{}, err
	}
	if err = r.verify(leading, u); err == nil {
		run := Run{Slot: slot, Node: r.cfg.Node, Name: u.name, Size: u.size, Version: u.version, At: time.Now().Unix()}
		record, cancel := context.WithTimeout(leading, recordFor)
		defer cancel()
		if err = r.cfg.Ledger.Done(record, run); err == nil {
			return run, nil
		}
	}
	if !errs.Is(err, errs.Unknown) { // else it may be recorded
		r.tidy(ctx, u.name)
	}
	return Run{}, err
}

// whileLeading returns a context that ends when this node leads no more: the next
// leader then makes the backup.
func (r *Runner) whileLeading(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if !r.cfg.Leads() {
					cancel(errs.E(errs.Conflict, "this node leads no more"))
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// tidy removes a backup that does not count, and was made a moment ago.
func (r *Runner) tidy(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, tidyFor)
	defer cancel()
	for _, name := range []string{name, name + markExt} {
		if err := r.cfg.Depot.Delete(ctx, name); err != nil {
			r.cfg.Log.Warn("a backup that does not count is left over", "name", name, "err", err)
		}
	}
}
