package outbox

import (
	"context"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Bounds of an Item.
const (
	maxQueue   = 256
	maxID      = 64
	maxPayload = 4 << 20
)

// An Item is something that is to be delivered to the outside once the
// transaction that puts it is committed.
type Item struct {
	// Queue names the target: a kind that a Sender is registered for, a slash,
	// and what tells targets apart: webhook/restdb/default/a1b2. Up to 256 bytes.
	Queue string
	// ID is the same for all tries of the item, and no other's: receivers use it to
	// drop repeats. 1 to 64 letters, digits, dots, dashes and underscores.
	ID      string
	Payload []byte // for the Sender; up to 4 MiB
}

// ErrSuspended is what Put returns for a queue that holds so much that it takes
// no more. It is of kind errs.Unavailable, for transactions that make no sense
// without their item; others go on without it.
var ErrSuspended error = errs.E(errs.Unavailable, "so much waits to be delivered that no more is taken now")

// Put adds an item to its queue, as part of tx. All that it reads is whether
// the queue is suspended, so that transactions that feed one queue do not
// conflict. If it is, Put returns ErrSuspended, has written nothing, and tx may
// go on: the item is then never delivered.
func Put(tx *kv.Tx, item Item) error {
	if err := checkItem(item); err != nil {
		return err
	}
	if _, suspended, err := readSuspension(tx, item.Queue); err != nil {
		return err
	} else if suspended {
		return ErrSuspended
	}
	value := make([]byte, 0, itemHead+len(item.Payload))
	tx.Set(itemKey(item.Queue, item.ID), appendItem(value, tx.Now(), item.Payload), 0)
	return nil
}

// A Delivery is one try to deliver an Item.
type Delivery struct {
	Item
	Version uint64    // of the commit that put it; items of an ordered queue go out in this order
	Since   time.Time // of that commit
	Attempt int       // 1 is the first
}

// A Sender delivers the items of queues of one kind. It is called by many
// goroutines.
type Sender interface {
	// Send makes one try. nil: it is delivered. A *Refused: no further try would
	// succeed. Any other error: it is tried again later, and not before the time of
	// the error's RetryAfter() time.Time, if it has that method (an hour from now
	// at most). The text of the error is shown to operators: no secrets. Send runs
	// outside of transactions, while this node leads; it may happen more than
	// once. It must return soon after ctx has ended.
	Send(ctx context.Context, d Delivery) error

	// Settle is part of the commit that takes an item out of its queue; failed
	// is nil if it was delivered, else why it was given up. Like all functions of a
	// transaction it may run several times. If it keeps returning an error, the
	// item is taken out without it.
	Settle(tx *kv.Tx, d Delivery, failed error) error
}

// A Refused error says that a target will never take an item.
type Refused struct{ Err error }

// Error implements error.
func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap returns the cause.
func (r *Refused) Unwrap() error { return r.Err }

// Policy says how the queues of one kind are treated.
type Policy struct {
	Ordered  bool          // one item at a time in each queue, in the order of commits; the first one holds up the others
	Parallel int           // deliveries at once in all queues of this kind on this node; 0 = 8
	Timeout  time.Duration // of one try; 0 = 30 seconds
	GiveUp   time.Duration // after this time without success, and 5 tries, an item is given up; 0 = 3 days
}

// withDefaults returns p with nothing left at 0.
func (p Policy) withDefaults() Policy {
	if p.Parallel <= 0 {
		p.Parallel = 8
	}
	if p.Timeout <= 0 {
		p.Timeout = 30 * time.Second
	}
	if p.GiveUp <= 0 {
		p.GiveUp = 3 * 24 * time.Hour
	}
	return p
}
