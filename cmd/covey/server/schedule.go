package server

import (
	"context"
	"os"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/backup/depot"
	"github.com/coveydb/covey/backup/schedule"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// Backups is what an operator decides about scheduled backups. It has to be the
// same on all nodes that may lead.
type Backups struct {
	To         string        // URL of a folder or a bucket; "" = there is no schedule
	Every      time.Duration // between two
	Keep       int           // so many of the newest
	Recipients string        // file with age recipients; "" = they are not encrypted
	Keys       depot.Keys    // of a bucket
}

// DefaultBackups are the flags' defaults.
var DefaultBackups = Backups{Every: 6 * time.Hour, Keep: 14}

// plan is what Backups means.
type plan struct {
	depot      depot.Depot // nil = there is no schedule
	recipients []age.Recipient
}

func (b Backups) parse() (p plan, err error) {
	if b.To == "" {
		if b.Recipients != "" {
			return p, errs.E(errs.Invalid, "--backup-age-recipients is given, but no --backup-to")
		}
		return p, nil
	}
	if err := schedule.Check(b.Every, b.Keep); err != nil {
		return p, err
	}
	if p.depot, err = depot.Open(b.To, depot.Options{Keys: b.Keys}); err != nil {
		return p, errs.E(errs.Invalid, "--backup-to: %w", err)
	}
	if b.Recipients == "" {
		return p, nil
	}
	f, err := os.Open(b.Recipients)
	if err != nil {
		return p, errs.E(errs.Invalid, "--backup-age-recipients: %w", err)
	}
	defer f.Close()
	if p.recipients, err = backup.Recipients(f); err != nil {
		return p, errs.E(errs.Invalid, "--backup-age-recipients: %w", err)
	}
	return p, nil
}

// newSchedule returns what makes the scheduled backups: nothing, if there are to
// be none.
func (s *Server) newSchedule(p plan, db *kv.DB, metrics prometheus.Registerer) duty {
	if p.depot == nil {
		return func(context.Context) {}
	}
	return schedule.New(schedule.Config{
		Every: s.cfg.Backups.Every, Keep: s.cfg.Backups.Keep, Depot: p.depot, Recipients: p.recipients,
		Source: s.node, Ledger: ledger{db}, Node: s.cfg.ID, Leads: s.node.IsLeader, Log: s.cfg.Log, Metrics: metrics,
	}).Run
}

// ledger keeps what was backed up in the cluster.
type ledger struct{ db *kv.DB }

// Last implements schedule.Ledger.
func (l ledger) Last(ctx context.Context) (r schedule.Run, err error) {
	_, err = l.db.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		run, err := fleet.ReadBackupRun(tx)
		r = schedule.Run(run)
		return err
	})
	return r, err
}

// Done implements schedule.Ledger.
func (l ledger) Done(ctx context.Context, r schedule.Run) error {
	_, err := l.db.Update(ctx, func(tx *kv.Tx) error { return fleet.FinishBackup(tx, fleet.BackupRun(r)) })
	return err
}

// Failed implements schedule.Ledger.
func (l ledger) Failed(ctx context.Context, at int64, why string) error {
	_, err := l.db.Update(ctx, func(tx *kv.Tx) error { return fleet.FailBackup(tx, at, why) })
	return err
}
