package outbox

import (
	"bytes"
	"math"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// Bounds of what one look at the queues reads.
const (
	maxQueues  = 100
	maxCounted = 10_000  // items of one queue
	maxLooked  = 100_000 // items of all of them
	maxRetries = 10_000

	// Of Several, in common.
	severalItems = 20_000
	severalBytes = 64 << 20 // items are read with their payloads
)

// QueueInfo is what an operator wants to know of a queue.
type QueueInfo struct {
	Queue     string
	Pending   int       // items; counted up to 10,000
	More      bool      // there are more than were counted
	Oldest    time.Time // when the oldest of those that were counted was put
	Attempts  int       // to deliver one item, the most of any that was tried; 0 = none has failed
	Next      time.Time // of that item: not before; the zero time = at once
	LastError string    // of that item
	Suspended time.Time // since when it takes no more; the zero time = it takes items
}

// Queues returns the queues with items that begin with prefix and come after
// a name, in ascending order: 100, or fewer if they hold much. There are no more
// when it returns none. Made for a View.
func Queues(tx *kv.Tx, prefix, after string) ([]QueueInfo, error) {
	lo, end := tuple.Span([]byte{prefixOutbox, prefixItem})
	if after != "" {
		_, lo = itemSpan(after)
	}
	// A name sorts before all that begin with it, and so do their encodings but for
	// the end mark.
	from := strings.TrimSuffix(string(appendQueue(prefixItem, prefix)), "\x00\x01")
	lo = []byte(max(string(lo), from))
	var list []QueueInfo
	for looked := 0; len(list) < maxQueues && looked < maxLooked; {
		queue, found, err := firstQueue(tx, lo, end)
		if err != nil {
			return nil, err
		}
		if !found || !strings.HasPrefix(queue, prefix) {
			break
		}
		info, _, err := look(tx, queue, sight{maxCounted, math.MaxInt})
		if err != nil {
			return nil, err
		}
		list = append(list, info)
		looked += info.Pending
		_, lo = itemSpan(queue)
	}
	return list, nil
}

// Queue returns what Queues does of one queue, which may hold nothing.
func Queue(tx *kv.Tx, queue string) (QueueInfo, error) {
	info, _, err := look(tx, queue, sight{maxCounted, math.MaxInt})
	return info, err
}

// Several returns what Queue does of some queues, in their order. At most 20,000
// items, and about 64 MiB of them, are looked at in all: each queue has its share of
// that and of what those before it have left, and one item at least. Made for a View.
func Several(tx *kv.Tx, queues []string) ([]QueueInfo, error) {
	left := sight{severalItems, severalBytes}
	list := make([]QueueInfo, 0, len(queues))
	for i, queue := range queues {
		among := len(queues) - i
		info, size, err := look(tx, queue, sight{min(max(left.items/among, 1), maxCounted), left.bytes / among})
		if err != nil {
			return nil, err
		}
		list = append(list, info)
		left.items, left.bytes = left.items-info.Pending, max(left.bytes-size, 0)
	}
	return list, nil
}

// sight is how much of a queue a look takes in.
type sight struct{ items, bytes int }

// look also returns how many bytes the items have that it has counted.
func look(tx *kv.Tx, queue string, most sight) (info QueueInfo, size int, err error) {
	info.Queue = queue
	oldest := int64(0)
	for rec, err := range tx.Scan(itemSpan(queue)) {
		if err != nil {
			return info, size, err
		}
		if info.Pending >= most.items || info.Pending > 0 && size >= most.bytes {
			info.More = true
			break
		}
		since, _, err := decodeItem(rec.Value)
		if err != nil {
			return info, size, err
		}
		oldest = older(oldest, since)
		info.Pending++
		size += len(rec.Value)
	}
	info.Oldest = fromMillis(oldest)
	err = eachRetry(tx, queue, most.items, func(_ []byte, row tries) {
		if row.Attempts > info.Attempts {
			info.Attempts, info.Next, info.LastError = row.Attempts, fromMillis(row.Next), row.Error
		}
	})
	if err != nil {
		return info, size, err
	}
	row, _, err := readSuspension(tx, queue)
	info.Suspended = fromMillis(row.Since)
	return info, size, err
}

// eachRetry calls fn with the first rows of tries of a queue, at most so many. The
// key is fn's.
func eachRetry(tx *kv.Tx, queue string, most int, fn func(key []byte, row tries)) error {
	n := 0
	for rec, err := range tx.Scan(retrySpan(queue)) {
		if err != nil {
			return err
		}
		row, err := decodeTries(rec.Value)
		if err != nil {
			return err
		}
		fn(bytes.Clone(rec.Key), row)
		if n++; n == most {
			break
		}
	}
	return nil
}

// RetryNow makes the items of a queue due that wait for their next try; of
// more than 10,000 of them, so many. The tries that they had still count.
func RetryNow(tx *kv.Tx, queue string) error {
	type change struct {
		key []byte
		row tries
	}
	var changes []change
	err := eachRetry(tx, queue, maxRetries, func(key []byte, row tries) {
		row.Next = 0
		changes = append(changes, change{key, row})
	})
	if err != nil {
		return err
	}
	for _, c := range changes {
		put(tx, c.key, c.row)
	}
	return nil
}

// Drop removes all items of a queue, delivered or not; a delivery that is under
// way is not stopped, but not settled either. It reads nothing.
func Drop(tx *kv.Tx, queue string) {
	tx.DeleteSpan(itemSpan(queue))
	tx.DeleteSpan(retrySpan(queue))
	tx.Delete(suspendedKey(queue))
}
