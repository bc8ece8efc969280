package node

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

const (
	backupsAtOnce = 2
	// A backup keeps the store from giving back the space of what has been
	// overwritten since. Its reader must therefore take it at this rate on average,
	// not counting the first minute of waiting for it.
	backupRate  = 1 << 20 // bytes a second
	backupGrace = time.Minute
)

// archive is a node's part in backups and restores. The zero value is ready.
type archive struct {
	writing atomic.Int32
	restore atomic.Pointer[restoring] // nil: none is under way
	before  func(part uint64)         // called before a part goes into the log; nil but in tests
}

// Backup writes the state, as it is at one version, to the writer that to returns
// for its header: the newest state, or with stale this node's own, for which no
// leader is needed. It uses little memory, and holds up neither writes nor other
// reads. An error of to, or of its writer, is returned as it is; errs.Unavailable
// when two backups are being written already, when there is no read point in
// time, or when the reader is too slow: below 1 MiB a second.
func (n *Node) Backup(ctx context.Context, stale bool, to func(backup.Header) (io.Writer, error)) error {
	if n.archive.writing.Add(1) > backupsAtOnce {
		n.archive.writing.Add(-1)
		return errs.E(errs.Unavailable, "node %s is writing %d backups already", n.cfg.ID, backupsAtOnce)
	}
	defer n.archive.writing.Add(-1)
	wait, cancel := context.WithTimeout(ctx, readLimit)
	v, _, err := n.View(wait, kv.Consistency{Stale: stale})
	cancel()
	if err != nil {
		return err
	}
	defer v.Release()
	h := backup.Describe(v.State)
	h.Cluster, h.Node, h.Release, h.Created = n.folder.ClusterID().String(), n.cfg.ID, n.cfg.Release, time.Now().UTC().Truncate(time.Second)
	w, err := to(h)
	if err != nil {
		return err
	}
	began, out := time.Now(), &paced{ctx: ctx, w: w}
	if err := backup.Write(out, h, v.WriteData); err != nil {
		n.log.Warn("a backup was broken off", "version", h.Version, "bytes", out.taken, "took", time.Since(began), "err", err)
		return err
	}
	n.log.Info("a backup was written", "version", h.Version, "bytes", out.taken, "took", time.Since(began))
	return nil
}

// paced is the way to a reader that has to keep up.
type paced struct {
	ctx    context.Context
	w      io.Writer
	taken  int64
	waited time.Duration // for the reader
}

// Write implements io.Writer.
func (p *paced) Write(b []byte) (int, error) {
	if err := context.Cause(p.ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	n, err := p.w.Write(b)
	p.waited += time.Since(began)
	p.taken += int64(n)
	if err == nil && p.waited > backupGrace+time.Duration(p.taken/backupRate)*time.Second {
		err = errs.E(errs.Unavailable, "the backup is broken off: its reader took %d MiB in %v, and %d MiB a second are asked for",
			p.taken>>20, p.waited.Round(time.Second), backupRate>>20)
	}
	return n, err
}
