package vault

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
)

// The log of a webhook is of two parts: what has ended is in rows of this layer,
// and what waits is what the outbox has, with a row for what was tried in vain.

// Bounds of the log of a webhook.
const (
	keptDeliveries = 100                 // that have ended
	keepDelivery   = 30 * 24 * time.Hour // how long each of them
	shownWaiting   = 100                 // that wait, the next ones to go out
)

// DeliveryStatus is what has become of a delivery.
type DeliveryStatus string

// The statuses. Failed is that the webhook was switched off with this one;
// dropped, that it was not tried to the end, since the webhook was switched off
// or too much waited.
const (
	DeliveryPending   DeliveryStatus = "pending"
	DeliveryDelivered DeliveryStatus = "delivered"
	DeliveryFailed    DeliveryStatus = "failed"
	DeliveryDropped   DeliveryStatus = "dropped"
)

// Delivery is an event on its way to a webhook, or at the end of it.
type Delivery struct {
	ID             uint64 // of this delivery, counted from 1 for each webhook
	Event          string
	Message        string // id of the message, the same when it is delivered again
	Created        int64  // unix seconds
	Status         DeliveryStatus
	Attempts       int
	LastAttempt    int64 // 0 = there was none
	ResponseStatus int   // of the last attempt; 0 = there was no answer
	Error          string
	NextAttempt    int64 // 0 = at once, or there is none
	Duration       int64 // milliseconds of the last attempt
	Payload        []byte
}

// deliveryRow is a delivery that has ended, or was tried.
type deliveryRow struct {
	queuedEvent
	Created  int64          `json:"created"`
	Status   DeliveryStatus `json:"status"`
	Attempts int            `json:"attempts,omitempty"`
	Tried    int64          `json:"tried,omitempty"`
	Response int            `json:"response,omitempty"`
	Error    string         `json:"error,omitempty"`
	Took     int64          `json:"took,omitempty"` // milliseconds
}

// countDeliveries counts the deliveries of a webhook, and so numbers them.
const countDeliveries = "deliveries"

func deliverySpan(webhook uint64) (lo, hi []byte) { return tuple.Span(byID(deliveryByte, webhook)) }

// setDelivery stores a row, and forgets the one that is too many then.
func setDelivery(tx *kv.Tx, webhook, number uint64, row *deliveryRow) {
	tx.Set(byIDs(deliveryByte, webhook, number), encode(row), keepDelivery)
	if number > keptDeliveries {
		tx.Delete(byIDs(deliveryByte, webhook, number-keptDeliveries))
	}
}

func (r *deliveryRow) show(number uint64) Delivery {
	return Delivery{
		ID: number, Event: r.Event, Message: r.Message, Created: r.Created, Status: r.Status, Attempts: r.Attempts,
		LastAttempt: r.Tried, ResponseStatus: r.Response, Error: r.Error, Duration: r.Took, Payload: r.Body,
	}
}

// showWaiting shows what waits; row is what is kept of its tries, nil for
// nothing.
func showWaiting(w outbox.Waiting, row *deliveryRow) (Delivery, error) {
	number, err := strconv.ParseUint(w.ID, 10, 64)
	if err != nil {
		return Delivery{}, damaged(err)
	}
	q, err := decode[queuedEvent](w.Payload)
	if err != nil {
		return Delivery{}, err
	}
	if row == nil {
		row = &deliveryRow{}
	}
	d := row.show(number)
	d.Event, d.Message, d.Payload, d.Created = q.Event, q.Message, q.Body, w.Since.Unix()
	d.Status, d.Attempts, d.Error = DeliveryPending, w.Attempts, w.LastError
	if !w.Next.IsZero() {
		d.NextAttempt = w.Next.Unix()
	}
	return d, nil
}

// dropWaiting drops all that waits for a webhook, and says so in the log of the
// last of it.
func dropWaiting(tx *kv.Tx, organization, webhook uint64) error {
	queue := hookQueue(organization, webhook)
	last, err := outbox.Last(tx, queue, keptDeliveries)
	if err != nil {
		return err
	}
	outbox.Drop(tx, queue)
	for i, w := range last {
		d, err := showWaiting(w, nil)
		if err != nil {
			return err
		}
		if i == 0 && d.ID > keptDeliveries { // the newest: those before the kept ones go
			lo, _ := deliverySpan(webhook)
			tx.DeleteSpan(lo, byIDs(deliveryByte, webhook, d.ID-keptDeliveries+1))
		}
		row := &deliveryRow{
			queuedEvent: queuedEvent{d.Event, d.Message, json.RawMessage(d.Payload)},
			Created:     d.Created, Status: DeliveryDropped, Attempts: d.Attempts, Error: cmp.Or(d.Error, "the webhook was switched off before"),
		}
		tx.Set(byIDs(deliveryByte, webhook, d.ID), encode(row), keepDelivery)
	}
	return nil
}

// Deliveries lists the log of a webhook, the newest first: the last 100 that
// have ended within 30 days, and the next 100 that wait.
func (s *Session) Deliveries(webhook uint64, p Paging) (Page[Delivery], error) {
	row, err := s.webhook(webhook)
	if err != nil {
		return Page[Delivery]{}, err
	}
	rows, err := s.deliveryRows(webhook)
	if err != nil {
		return Page[Delivery]{}, err
	}
	waiting, err := outbox.First(s.tx, hookQueue(row.Organization, webhook), shownWaiting)
	if err != nil {
		return Page[Delivery]{}, err
	}
	list := make([]Delivery, 0, len(rows)+len(waiting))
	for _, w := range waiting {
		d, err := showWaiting(w, nil)
		if err != nil {
			return Page[Delivery]{}, err
		}
		if tried := rows[d.ID]; tried != nil {
			if d, err = showWaiting(w, tried); err != nil {
				return Page[Delivery]{}, err
			}
			delete(rows, d.ID)
		}
		list = append(list, d)
	}
	for number, row := range rows {
		list = append(list, row.show(number))
	}
	slices.SortFunc(list, func(a, b Delivery) int { return cmp.Compare(b.ID, a.ID) })
	p, lo, hi, err := p.bounds(len(list))
	if err != nil {
		return Page[Delivery]{}, err
	}
	return Page[Delivery]{Count: len(list), Number: p.Number, Size: p.Size, Items: list[lo:hi]}, nil
}

// deliveryRows returns the newest rows of a webhook's log by their numbers.
func (s *Session) deliveryRows(webhook uint64) (map[uint64]*deliveryRow, error) {
	rows := make(map[uint64]*deliveryRow)
	prefix := byID(deliveryByte, webhook)
	lo, hi := tuple.Span(prefix)
	for rec, err := range s.tx.ScanBack(lo, hi) {
		if err != nil {
			return nil, err
		}
		number, _, err := tuple.Uint(rec.Key[len(prefix):])
		if err != nil {
			return nil, damaged(err)
		}
		if rows[number], err = decode[deliveryRow](rec.Value); err != nil {
			return nil, err
		}
		if len(rows) == keptDeliveries {
			break
		}
	}
	return rows, nil
}

// Delivery returns one of the deliveries that are logged or wait.
func (s *Session) Delivery(webhook, number uint64) (Delivery, error) {
	row, err := s.webhook(webhook)
	if err != nil {
		return Delivery{}, err
	}
	return s.delivery(row.Organization, webhook, number)
}

func (s *Session) delivery(organization, webhook, number uint64) (Delivery, error) {
	tried, err := readRow[deliveryRow](s.tx, byIDs(deliveryByte, webhook, number))
	if err != nil {
		return Delivery{}, err
	}
	w, waits, err := outbox.Find(s.tx, hookQueue(organization, webhook), itemID(number))
	switch {
	case err != nil:
		return Delivery{}, err
	case waits:
		return showWaiting(w, tried)
	case tried == nil:
		return Delivery{}, errs.E(errs.NotFound, "Delivery not found.")
	}
	return tried.show(number), nil
}

// Redeliver delivers again what has ended, under a number of its own and after
// what waits, as the same message. What waits itself is tried at once. A webhook
// that is switched off is errs.Exists, one that takes no more errs.Unavailable.
func (s *Session) Redeliver(webhook, number uint64) (Delivery, error) {
	row, err := s.activeWebhook(webhook)
	if err != nil {
		return Delivery{}, err
	}
	d, err := s.delivery(row.Organization, webhook, number)
	if err != nil {
		return Delivery{}, err
	}
	if d.Status == DeliveryPending {
		if err := outbox.RetryNow(s.tx, hookQueue(row.Organization, webhook)); err != nil {
			return Delivery{}, err
		}
		return s.delivery(row.Organization, webhook, number)
	}
	return s.send(listener{webhook, row}, queuedEvent{d.Event, d.Message, d.Payload})
}

// TestWebhook sends the event webhook.test to a webhook, whatever events it
// names. Errors are those of Redeliver.
func (s *Session) TestWebhook(webhook uint64) (Delivery, error) {
	row, err := s.activeWebhook(webhook)
	if err != nil {
		return Delivery{}, err
	}
	e := toldEvent{eventTest, subject{ID: WebhookID(webhook), OrganizationID: row.Organization, SentBy: s.by()}}
	body, err := e.body(s.tx.Now())
	if err != nil {
		return Delivery{}, err
	}
	return s.send(listener{webhook, row}, queuedEvent{Event: e.name, Body: body})
}

// WebhookID is the id of a webhook as clients see it.
func WebhookID(id uint64) string { return "webhook_" + strconv.FormatUint(id, 10) }

// send puts one message into the queue of a webhook, with an id if it has none,
// and shows it.
func (s *Session) send(h listener, q queuedEvent) (Delivery, error) {
	number, err := readNumber(s.tx, countKey(countDeliveries, h.id))
	if err != nil {
		return Delivery{}, err
	}
	number++
	if q.Message == "" {
		q.Message = s.messageID(h.row.UID, number, q.Body)
	}
	queue := hookQueue(h.row.Organization, h.id)
	if err := outbox.Put(s.tx, outbox.Item{Queue: queue, ID: itemID(number), Payload: encode(q)}); err != nil {
		return Delivery{}, err
	}
	s.tx.Set(countKey(countDeliveries, h.id), encodeID(number), 0)
	return s.delivery(h.row.Organization, h.id, number)
}

// activeWebhook is webhook for one that is not switched off.
func (s *Session) activeWebhook(id uint64) (*hookRow, error) {
	row, err := s.webhook(id)
	if err == nil && row.Off {
		err = errs.E(errs.Exists, "This webhook is switched off. Set is_active to true first.")
	}
	return row, err
}
