package outbox

import (
	"bytes"
	"iter"
	"time"

	"github.com/coveydb/covey/kv"
)

// Waiting is an item that waits in its queue, with what came of its tries.
type Waiting struct {
	Item
	Since     time.Time // when it was put
	Attempts  int       // that came to nothing
	Next      time.Time // of the next try: not before; the zero time = at once, or it is under way
	LastError string
}

// First returns the first items of a queue by their ids, at most so many. Where
// ids ascend with the commits these are the next to be delivered.
func First(tx *kv.Tx, queue string, most int) ([]Waiting, error) {
	lo, hi := itemSpan(queue)
	return gather(tx, queue, tx.Scan(lo, hi), most)
}

// Last returns the last items of a queue by their ids, at most so many, the
// last one first.
func Last(tx *kv.Tx, queue string, most int) ([]Waiting, error) {
	lo, hi := itemSpan(queue)
	return gather(tx, queue, tx.ScanBack(lo, hi), most)
}

// Find returns an item of a queue; ok is false if it does not wait there.
func Find(tx *kv.Tx, queue, id string) (w Waiting, ok bool, err error) {
	rec, ok, err := tx.Get(itemKey(queue, id))
	if err != nil || !ok {
		return w, false, err
	}
	w, err = waitingOf(tx, queue, rec)
	return w, err == nil, err
}

func gather(tx *kv.Tx, queue string, records iter.Seq2[kv.Record, error], most int) (list []Waiting, err error) {
	if most <= 0 {
		return nil, nil
	}
	for rec, err := range records {
		if err != nil {
			return nil, err
		}
		w, err := waitingOf(tx, queue, rec)
		if err != nil {
			return nil, err
		}
		if list = append(list, w); len(list) == most {
			break
		}
	}
	return list, nil
}

// waitingOf describes the item that a record holds, whose bytes it does not
// keep.
func waitingOf(tx *kv.Tx, queue string, rec kv.Record) (w Waiting, err error) {
	_, _, id, err := parseKey(rec.Key)
	if err != nil {
		return w, err
	}
	since, payload, err := decodeItem(rec.Value)
	if err != nil {
		return w, err
	}
	row, err := readTries(tx, queue, id)
	return Waiting{
		Item: Item{Queue: queue, ID: id, Payload: bytes.Clone(payload)}, Since: fromMillis(since),
		Attempts: row.Attempts, Next: fromMillis(row.Next), LastError: row.Error,
	}, err
}
