package collection

import (
	"crypto/rand"
	"encoding/binary"
	"net/http"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv/feed"
)

// NoticeKind says what a Notice tells.
type NoticeKind uint8

// The kinds of notices.
const (
	Posted    NoticeKind = iota + 1 // a new document: Document
	Changed                         // a PUT or PATCH: IDs has the one
	Deleted                         // IDs, at most 1000
	Scattered                       // many documents were deleted, too many to be named
	Published                       // Message
)

// A Notice is what one change means to a listener.
type Notice struct {
	Kind       NoticeKind
	Collection string
	IDs        []OID
	Document   []byte // JSON, as reads show it
	Message    Message
}

// Wants reports whether a change might be a Notice. Of one that is Long the
// value is then to be read, before Notice is asked.
func (l *Ears) Wants(e *feed.Event) bool {
	kind, s := l.place(e)
	switch {
	case kind == messageByte:
		return true
	case s == nil:
		return false
	case kind == deletionByte:
		return l.hears(http.MethodDelete, s)
	case e.Created:
		return l.hears(http.MethodPost, s) && l.shows(s, documentID(e.Key))
	}
	return l.hears(http.MethodPut, s)
}

// Keeps reports whether what is behind a change is lost to listeners when its
// record is gone. Of a document that is gone a later change tells.
func (l *Ears) Keeps(e *feed.Event) bool {
	kind, _ := l.place(e)
	return kind != documentByte
}

// Notice returns what a change means to the caller; ok is false if that is
// nothing. It may keep e's slices.
func (l *Ears) Notice(e *feed.Event) (n Notice, ok bool, err error) {
	if !l.Wants(e) {
		return Notice{}, false, nil
	}
	switch kind, s := l.place(e); kind {
	case messageByte:
		m, err := decodeMessage(e.Value)
		return Notice{Kind: Published, Message: m}, err == nil && l.tunes(m.Event), err
	case deletionByte:
		return l.deletion(s, e.Value)
	default:
		return l.document(s, e)
	}
}

func (l *Ears) document(s *seat, e *feed.Event) (n Notice, ok bool, err error) {
	n = Notice{Kind: Changed, Collection: s.name, IDs: []OID{documentID(e.Key)}}
	if !e.Created && !l.mine(s) {
		return n, true, nil
	}
	d, err := openDocument(e.Value)
	if err != nil || l.mine(s) && d.CreatedBy() != l.user.email {
		return Notice{}, false, err
	}
	if e.Created {
		n.Kind, n.Document = Posted, d.Plain(nil)
	}
	return n, true, nil
}

func (l *Ears) deletion(s *seat, value []byte) (n Notice, ok bool, err error) {
	d, err := decodeDeletion(value)
	if err != nil {
		return Notice{}, false, err
	}
	n = Notice{Kind: Deleted, Collection: s.name}
	switch {
	case d.many:
		n.Kind = Scattered
		return n, true, nil
	case !l.mine(s):
		n.IDs = d.ids
	default:
		for i, by := range d.creators {
			if by == l.user.email {
				n.IDs = append(n.IDs, d.ids[i])
			}
		}
	}
	return n, len(n.IDs) > 0, nil
}

// A Message is what somebody publishes to a channel.
type Message struct {
	Event string // the channel
	Data  []byte // JSON

	id [16]byte // of its record
}

// Bounds of a Message.
const (
	maxMessage   = 256 << 10 // bytes of the data
	maxEvent     = 256       // bytes of the channel's name
	messageForm1 = 1         // begins a stored message: the length of the name as a uvarint, the name, the data
)

// ParseMessage reads {"event":NAME,"data":…}, and draws what its record needs;
// other members are ignored, and data that is missing is null. errs.Invalid for
// what is none, errs.TooLarge for data over 256 KiB.
func ParseMessage(body []byte) (m Message, err error) {
	p, err := compact(make([]byte, 0, len(body)), body)
	if err != nil {
		return m, err
	}
	if p[0] != '{' {
		return m, errs.E(errs.Invalid, "the body is not an object with an event and data")
	}
	name := find(p, "event")
	if len(name) == 0 || name[0] != '"' {
		return m, errs.E(errs.Invalid, "the event is not a text")
	}
	m.Event, m.Data = string(plainText(name)), find(p, "data")
	if m.Event == "" || len(m.Event) > maxEvent || !printable(m.Event) {
		return m, errs.E(errs.Invalid, "the event has not 1 to %d printable bytes", maxEvent)
	}
	if m.Data == nil {
		m.Data = []byte("null")
	}
	if len(m.Data) > maxMessage {
		return m, errs.E(errs.TooLarge, "data of %d bytes, the limit is %d", len(m.Data), maxMessage)
	}
	_, _ = rand.Read(m.id[:]) // documented never to return an error
	return m, nil
}

// JSON appends the message as it was published.
func (m Message) JSON(dst []byte) []byte {
	dst = append(append(dst, `{"event":`...), quote(m.Event)...)
	return append(append(append(dst, `,"data":`...), m.Data...), '}')
}

func decodeMessage(p []byte) (m Message, err error) {
	if len(p) == 0 || p[0] != messageForm1 {
		return m, errMessage
	}
	size, n := binary.Uvarint(p[1:])
	if n <= 0 || size > uint64(len(p)-1-n) {
		return m, errMessage
	}
	p = p[1+n:]
	return Message{Event: string(p[:size]), Data: p[size:]}, nil
}

var errMessage = errs.E(errs.Internal, "a stored message is damaged or of a newer format")

// Publish sends a message to the listeners of the database. A web key needs the
// channel among its own, a user in the list realtime.pub of its document;
// otherwise it is errs.Forbidden.
func (e *Session) Publish(m Message) error {
	switch {
	case e.refuse != nil:
		return e.refuse
	case e.user != nil && !inChannels(realtimeScope(e.user.document, "pub"), m.Event):
		return errs.E(errs.Forbidden, "you may not publish to this channel")
	case e.key != nil && e.key.Web && !inChannels(e.key.Channels, m.Event):
		return errs.E(errs.Forbidden, "the API key does not allow this channel")
	}
	value := binary.AppendUvarint([]byte{messageForm1}, uint64(len(m.Event)))
	e.tx.Set(append(messagePrefix(e.db, len(m.id)), m.id[:]...), append(append(value, m.Event...), m.Data...), tellTime)
	return nil
}
