package node

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node/room"
)

const (
	spoolName = "restore.tmp" // in the data folder

	// restoreRoom is how many times the size of a backup has to be free on each
	// disk: for its pieces in the log and in the state, for the new state, and for
	// what compaction has not given back by then.
	restoreRoom = 4
	roomEvery   = 16 << 20 // bytes received between looks at the disk

	partsInFlight = 2
	aheadLimit    = 24 * time.Hour // of a backup's clock before ours
)

// restoring is a restore under way.
type restoring struct {
	total atomic.Uint64 // bytes of the state, once known
	done  atomic.Uint64 // of them, in the log
}

// RestoreProgress returns how many bytes of how many are in the log, and whether
// this node is doing a restore at all. total is 0 while the backup is being
// received.
func (n *Node) RestoreProgress() (done, total uint64, underWay bool) {
	if r := n.archive.restore.Load(); r != nil {
		return r.done.Load(), r.total.Load(), true
	}
	return 0, 0, false
}

// Restore receives the backup in r, checks all of it, and makes its state that of
// the whole cluster. It is for the leader to do. Until its last moment the
// cluster goes on with what it has; the change is one entry of the log, so it
// happens on every node at the same place among all writes, or on none, whoever
// crashes. Records of Config.Own stay.
//
// It returns what the backup holds, as far as it becomes data of this cluster, and
// the version that the state has here. Nothing has changed when the error is not errs.Unknown: those of
// review; errs.Invalid for a file that is refused; errs.NoSpace; errs.Conflict
// when another restore is under way; errs.Unavailable when this node does not
// lead, or not to the end.
func (n *Node) Restore(ctx context.Context, r io.Reader, review backup.Review) (backup.Summary, uint64, error) {
	at := new(restoring)
	if !n.archive.restore.CompareAndSwap(nil, at) {
		return backup.Summary{}, 0, errs.E(errs.Conflict, "another restore is under way on leader %s", n.cfg.ID)
	}
	defer n.archive.restore.Store(nil)
	if err := n.mayRestore(); err != nil {
		return backup.Summary{}, 0, err
	}
	file, err := n.spool()
	if err != nil {
		return backup.Summary{}, 0, err
	}
	defer func() {
		_ = file.Close() // nothing in it is needed any more
		_ = os.Remove(file.Name())
	}()
	s, err := n.receive(ctx, file, r, review)
	if err != nil {
		return s, 0, err
	}
	n.log.Warn("a backup takes the place of all data", "of", s.Header.Cluster, "created", s.Header.Created, "backup_version", s.Header.Version, "records", s.Records, "bytes", s.Stream)
	at.total.Store(s.Stream)
	version, err := n.putInPlace(ctx, file, s, at)
	if err != nil {
		n.log.Error("the restore was not done", "err", err)
		return s, 0, err
	}
	n.log.Warn("the restore is done", "version", version, "records", s.Records)
	return s, version, nil
}

// mayRestore tells whether this node can put a state into the log that all
// members understand.
func (n *Node) mayRestore() error {
	if _, err := n.leading(); err != nil {
		return err
	}
	for _, m := range n.gossip.Members() {
		if m.Alive && m.ClusterID == n.folder.ClusterID() && m.Formats.Log < command.FormatState {
			return errs.E(errs.Unavailable, "node %s runs release %s, which cannot restore: upgrade all nodes first", m.NodeID, m.Release)
		}
	}
	return n.roomToRestore(0)
}

// spool opens the file that a backup is received in. It has no name where the
// system allows that, so that a crash leaves nothing behind.
func (n *Node) spool() (*os.File, error) {
	f, err := os.OpenFile(n.folder.Path(spoolName), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, errs.E(errs.Internal, "receive a backup: %w", err)
	}
	_ = os.Remove(f.Name()) // where it fails, Restore removes it at its end
	return f, nil
}

// receive stores the backup in r in file, and checks it on the way.
func (n *Node) receive(ctx context.Context, file *os.File, r io.Reader, review backup.Review) (backup.Summary, error) {
	in := &incoming{ctx: ctx, r: r, file: file, check: n.roomToRestore}
	records := uint64(0)
	s, err := backup.Inspect(in, func(rec backup.Record) error {
		if !n.isOwn(rec) {
			records++
		}
		if review.See == nil {
			return nil
		}
		return review.See(rec)
	})
	s.Records = records
	switch {
	case in.err != nil:
		return s, in.err
	case err != nil:
		return s, err
	}
	if ahead := time.Duration(s.State.Clock-n.clock.now()) * time.Millisecond; ahead > aheadLimit {
		return s, errs.E(errs.Invalid, "the backup's clock is %v ahead of this cluster's: everything with a time to live would expire", ahead.Round(time.Minute))
	}
	if review.Agree != nil {
		if err := review.Agree(s); err != nil {
			return s, err
		}
	}
	return s, n.roomToRestore(int64(s.Bytes))
}

// incoming copies what is read into the file.
type incoming struct {
	ctx   context.Context
	r     io.Reader
	file  *os.File
	check func(size int64) error
	size  int64
	next  int64 // size at which the disk is looked at
	err   error // not the backup's fault
}

// Read implements io.Reader.
func (in *incoming) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.r.Read(p)
	in.size += int64(n)
	if in.err = context.Cause(in.ctx); in.err == nil && in.size > in.next {
		in.next = in.size + roomEvery
		in.err = in.check(in.size)
	}
	if in.err == nil {
		if _, werr := in.file.Write(p[:n]); werr != nil {
			k := errs.Internal
			if errors.Is(werr, syscall.ENOSPC) {
				k = errs.NoSpace
			}
			in.err = errs.E(k, "store the backup on the leader's disk to check it: %w", werr)
		}
	}
	if in.err != nil {
		return 0, in.err
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		in.err = errs.E(errs.Unavailable, "the backup did not arrive whole: %w", err)
		err = in.err
	}
	return n, err
}

// roomToRestore refuses a backup of that size if a disk has no room for it, as
// far as the leader knows.
func (n *Node) roomToRestore(size int64) error {
	if n.outOfRoom() {
		return errs.E(errs.NoSpace, "the disk of leader %s is full", n.cfg.ID)
	}
	if r := n.space.ruling.Load(); r != nil && r.level != room.Plenty {
		return errs.E(errs.NoSpace, "no room for a restore: %s", r.text)
	}
	c, err := n.raft()
	if err != nil {
		return err
	}
	stocks := n.space.others(n.cfg.ID, c.voters())
	stocks[n.cfg.ID] = n.space.look()
	for id, s := range stocks {
		if s.free > 0 && s.free < restoreRoom*size {
			return errs.E(errs.NoSpace, "a backup of %s needs %s on every disk while it is restored, and node %s has %s", room.Bytes(size), room.Bytes(restoreRoom*size), id, room.Bytes(s.free))
		}
	}
	return nil
}

// putInPlace puts the state in file into the log, piece by piece. Up to the last
// one nothing has changed, and what ends it then leaves pieces that are reaped
// after ten minutes.
func (n *Node) putInPlace(ctx context.Context, file *os.File, s backup.Summary, at *restoring) (version uint64, err error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return 0, errs.E(errs.Internal, "read the received backup: %w", err)
	}
	stream, err := backup.NewReader(file)
	if err != nil {
		return 0, err
	}
	p := command.StatePart{Chunk: command.Chunk{Set: kv.NewID(), Total: max(1, (s.Stream+command.ChunkBytes-1)/command.ChunkBytes)}}
	var flying []raft.ApplyFuture
	for ; !p.Last(); p.Seq++ {
		if p.Data, err = nextPart(stream); err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = n.roomToRestore(0)
		}
		if err != nil {
			return 0, notRestored(err)
		}
		flying = append(flying, n.applyPart(p))
		if len(flying) >= partsInFlight || p.Seq+2 == p.Total { // the last one goes alone
			if flying, err = landed(flying, p.Seq+2 == p.Total); err != nil {
				return 0, notRestored(err)
			}
		}
		at.done.Store((p.Seq + 1) * command.ChunkBytes)
	}
	if p.Data, err = nextPart(stream); err != nil {
		return 0, notRestored(err)
	}
	p.Keep = n.cfg.Own
	results, err := resultsOf(n.applyPart(p))
	if err != nil {
		return 0, err
	}
	at.done.Store(s.Stream)
	switch res := results[0]; res.Outcome {
	case command.Applied:
		return res.Version, nil
	case command.Forgotten:
		return 0, errs.E(errs.Unavailable, "the restore was not done: %s", res.Msg)
	default:
		return 0, errs.E(errs.Invalid, "the restore was refused by the state machine: %s", res.Msg)
	}
}

func (n *Node) applyPart(p command.StatePart) raft.ApplyFuture {
	if n.archive.before != nil {
		n.archive.before(p.Seq)
	}
	return n.applyLog(command.AppendState(nil, n.clock.now(), p))
}

// nextPart reads one piece. The last one ends with the file, which is checked
// once more thereby.
func nextPart(r io.Reader) ([]byte, error) {
	p := make([]byte, command.ChunkBytes)
	n, err := io.ReadFull(r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return p[:n], err
}

// landed waits for the first of the entries under way, or for all.
func landed(flying []raft.ApplyFuture, all bool) ([]raft.ApplyFuture, error) {
	for len(flying) > 0 {
		if _, err := resultsOf(flying[0]); err != nil {
			return flying, err
		}
		if flying = flying[1:]; !all {
			break
		}
	}
	return flying, nil
}

func notRestored(err error) error {
	k := errs.KindOf(err)
	if k == errs.Unknown || k == errs.Internal { // of a piece, without the last of which nothing happens
		k = errs.Unavailable
	}
	return errs.E(k, "the restore was not done and nothing has changed: %w", err)
}

// Records counts what the newest state holds besides the records of Config.Own:
// up to limit of them.
func (n *Node) Records(ctx context.Context, limit uint64) (count, version uint64, err error) {
	v, info, err := n.View(ctx, kv.Consistency{})
	if err != nil {
		return 0, 0, err
	}
	defer v.Release()
	it := v.Scan(nil, nil, info.Now)
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.Next() && count < limit {
		if n.isOwn(it.Record()) {
			continue
		}
		if count++; count%4096 == 0 && ctx.Err() != nil {
			return count, v.Version, errs.E(errs.Unavailable, "counting records took too long: %w", context.Cause(ctx))
		}
	}
	return count, v.Version, it.Err()
}

func (n *Node) isOwn(r fsm.Record) bool {
	for _, s := range n.cfg.Own {
		if string(s.Lo) <= string(r.Key) && string(r.Key) < string(s.Hi) {
			return true
		}
	}
	return false
}
