package collection

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/layer/collection/query"
)

// A webhook is told of each write in the transaction that makes it: the event is
// put into the hook's queue and is committed with the write, or not at all. What
// is stored is the event's record; the Sender makes the body of the request of it.

const (
	methodPing = "PING" // of the event of PingWebhook

	// maxTold is how many bytes of documents one write puts into the queues of all
	// its hooks together: what is told must not make the write itself too large. Of
	// more, events tell the ids.
	maxTold = 1 << 20
	// maxToldIDs is how many ids one event tells. A write of more is several
	// events, in their order.
	maxToldIDs = 10_000
)

// hookEvent is what hooks are told of one write, or of a part of a large one:
// the documents as they are stored, or else the ids.
type hookEvent struct {
	method     string // POST PUT DELETE PING
	collection string
	docs       [][]byte
	ids        []OID
}

// told tells the hooks that listen to it of documents that were created or
// changed.
func (c *Collection) told(method string, docs []Document) error {
	hooks, err := c.listeners(method)
	if len(hooks) == 0 || len(docs) == 0 {
		return err
	}
	size := 0
	for _, d := range docs {
		size += len(d.JSON)
	}
	if size <= maxTold/len(hooks) {
		e := hookEvent{method: method, collection: c.name}
		for _, d := range docs {
			e.docs = append(e.docs, d.JSON)
		}
		return c.enqueue(hooks, [][]byte{e.append(nil)})
	}
	ids := make([]OID, 0, len(docs))
	for _, d := range docs {
		ids = append(ids, d.ID())
	}
	return c.enqueueIDs(hooks, method, ids)
}

// toldGone is told of documents that were deleted.
func (c *Collection) toldGone(ids []OID) error {
	hooks, err := c.listeners(http.MethodDelete)
	if len(hooks) == 0 || len(ids) == 0 {
		return err
	}
	return c.enqueueIDs(hooks, http.MethodDelete, ids)
}

func (c *Collection) enqueueIDs(hooks []*hook, method string, ids []OID) error {
	var records [][]byte
	for part := range slices.Chunk(ids, maxToldIDs) {
		e := hookEvent{method: method, collection: c.name, ids: part}
		records = append(records, e.append(nil))
	}
	return c.enqueue(hooks, records)
}

// listeners returns the hooks that want to hear of a method. Where there are no
// hooks it costs nothing: the row of the database, which is read anyhow, says so.
func (c *Collection) listeners(method string) ([]*hook, error) {
	if !c.hooked {
		return nil, nil
	}
	all, err := c.store.hooksOf(c.tx, c.db)
	if err != nil {
		return nil, err
	}
	var hooks []*hook
	for _, h := range all {
		if h.Disabled == nil &&
			(len(h.Methods) == 0 || slices.Contains(h.Methods, method)) &&
			(len(h.Collections) == 0 || slices.Contains(h.Collections, c.name)) {
			hooks = append(hooks, h)
		}
	}
	return hooks, nil
}

// enqueue puts the records of one write into the queues of hooks.
func (c *Collection) enqueue(hooks []*hook, records [][]byte) error {
	digest := writeDigest(c.tx.Version(), c.db, records)
	for _, h := range hooks {
		id := messageID(digest, h.ID)
		for i, r := range records {
			item := outbox.Item{Queue: hookQueue(c.db, h.ID), ID: id, Payload: r}
			if len(records) > 1 { // items of one commit go out in the order of their ids
				item.ID = fmt.Sprintf("%s-%05d", id, i)
			}
			// A hook that has come to be suspended misses what happens meanwhile: the
			// write does not depend on it.
			if err := outbox.Put(c.tx, item); err != nil && !errors.Is(err, outbox.ErrSuspended) {
				return err
			}
		}
	}
	return nil
}

// writeDigest names a write: two that come to the same records cannot have been
// made on one version, since the second of them would have met the first.
func writeDigest(version uint64, db string, records [][]byte) (digest [sha256.Size]byte) {
	h := sha256.New()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, version))
	_, _ = h.Write(tuple.AppendString(nil, db))
	for _, r := range records {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(r))))
		_, _ = h.Write(r)
	}
	h.Sum(digest[:0])
	return digest
}

// messageID is the id of the message about a write to one hook.
func messageID(write [sha256.Size]byte, hook string) string {
	h := sha256.Sum256(append(write[:], hook...))
	return "msg_" + hex.EncodeToString(h[:16])
}

// Records of events: a byte that says what follows, the method, the collection,
// and then each document with its length before it, or the ids.
const (
	recordDocuments = 1
	recordIDs       = 2
)

// append appends the event's record.
func (e *hookEvent) append(p []byte) []byte {
	kind := byte(recordIDs)
	if e.docs != nil {
		kind = recordDocuments
	}
	p = tuple.AppendString(tuple.AppendString(append(p, kind), e.method), e.collection)
	for _, d := range e.docs {
		p = append(binary.AppendUvarint(p, uint64(len(d))), d...)
	}
	for _, id := range e.ids {
		p = append(p, id[:]...)
	}
	return p
}

var errEventDamaged = errs.E(errs.Internal, "the record of a webhook's event is damaged or of a newer format")

// openEvent reads a record, whose bytes it keeps.
func openEvent(p []byte) (e hookEvent, err error) {
	if len(p) == 0 || p[0] != recordDocuments && p[0] != recordIDs {
		return e, errEventDamaged
	}
	documents := p[0] == recordDocuments
	if e.method, p, err = tuple.String(p[1:]); err != nil {
		return e, errEventDamaged
	}
	if e.collection, p, err = tuple.String(p); err != nil {
		return e, errEventDamaged
	}
	for len(p) > 0 {
		if !documents {
			if len(p) < len(OID{}) {
				return e, errEventDamaged
			}
			e.ids, p = append(e.ids, OID(p)), p[len(OID{}):]
			continue
		}
		size, n := binary.Uvarint(p)
		if n <= 0 || size > uint64(len(p)-n) {
			return e, errEventDamaged
		}
		e.docs, p = append(e.docs, p[n:n+int(size)]), p[n+int(size):]
	}
	return e, nil
}

// body returns what a target is sent: each document or id under its number, and
// all of them in the event.
func (e *hookEvent) body(db string) []byte {
	list := e.docs
	if list == nil {
		list = make([][]byte, 0, len(e.ids))
		for _, id := range e.ids {
			text := append(hex.AppendEncode([]byte{'"'}, id[:]), '"')
			list = append(list, text)
		}
	}
	size := 128
	for _, v := range list {
		size += 2*len(v) + 16
	}
	p := append(make([]byte, 0, size), '{')
	for i, v := range list {
		p = append(strconv.AppendInt(append(p, '"'), int64(i), 10), `":`...)
		p = append(append(p, v...), ',')
	}
	p = query.AppendText(append(p, `"event":{"db":`...), db)
	p = query.AppendText(append(p, `,"collection":`...), e.collection)
	p = query.AppendText(append(p, `,"method":`...), e.method)
	p = append(p, `,"payload":[`...)
	for i, v := range list {
		if i > 0 {
			p = append(p, ',')
		}
		p = append(p, v...)
	}
	return append(p, "]}}"...)
}
