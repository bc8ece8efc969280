package kv

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// Consistency says how fresh a View must be. The zero value is linearizable:
// it sees every write that was acknowledged before the View began.
type Consistency struct {
	Stale    bool          // the node's own state at once, however old
	MaxStale time.Duration // with Stale: not older than this; 0 = any age
}

// ReadInfo says what a View was given.
type ReadInfo struct {
	Version     uint64        // of the state that was read
	Now         int64         // unix milliseconds; what had expired by then was hidden
	Consistency Consistency   // achieved, which may be better than what was asked for
	Staleness   time.Duration // with Stale: a bound on the age; negative when it is not known
}

// Backend gives states and commits commands. Its two implementations are a
// cluster's node and kvtest.
type Backend interface {
	// View returns a state fit for c, of which the caller owns one reference.
	View(ctx context.Context, c Consistency) (*fsm.View, ReadInfo, error)

	// Commit puts cmd through the log. The result is what the state machine
	// said; an error is errs.Unavailable if cmd was certainly not applied and
	// errs.Unknown if it may have been. When it returns a result, a View on
	// this node shows the command's effect.
	Commit(ctx context.Context, cmd *command.Command) (command.Result, error)
}

// Result is what an Update that was applied gives.
type Result struct {
	Version   uint64   // of the command; 0 if there was nothing to write
	Added     [][]byte // the new values of the Adds, in order
	Reply     []byte   // what Tx.Reply set, in the run that took effect
	Duplicate bool     // an earlier try under the same ID took effect, this is its result; never of Update
}

// Once names a change, so that several tries of it take effect once.
type Once struct {
	ID command.ID
	// Since is a version that was current at or before the first try. With it
	// a try that comes so late that the ID may have been forgotten is refused;
	// 0 takes the version of this try, and leaves that to the caller.
	Since uint64
}

// DB runs transactions on a Backend. Safe for concurrent use.
type DB struct{ b Backend }

// New returns a DB on b.
func New(b Backend) *DB { return &DB{b: b} }

// maxTries bounds how often one Update runs when others keep changing what it
// reads; the waits between the tries add up to some 6 seconds.
const maxTries = 40

// View runs fn once on one unchanging state. fn must not write.
func (db *DB) View(ctx context.Context, c Consistency, fn func(*Tx) error) (ReadInfo, error) {
	v, info, err := db.b.View(ctx, c)
	if err != nil {
		return info, err
	}
	defer v.Release()
	tx := &Tx{v: v, now: info.Now, at: info.Now, readOnly: true}
	if err := fn(tx); err != nil {
		return info, err
	}
	return info, tx.err
}

// Update runs fn and commits what it wrote, atomically. fn may run several
// times, and only the last run counts: first on the state at hand, and after a
// conflict or an error on a state that is certainly current. It must do
// nothing but read and write tx, and assign its results whole.
//
// The error is fn's own, or errs.Unavailable (nothing was applied; trying
// again makes sense), errs.Unknown (it may have been applied), errs.Invalid (an
// Add met something that is no number, or overflowed; nothing was applied), or
// errs.TooLarge.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) (Result, error) {
	return db.update(ctx, Once{ID: NewID()}, false, fn)
}

// UpdateOnce is Update for a change that may be tried more than once under one
// ID, here or on other nodes: it takes effect once, and every try that comes
// after gets the Result of the one that did.
func (db *DB) UpdateOnce(ctx context.Context, once Once, fn func(*Tx) error) (Result, error) {
	return db.update(ctx, once, true, fn)
}

func (db *DB) update(ctx context.Context, once Once, again bool, fn func(*Tx) error) (Result, error) {
	fresh := false
	for try := 0; ; try++ {
		cmd, err := db.run(ctx, fresh, &once, fn)
		switch {
		case err == nil && cmd != nil:
			res, err := db.b.Commit(ctx, cmd)
			if err != nil {
				return Result{}, err
			}
			switch {
			case res.Outcome == command.Forgotten && !again:
				// The ID is new, but this node's state is so old that the
				// state machine cannot tell. A current one sets it right.
				once.Since = 0
			case res.Outcome != command.Conflict:
				// Of an ID that only this call knows, an earlier try is the
				// backend's own, of the same command.
				res.Duplicate = res.Duplicate && again
				return outcome(res)
			}
		case err == nil || fresh:
			if again && mayHaveRun(err) {
				return db.recall(ctx, once, err)
			}
			return Result{}, err
		}
		// The first run may have failed only because it read an old state.
		fresh = true
		if try >= maxTries {
			return Result{}, errConflicts
		}
		if err := pause(ctx, try); err != nil {
			return Result{}, err
		}
	}
}

var errConflicts = errs.E(errs.Unavailable, "other writes kept changing what this one read; nothing was applied, try again")

// maxSkew is how far what a first run sees keeps behind the clock at hand, so
// that it is hardly ever ahead of the leader's, which would be a conflict.
const maxSkew = time.Second

// run runs fn once. It returns nil for cmd if there is nothing to commit, and
// an error also where only a run on a current state can tell. It sets
// once.Since if that is 0.
func (db *DB) run(ctx context.Context, fresh bool, once *Once, fn func(*Tx) error) (*command.Command, error) {
	v, info, err := db.b.View(ctx, Consistency{Stale: !fresh})
	if err != nil {
		return nil, err
	}
	defer v.Release()
	if once.Since == 0 {
		once.Since = v.Version
	}
	tx := &Tx{v: v, now: info.Now, at: info.Now}
	if !fresh {
		tx.at = max(v.Clock, info.Now-maxSkew.Milliseconds())
	}
	if err := fn(tx); err != nil {
		return nil, err
	}
	if tx.err != nil {
		return nil, tx.err
	}
	if len(tx.ops) == 0 {
		if !fresh && len(tx.reads) > 0 {
			return nil, errConflicts // what it read may be old, and no commit will check it
		}
		return nil, nil
	}
	cmd := tx.command()
	cmd.ID, cmd.Since = once.ID, once.Since
	return cmd, cmd.Check()
}

func outcome(res command.Result) (Result, error) {
	switch res.Outcome {
	case command.Applied:
		return Result{Version: res.Version, Added: res.Added, Reply: res.Reply, Duplicate: res.Duplicate}, nil
	case command.Rejected:
		return Result{}, errs.E(errs.Invalid, "%s", res.Msg)
	case command.Forgotten:
		return Result{}, errs.E(errs.Unknown, "%s", res.Msg)
	}
	return Result{}, errs.E(errs.Internal, "the state machine answered outcome %d", res.Outcome)
}

// mayHaveRun reports whether what a later try came to, err or nothing to write,
// can be the consequence of an earlier one that took effect.
func mayHaveRun(err error) bool {
	if err == nil {
		return true
	}
	switch errs.KindOf(err) {
	case errs.Invalid, errs.NotFound, errs.Exists, errs.Conflict:
		return true
	}
	return false
}

// recall asks the state machine whether once was applied before, with a
// command that can never be applied itself. If not, what this try came to
// stands.
func (db *DB) recall(ctx context.Context, once Once, came error) (Result, error) {
	never := []command.Read{{Point: true, Live: 2}} // one key has at most one record
	res, err := db.b.Commit(ctx, &command.Command{ID: once.ID, Since: once.Since, Reads: never})
	if err != nil {
		return Result{}, err
	}
	if res.Outcome == command.Conflict {
		return Result{}, came
	}
	return outcome(res)
}

// pause waits before try is repeated: not at all after the first, then a
// random time that doubles up to 200 ms on average.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	most := min(time.Millisecond<<min(try, 10), 400*time.Millisecond)
	t := time.NewTimer(rand.N(most))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return errConflicts
	}
}

// NewID draws an ID. It must be unique, not secret.
func NewID() (id command.ID) {
	binary.LittleEndian.PutUint64(id[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	return id
}
