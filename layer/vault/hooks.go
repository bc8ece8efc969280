package vault

import (
	"encoding/hex"
	"slices"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/outgoing/webhook"
)

// Bounds of webhooks.
const (
	MaxWebhooks   = 50  // of an organization
	maxHookReason = 300 // bytes
)

// hookRow is a webhook. Its URL is sealed like its secret: services put secrets
// into URLs.
type hookRow struct {
	Organization uint64   `json:"organization"`
	Created      int64    `json:"created"`
	UID          []byte   `json:"uid"` // random; what is sealed is bound to it
	Target       []byte   `json:"target"`
	Secret       []byte   `json:"secret"`
	Events       []string `json:"events"` // names and patterns, in order
	Off          bool     `json:"off,omitempty"`
	Reason       string   `json:"reason,omitempty"` // why the cluster has switched it off
}

// hookList is the ids of an organization's webhooks, ascending: a change reads
// this one row to know that nobody is to be told of it.
type hookList struct {
	IDs []uint64 `json:"ids"`
}

// Webhook is a webhook as the admins of its organization see it.
type Webhook struct {
	ID             uint64
	URL            string
	Events         []string
	Secret         string // only after it was set; see WithSecret
	Organization   uint64
	Active         bool
	Created        int64
	DisabledReason string // why the cluster has switched it off
	FailingSince   int64  // when the message came about that cannot be delivered; 0 = none is failing
}

// hookTargetPlace and hookSecretPlace are what a webhook's URL and its secret are
// sealed for.
func hookTargetPlace(uid []byte) []byte {
	return append(hex.AppendEncode([]byte("vault/webhook/"), uid), "/url"...)
}

func hookSecretPlace(uid []byte) []byte {
	return append(hex.AppendEncode([]byte("vault/webhook/"), uid), "/secret"...)
}

// CreateWebhook makes a webhook, which hears of what is committed later. It has
// its Secret.
func (s *Session) CreateWebhook(fields WebhookFields) (Webhook, error) {
	if err := s.needUser(); err != nil {
		return Webhook{}, err
	}
	fields.Whole = true
	f := FieldErrors{}
	row := &hookRow{Created: s.now(), Events: fields.check(f, s.store.cfg.AllowPrivate)}
	if fields.Organization != nil {
		row.Organization = *fields.Organization
		_, _, err := s.organization(row.Organization, ManageWebhooks)
		if err := f.unknown("organization", row.Organization, err); err != nil {
			return Webhook{}, err
		}
	}
	if err := f.Err(); err != nil {
		return Webhook{}, err
	}
	list, err := s.hooksOf(row.Organization)
	if err != nil {
		return Webhook{}, err
	}
	if len(list.IDs) >= MaxWebhooks {
		return Webhook{}, FieldErrors{"non_field_errors": {"Organization has reached the maximum number of webhooks."}}
	}
	id, err := nextID(s.tx, "webhook")
	if err != nil {
		return Webhook{}, err
	}
	if row.UID, err = s.newUID(); err != nil {
		return Webhook{}, err
	}
	if fields.Secret == nil {
		fields.Secret = new(string)
	}
	if err := s.applyWebhook(id, row, fields); err != nil {
		return Webhook{}, err
	}
	s.tx.Set(byID(hooksByte, row.Organization), encode(hookList{append(slices.Clone(list.IDs), id)}), 0)
	if err := s.auditWebhook(verbCreate, id, row, nil); err != nil {
		return Webhook{}, err
	}
	return s.WebhookWithSecret(id)
}

// applyWebhook stores a row with what the fields, which were checked, change in
// it, but for the events.
func (s *Session) applyWebhook(id uint64, row *hookRow, fields WebhookFields) (err error) {
	if err := s.store.needKeyring(); err != nil {
		return err
	}
	ring := s.store.cfg.Keyring
	if fields.URL != nil {
		if row.Target, err = ring.SealFrom(s.draw.seed, []byte(*fields.URL), hookTargetPlace(row.UID)); err != nil {
			return err
		}
	}
	if fields.Secret != nil {
		text := *fields.Secret
		if text == "" {
			p, err := s.random()
			if err != nil {
				return err
			}
			text = webhook.SecretText(p)
		}
		if row.Secret, err = ring.SealFrom(s.draw.seed, []byte(text), hookSecretPlace(row.UID)); err != nil {
			return err
		}
	}
	if fields.Active != nil {
		row.Off, row.Reason = !*fields.Active, ""
	}
	s.tx.Set(byID(hookByte, id), encode(row), 0)
	return nil
}

// UpdateWebhook changes what fields has. A webhook that is switched off loses
// what waits for it; one that is switched on hears of what is committed later.
func (s *Session) UpdateWebhook(id uint64, fields WebhookFields) (Webhook, error) {
	row, err := s.webhook(id)
	if err != nil {
		return Webhook{}, err
	}
	f := FieldErrors{}
	events := fields.check(f, s.store.cfg.AllowPrivate)
	if fields.Organization != nil && *fields.Organization != row.Organization {
		_, _, err := s.organization(*fields.Organization, ReadOrganization)
		if err := f.immovable("organization", *fields.Organization, err, "A webhook cannot be moved to another organization."); err != nil {
			return Webhook{}, err
		}
	}
	if err := f.Err(); err != nil {
		return Webhook{}, err
	}
	if fields.Events != nil {
		row.Events = events
	}
	wasOff := row.Off
	if err := s.applyWebhook(id, row, fields); err != nil {
		return Webhook{}, err
	}
	if row.Off && !wasOff {
		if err := dropWaiting(s.tx, row.Organization, id); err != nil {
			return Webhook{}, err
		}
	}
	if err := s.auditWebhook(verbUpdate, id, row, fields.named()); err != nil {
		return Webhook{}, err
	}
	if fields.Secret != nil {
		return s.WebhookWithSecret(id)
	}
	return s.Webhook(id)
}

// DeleteWebhook removes a webhook with what waits for it and its log.
func (s *Session) DeleteWebhook(id uint64) error {
	row, err := s.webhook(id)
	if err != nil {
		return err
	}
	list, err := s.hooksOf(row.Organization)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(list.IDs), func(other uint64) bool { return other == id })
	if len(left) == 0 {
		s.tx.Delete(byID(hooksByte, row.Organization))
	} else {
		s.tx.Set(byID(hooksByte, row.Organization), encode(hookList{left}), 0)
	}
	dropHook(s.tx, row.Organization, id)
	return s.auditWebhook(verbDelete, id, row, nil)
}

// dropHook deletes a webhook but for its place in the organization's list. It
// reads nothing.
func dropHook(tx *kv.Tx, organization, id uint64) {
	tx.Delete(byID(hookByte, id))
	tx.Delete(countKey(countDeliveries, id))
	tx.DeleteSpan(deliverySpan(id))
	outbox.Drop(tx, hookQueue(organization, id))
}

// auditWebhook records what was done to a webhook. Its URL is not told.
func (s *Session) auditWebhook(v verb, id uint64, row *hookRow, fields []string) error {
	told := details{"events": row.Events, "is_active": !row.Off}
	if fields != nil {
		told["fields"] = fields
	}
	return s.audit(event{row.Organization, v, targetWebhook, id, told})
}

// hooksOf returns the ids of an organization's webhooks, which must not be
// changed.
func (s *Session) hooksOf(organization uint64) (*hookList, error) {
	list, _, err := s.store.rows.hookLists.Get(s.tx, byID(hooksByte, organization), decode)
	if err == nil && list == nil {
		list = new(hookList)
	}
	return list, err
}

// webhook opens a webhook for an admin of its organization, as organization
// does. The row is the caller's, but not what its slices lead to.
func (s *Session) webhook(id uint64) (*hookRow, error) {
	row, err := s.store.hook(s.tx, id)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, errNotFound()
	}
	_, _, err = s.organization(row.Organization, ManageWebhooks)
	return row, err
}

// hook returns the row of a webhook, nil if there is none.
func (s *Store) hook(tx *kv.Tx, id uint64) (*hookRow, error) {
	return recall(&s.rows.hooks, tx, byID(hookByte, id))
}

// Webhooks lists the webhooks of the organizations whose admin the caller is, or
// of one: where the caller is a member but no admin that is errs.Forbidden, and
// where it is no member there are none.
func (s *Session) Webhooks(organization uint64, p Paging) (Page[Webhook], error) {
	if err := s.needUser(); err != nil {
		return Page[Webhook]{}, err
	}
	organizations := []uint64{organization}
	if organization != 0 {
		_, _, err := s.organization(organization, ManageWebhooks)
		if errs.Is(err, errs.NotFound) {
			return page(p, nil, s.Webhook)
		}
		if err != nil {
			return Page[Webhook]{}, err
		}
	} else {
		var err error
		if organizations, err = appendIDs(s.tx, nil, memberOfByte, s.user); err != nil {
			return Page[Webhook]{}, err
		}
	}
	var ids []uint64
	for _, o := range organizations {
		role, err := s.role(o)
		if err != nil {
			return Page[Webhook]{}, err
		}
		if !s.store.grants(role, ManageWebhooks) {
			continue
		}
		list, err := s.hooksOf(o)
		if err != nil {
			return Page[Webhook]{}, err
		}
		ids = append(ids, list.IDs...)
	}
	return page(p, ids, s.Webhook)
}

// Webhook returns a webhook without its secret.
func (s *Session) Webhook(id uint64) (Webhook, error) {
	row, err := s.webhook(id)
	if err != nil {
		return Webhook{}, err
	}
	url, err := s.store.cfg.Keyring.Open(row.Target, hookTargetPlace(row.UID))
	if err != nil {
		return Webhook{}, err
	}
	shown := Webhook{
		ID: id, URL: string(url), Events: row.Events, Organization: row.Organization,
		Active: !row.Off, Created: row.Created, DisabledReason: row.Reason,
	}
	first, err := outbox.First(s.tx, hookQueue(row.Organization, id), 1)
	if err == nil && len(first) > 0 && first[0].Attempts > 0 {
		shown.FailingSince = first[0].Since.Unix()
	}
	return shown, err
}

// WebhookWithSecret is Webhook with the secret, for the answer to the request
// that has set it, and to a repeat of that.
func (s *Session) WebhookWithSecret(id uint64) (Webhook, error) {
	shown, err := s.Webhook(id)
	if err != nil {
		return Webhook{}, err
	}
	row, err := s.webhook(id)
	if err != nil {
		return Webhook{}, err
	}
	secret, err := s.store.cfg.Keyring.Open(row.Secret, hookSecretPlace(row.UID))
	shown.Secret = string(secret)
	return shown, err
}
