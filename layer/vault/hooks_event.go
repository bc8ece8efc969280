package vault

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv/outbox"
)

// A webhook is told of each change in the transaction that makes it: the event
// is put into the hook's queue and is committed with the change, or not at all.
// Never is a value part of it.

// toldEvent is something that webhooks are told: a name of EventNames, and what
// it is about under the name that its name begins with.
type toldEvent struct {
	name string
	of   subject
}

// subject is what an event tells of a thing. Of things that differ, it has
// different fields.
type subject struct {
	ID             any    `json:"id,omitempty"` // a number, or that of a webhook as clients see it
	Key            string `json:"key,omitempty"`
	OldKey         string `json:"old_key,omitempty"` // before it was renamed
	UserID         uint64 `json:"user_id,omitempty"`
	Email          string `json:"email,omitempty"`
	Role           Role   `json:"role,omitempty"`
	OldRole        Role   `json:"old_role,omitempty"`
	Name           string `json:"name,omitempty"`
	OldName        string `json:"old_name,omitempty"`
	EnvironmentID  uint64 `json:"environment_id,omitempty"`
	ProjectID      uint64 `json:"project_id,omitempty"`
	OrganizationID uint64 `json:"organization_id,omitempty"`

	// Who did it: an e-mail address, or the name of what acted for a user. One of
	// these.
	CreatedBy string `json:"created_by,omitempty"`
	UpdatedBy string `json:"updated_by,omitempty"`
	DeletedBy string `json:"deleted_by,omitempty"`
	AddedBy   string `json:"added_by,omitempty"`
	RemovedBy string `json:"removed_by,omitempty"`
	SentBy    string `json:"sent_by,omitempty"`
}

const eventTest = "webhook.test"

// maxTold bounds what one request puts into the queues of all webhooks, in
// bytes: it is committed together with the change itself, of which a command has
// room for 32 MiB. An import of 1,000 variables told to 50 webhooks fits.
const maxTold = 20 << 20

// toldOverhead is about what an item of a queue takes beside its payload.
const toldOverhead = 100

// envelope is the body of a message.
type envelope struct {
	Event     string         `json:"event"`
	Timestamp string         `json:"timestamp"`
	Data      map[string]any `json:"data"`
}

// queuedEvent is an item of a webhook's queue.
type queuedEvent struct {
	Event   string          `json:"event"`
	Message string          `json:"message"` // id, the same when it is delivered again
	Body    json.RawMessage `json:"body"`
}

// by is whom an event names as who did it.
func (s *Session) by() string {
	who := s.actor()
	return cmp.Or(who.Email, who.Name)
}

// toldVariable is a variable that was changed.
type toldVariable struct {
	id     uint64
	key    string
	oldKey string // if it was another
}

// tellVariables tells the webhooks of the organization that variables of a place
// were created, updated or deleted, in this order. Call it once for all that one
// request does: where there are no webhooks it costs one read.
func (s *Session) tellVariables(at *place, v verb, changed ...toldVariable) error {
	events := make([]toldEvent, 0, len(changed))
	for _, c := range changed {
		of := subject{ID: c.id, Key: c.key, OldKey: c.oldKey, EnvironmentID: at.environmentID}
		of.done(v, s.by())
		events = append(events, toldEvent{"variable." + pastTense[v], of})
	}
	return s.tell(at.project.Organization, events...)
}

// tellEnvironment tells that an environment has changed. A name before that
// differs is told.
func (s *Session) tellEnvironment(at *place, v verb, before string) error {
	of := subject{ID: at.environmentID, Name: at.environment.Name, ProjectID: at.environment.Project}
	if before != of.Name {
		of.OldName = before
	}
	of.done(v, s.by())
	return s.tell(at.project.Organization, toldEvent{"environment." + pastTense[v], of})
}

// tellProject tells that a project has changed from what before was, which is
// row itself if nothing has. Those whom it leaves are told as well as those to
// whom it comes.
func (s *Session) tellProject(v verb, id uint64, row, before *projectRow) error {
	of := subject{ID: id, Name: row.Name, OrganizationID: row.Organization}
	if before.Name != row.Name {
		of.OldName = before.Name
	}
	of.done(v, s.by())
	e := toldEvent{"project." + pastTense[v], of}
	if before.Organization != row.Organization {
		if err := s.tell(before.Organization, e); err != nil {
			return err
		}
	}
	return s.tell(row.Organization, e)
}

// tellMember tells that a member has come, gone, or changed from another role.
func (s *Session) tellMember(organization uint64, v verb, m Member, before Role) error {
	of := subject{UserID: m.ID, Email: m.Email, Role: m.Role, OldRole: before, OrganizationID: organization}
	name := "member.updated"
	switch v {
	case verbCreate:
		name, of.AddedBy = "member.added", s.by()
	case verbDelete:
		name, of.RemovedBy = "member.removed", s.by()
	default:
		of.UpdatedBy = s.by()
	}
	return s.tell(organization, toldEvent{name, of})
}

func (of *subject) done(v verb, by string) {
	switch v {
	case verbCreate:
		of.CreatedBy = by
	case verbDelete:
		of.DeletedBy = by
	default:
		of.UpdatedBy = by
	}
}

// listener is a webhook that may be told.
type listener struct {
	id  uint64
	row *hookRow
}

// wants reports whether the webhook wants to hear of an event.
func (l listener) wants(event string) bool {
	return slices.ContainsFunc(l.row.Events, func(pattern string) bool { return names(pattern, event) })
}

// listeners returns the webhooks of an organization that are not switched off.
// Where there are none it costs one read.
func (s *Session) listeners(organization uint64) (hooks []listener, err error) {
	list, err := s.hooksOf(organization)
	if err != nil {
		return nil, err
	}
	for _, id := range list.IDs {
		row, err := s.store.hook(s.tx, id)
		if err != nil {
			return nil, err
		}
		if row == nil {
			return nil, errs.E(errs.Internal, "webhook %d is in a list but not there", id)
		}
		if !row.Off {
			hooks = append(hooks, listener{id, row})
		}
	}
	return hooks, nil
}

// tell puts events into the queues of those webhooks of an organization that
// want to hear of them, in their order.
func (s *Session) tell(organization uint64, list ...toldEvent) error {
	hooks, err := s.listeners(organization)
	if err != nil || len(hooks) == 0 || len(list) == 0 {
		return err
	}
	bodies := make([]json.RawMessage, len(list))
	for i, e := range list {
		if bodies[i], err = e.body(s.tx.Now()); err != nil {
			return err
		}
	}
	for _, h := range hooks {
		last, err := readNumber(s.tx, countKey(countDeliveries, h.id))
		if err != nil {
			return err
		}
		first := last
		for i, e := range list {
			if !h.wants(e.name) {
				continue
			}
			last++
			q := queuedEvent{Event: e.name, Message: s.messageID(h.row.UID, last, bodies[i]), Body: bodies[i]}
			if err := s.enqueue(h, last, q); err != nil {
				return err
			}
		}
		if last != first {
			s.tx.Set(countKey(countDeliveries, h.id), encodeID(last), 0)
		}
	}
	return nil
}

// body is the body of the message of an event.
func (e toldEvent) body(now int64) (json.RawMessage, error) {
	what, _, _ := strings.Cut(e.name, ".")
	return plainJSON(envelope{
		Event: e.name, Timestamp: time.UnixMilli(now).UTC().Format(time.RFC3339), Data: map[string]any{what: e.of},
	})
}

// messageID makes up the id of a message to a webhook. The version makes it
// another one where a cluster was restored and gives a number again.
func (s *Session) messageID(uid []byte, number uint64, body []byte) string {
	h := sha256.New()
	_, _ = h.Write(uid)
	_, _ = h.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, number), s.tx.Version()))
	_, _ = h.Write(body)
	return "msg_" + hex.EncodeToString(h.Sum(nil)[:16])
}

// enqueue puts an event into a webhook's queue under a number. A queue that takes
// no more loses it, which the log shows: the change does not depend on it.
func (s *Session) enqueue(h listener, number uint64, q queuedEvent) error {
	item := outbox.Item{Queue: hookQueue(h.row.Organization, h.id), ID: itemID(number), Payload: encode(q)}
	if s.told += len(item.Payload) + toldOverhead; s.told > maxTold {
		return errs.E(errs.TooLarge, "this is too much to tell the webhooks of the organization at once: change fewer things in one request")
	}
	err := outbox.Put(s.tx, item)
	if !errors.Is(err, outbox.ErrSuspended) {
		return err
	}
	setDelivery(s.tx, h.id, number, &deliveryRow{
		queuedEvent: q, Created: s.now(), Status: DeliveryDropped, Error: "so much waited that no more was taken",
	})
	return nil
}

// itemID is the id of the item with a number: ids ascend with numbers.
func itemID(number uint64) string { return fmt.Sprintf("%020d", number) }
