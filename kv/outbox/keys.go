package outbox

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// The keys of the outbox. One item:
//
//	'o' 'i' string(queue) string(id) -> the item
//	'o' 'r' string(queue) string(id) -> its tries, once there was one
//	'o' 's' string(queue)            -> that the queue is suspended
const (
	prefixOutbox    = 'o'
	prefixItem      = 'i'
	prefixRetry     = 'r'
	prefixSuspended = 's'
)

func appendQueue(what byte, queue string) []byte {
	return tuple.AppendString([]byte{prefixOutbox, what}, queue)
}

func itemKey(queue, id string) []byte {
	return tuple.AppendString(appendQueue(prefixItem, queue), id)
}

func retryKey(queue, id string) []byte {
	return tuple.AppendString(appendQueue(prefixRetry, queue), id)
}

func suspendedKey(queue string) []byte { return appendQueue(prefixSuspended, queue) }

// itemSpan is the bounds of a queue's items, retrySpan of its tries.
func itemSpan(queue string) (lo, hi []byte)  { return tuple.Span(appendQueue(prefixItem, queue)) }
func retrySpan(queue string) (lo, hi []byte) { return tuple.Span(appendQueue(prefixRetry, queue)) }

// parseKey reads queue and id of the key of an item or of its tries; the id is
// empty for a suspended queue.
func parseKey(key []byte) (what byte, queue, id string, err error) {
	if len(key) < 2 || key[0] != prefixOutbox {
		return 0, "", "", errDamaged("key")
	}
	queue, rest, err := tuple.String(key[2:])
	if err == nil && len(rest) > 0 {
		id, rest, err = tuple.String(rest)
	}
	if err != nil || len(rest) > 0 {
		return 0, "", "", errDamaged("key")
	}
	return key[1], queue, id, nil
}

func errDamaged(what string) error {
	return errs.E(errs.Internal, "a %s of the outbox is damaged", what)
}

// An item's value is a format byte, the time of the commit in unix milliseconds
// (8 bytes, big-endian), and the payload.
const (
	itemFormat = 1
	itemHead   = 9
)

func appendItem(dst []byte, since int64, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, itemFormat), uint64(since))
	return append(dst, payload...)
}

func decodeItem(p []byte) (since int64, payload []byte, err error) {
	if len(p) < itemHead || p[0] != itemFormat {
		return 0, nil, errDamaged("item")
	}
	return int64(binary.BigEndian.Uint64(p[1:])), p[itemHead:], nil
}

// tries is what is kept of an item's deliveries that came to nothing.
type tries struct {
	Attempts int    `json:"attempts"`
	Next     int64  `json:"next"` // not before this time, unix milliseconds; 0 = now
	Error    string `json:"error"`
}

// maxErrorText bounds what is kept of an error.
const maxErrorText = 300

// errorText is err in one short line.
func errorText(err error) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "?"))
	if len(text) <= maxErrorText {
		return text
	}
	at := maxErrorText
	for !utf8.RuneStart(text[at]) {
		at--
	}
	return text[:at] + "…"
}

func decodeTries(p []byte) (t tries, err error) {
	if json.Unmarshal(p, &t) != nil || t.Attempts < 0 {
		return tries{}, errDamaged("row of tries")
	}
	return t, nil
}

func readTries(tx *kv.Tx, queue, id string) (tries, error) {
	rec, ok, err := tx.Get(retryKey(queue, id))
	if err != nil || !ok {
		return tries{}, err
	}
	return decodeTries(rec.Value)
}

func (t tries) put(tx *kv.Tx, queue, id string) {
	put(tx, retryKey(queue, id), t)
}

// suspension is the row of a suspended queue.
type suspension struct {
	Since   int64 `json:"since"`   // unix milliseconds
	Pending int   `json:"pending"` // items, then
	Bytes   int64 `json:"bytes"`   // of them
}

func readSuspension(tx *kv.Tx, queue string) (s suspension, ok bool, err error) {
	rec, ok, err := tx.Get(suspendedKey(queue))
	if err != nil || !ok {
		return s, false, err
	}
	if json.Unmarshal(rec.Value, &s) != nil {
		return s, false, errDamaged("row of a suspended queue")
	}
	return s, true, nil
}

func put(tx *kv.Tx, key []byte, row any) {
	p, err := json.Marshal(row)
	if err != nil {
		panic(err) // texts and numbers
	}
	tx.Set(key, p, 0)
}

// kindOf is the part of a queue's name that tells its Sender.
func kindOf(queue string) string {
	kind, _, _ := strings.Cut(queue, "/")
	return kind
}

func checkItem(item Item) error {
	kind, target, _ := strings.Cut(item.Queue, "/")
	switch {
	case kind == "" || target == "" || len(item.Queue) > maxQueue || !utf8.ValidString(item.Queue) || strings.ContainsFunc(item.Queue, unicode.IsControl):
		return errs.E(errs.Invalid, "queue %.50q: a kind, a slash and a target, at most %d bytes", item.Queue, maxQueue)
	case item.ID == "" || len(item.ID) > maxID || strings.ContainsFunc(item.ID, notOfID):
		return errs.E(errs.Invalid, "item id %.50q: 1 to %d letters, digits, dots, dashes and underscores", item.ID, maxID)
	case len(item.Payload) > maxPayload:
		return errs.E(errs.TooLarge, "an item of %d bytes: at most %d", len(item.Payload), maxPayload)
	}
	return nil
}

func notOfID(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
}

// fromMillis is the time of unix milliseconds, and the zero time of 0.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
