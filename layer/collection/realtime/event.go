package realtime

import (
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/layer/collection"
)

// The names of events.
const (
	post    = "post"
	put     = "put"
	deleted = "delete"
	publish = "publish"
	reset   = "reset"
)

// An Event is what a caller is told.
type Event struct {
	ID   string // its place in the order of all changes, for Open
	Name string // post, put, delete, publish or reset
	Data []byte // a JSON object
}

// newEvent renders a notice.
func newEvent(at feed.Cursor, n collection.Notice) Event {
	e := Event{ID: at.String()}
	switch n.Kind {
	case collection.Posted:
		e.Name, e.Data = post, append(head(post, n.Collection), n.Document...)
	case collection.Changed:
		e.Name, e.Data = put, appendID(head(put, n.Collection), n.IDs[0])
	case collection.Deleted:
		e.Name, e.Data = deleted, appendIDs(head(deleted, n.Collection), n.IDs)
	case collection.Published:
		e.Name, e.Data = publish, n.Message.JSON(nil)
		return e
	case collection.Scattered:
		return resetEvent(at, "more documents of "+n.Collection+" were deleted at once than events name")
	}
	e.Data = append(e.Data, '}')
	return e
}

// head begins an event of a collection, whose name needs no escapes.
func head(event, name string) []byte {
	return []byte(`{"event":"` + event + `","collection":"` + name + `","data":`)
}

func appendID(dst []byte, id collection.OID) []byte {
	return append(append(append(dst, '"'), id.String()...), '"')
}

func appendIDs(dst []byte, ids []collection.OID) []byte {
	dst = append(dst, '[')
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendID(dst, id)
	}
	return append(dst, ']')
}

// resetEvent says that the caller has missed something up to a place. reason
// needs no escapes.
func resetEvent(at feed.Cursor, reason string) Event {
	return Event{ID: at.String(), Name: reset, Data: []byte(`{"event":"reset","data":{"reason":"` + reason + `"}}`)}
}
