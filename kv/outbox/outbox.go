package outbox

import (
	"context"
	"time"

	"github.com/coveydb/covey/kv"
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

// Put adds an item to its queue, as part of tx. It reads nothing, so that
// transactions that feed one queue do not conflict.
func Put(tx *kv.Tx, item Item) error { panic("not written yet") }

// A Delivery is one try to deliver an Item.
type Delivery struct {
	Item
	Version uint64    // of the commit that put it; items of an ordered queue go out in this order
	Since   time.Time // of that commit
	Attempt int       // 1 is the first
}

// A Sender delivers the items of queues of one kind.
type Sender interface {
	// Send makes one try. nil: it is delivered. A *Refused: no further try would
	// succeed. Any other error: it is tried again later. It runs outside of
	// transactions, while this node leads; it may happen more than once.
	Send(ctx context.Context, d Delivery) error

	// Settle is part of the commit that takes an item out of its queue; failed
	// is nil if it was delivered, else why it was given up.
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
	Parallel int           // deliveries at once in all queues of this kind on this node
	Timeout  time.Duration // of one try
	GiveUp   time.Duration // after this time without success an item is given up
}
