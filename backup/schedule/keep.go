package schedule

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/backup/depot"
	"github.com/coveydb/covey/internal/errs"
)

// Kept is a backup in a depot.
type Kept struct {
	backup.Name
	File     string
	Size     int64
	Verified bool // by the schedule that made it
}

// List returns the backups in a depot, the newest first; other files are left out.
func List(ctx context.Context, d depot.Depot) ([]Kept, error) {
	files, err := d.List(ctx)
	if err != nil {
		return nil, err
	}
	return backups(files), nil
}

func backups(files []depot.File) []Kept {
	marks := make(map[string]bool)
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name, markExt); ok {
			marks[name] = true
		}
	}
	var out []Kept
	for _, f := range files {
		if n, ok := backup.ParseName(f.Name); ok {
			out = append(out, Kept{Name: n, File: f.Name, Size: f.Size, Verified: marks[f.Name]})
		}
	}
	slices.SortFunc(out, func(a, b Kept) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Version, a.Version), cmp.Compare(a.File, b.File))
	})
	return out
}

// trim removes the verified backups of this cluster beyond those to keep, and
// marks whose backup is gone. last is the name of the backup that was just made.
func (r *Runner) trim(ctx context.Context, last string) (removed int, err error) {
	own, ok := backup.ParseName(last)
	if !ok {
		return 0, errs.E(errs.Internal, "backup name %q", last)
	}
	files, err := r.cfg.Depot.List(ctx)
	if err != nil {
		return 0, err
	}
	ours := 0
	for _, k := range backups(files) {
		if !k.Verified || k.Cluster != own.Cluster {
			continue
		}
		if marked, err := r.marked(ctx, k.File); err != nil {
			return removed, err
		} else if !marked {
			continue
		}
		if ours++; ours <= r.cfg.Keep {
			continue
		}
		// The backup first: a mark alone is known for what it is.
		if err := r.cfg.Depot.Delete(ctx, k.File); err != nil {
			return removed, err
		}
		removed++
		if err := r.cfg.Depot.Delete(ctx, k.File+markExt); err != nil {
			return removed, err
		}
	}
	return removed, r.trimMarks(ctx, files, own.Cluster)
}

func (r *Runner) trimMarks(ctx context.Context, files []depot.File, cluster string) error {
	present := make(map[string]bool, len(files))
	for _, f := range files {
		present[f.Name] = true
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name, markExt)
		n, isBackup := backup.ParseName(name)
		if !ok || !isBackup || n.Cluster != cluster || present[name] {
			continue
		}
		if marked, err := r.marked(ctx, name); err != nil {
			return err
		} else if !marked {
			continue
		}
		if err := r.cfg.Depot.Delete(ctx, f.Name); err != nil {
			return err
		}
	}
	return nil
}

// marked reports whether the mark of a backup is a schedule's, and no file that
// somebody made by hand.
func (r *Runner) marked(ctx context.Context, name string) (bool, error) {
	f, _, err := r.cfg.Depot.Get(ctx, name+markExt)
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p, err := io.ReadAll(io.LimitReader(f, markLimit))
	return strings.HasPrefix(string(p), markFirst) && strings.HasSuffix(string(p), "  "+name+"\n"), errors.Join(err, f.Close())
}
