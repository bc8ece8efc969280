package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/node/room"
)

// Raft counts the entries of its log, not their bytes: 10,000 small writes are a
// few MiB, and as many pieces of bulk data are 5 GiB. So bytes are counted here.
const (
	snapshotBytes = 128 << 20 // a snapshot is taken when the log has grown by so much since the last one
	trailingBytes = 256 << 20 // of the log that stays behind a snapshot, for followers that are late
	leastTrailing = 64        // entries that stay whatever they take
	logSizeEvery  = 2 * time.Second
	againAfter    = 5 // times that moved is asked in vain
)

// logSize says which entries of the log's end take how many bytes. Safe for
// concurrent use.
type logSize struct {
	mu    sync.Mutex
	total uint64    // bytes applied since the start of the process
	taken uint64    // of them, before the last snapshot that was asked for here
	asked uint64    // what was applied when moved was asked last
	still int       // how often moved was asked since, in vain
	marks []logMark // in ascending order, one for each MiB or more
}

// logMark says that all bytes up to total are those of entries up to index.
type logMark struct{ index, total uint64 }

// add counts n bytes of the entries up to index.
func (l *logSize) add(index uint64, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total += uint64(n)
	if last := len(l.marks) - 1; last < 0 || l.total-l.marks[last].total >= 1<<20 {
		l.marks = append(l.marks, logMark{index, l.total})
	}
	for len(l.marks) > 2 && l.total-l.marks[1].total > trailingBytes {
		l.marks = l.marks[1:] // append makes a new array once in a while, without these
	}
}

// trailing is how many entries up to last take no more than trailingBytes, at
// most most.
func (l *logSize) trailing(last, most uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.marks) == 0 || l.total-l.marks[0].total <= trailingBytes {
		return most // what came before the first mark is not known, and as good as nothing
	}
	n := uint64(leastTrailing)
	if first := l.marks[1].index; last > first {
		n = max(n, last-first)
	}
	return min(n, most)
}

// due reports whether it is time for a snapshot, and counts from here on.
func (l *logSize) due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total-l.taken < snapshotBytes {
		return false
	}
	l.taken = l.total
	return true
}

// moved reports whether anything was applied since it was asked last. Who is
// short of room takes a snapshot then: what was deleted gives its space back only
// when no snapshot and no log holds on to it. Compaction may come later than the
// last of these, and nothing be applied any more as there is no room: so it is
// true again after a while, then ever more rarely.
func (l *logSize) moved(applied uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if applied != l.asked {
		l.asked, l.still = applied, 0
		return true
	}
	l.still++
	n := l.still / againAfter
	return l.still%againAfter == 0 && n&(n-1) == 0 // n is a power of two
}

// keepLogSmall sees to it that the log on disk is bounded by bytes too, until ctx
// ends.
func (n *Node) keepLogSmall(ctx context.Context, c *consensus) {
	tick := time.NewTicker(logSizeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := n.trimLog(c); err != nil && !errors.Is(err, raft.ErrRaftShutdown) {
			n.log.Warn("the log cannot be kept small", "err", err)
		}
	}
}

func (n *Node) trimLog(c *consensus) error {
	conf := c.raft.ReloadableConfig()
	short := n.space.now().level > room.Plenty
	want := n.replica.size.trailing(c.raft.LastIndex(), n.cfg.TrailingLogs)
	if short {
		want = min(want, leastTrailing)
	}
	if want != conf.TrailingLogs {
		conf.TrailingLogs = want
		if err := c.raft.ReloadConfig(conf); err != nil {
			return err
		}
	}
	if due := n.replica.size.due(); !due && !(short && n.replica.size.moved(c.raft.AppliedIndex())) {
		return nil
	}
	if err := c.wait(c.raft.Snapshot()); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return err
	}
	return nil
}
