package keynest

import (
	"encoding/json"
	"net/http"

	"github.com/coveydb/covey/layer/vault"
)

// hook is a webhook as clients see it. The secret is in the answer to what has
// set it, and nowhere else.
type hook struct {
	ID             string   `json:"id"`
	URL            string   `json:"url"`
	Events         []string `json:"events"`
	Secret         string   `json:"secret,omitempty"`
	Organization   uint64   `json:"organization"`
	Active         bool     `json:"is_active"`
	Created        string   `json:"created_at"`
	DisabledReason string   `json:"disabled_reason"`
	FailingSince   *string  `json:"failing_since"`
}

func showHook(h vault.Webhook) hook {
	return hook{
		ID: vault.WebhookID(h.ID), URL: h.URL, Events: h.Events, Secret: h.Secret, Organization: h.Organization,
		Active: h.Active, Created: stamp(h.Created), DisabledReason: h.DisabledReason, FailingSince: orNull(h.FailingSince),
	}
}

// hookNow is a webhook for an answer, as it is now.
func hookNow(s *vault.Session, id uint64) (any, error) {
	h, err := s.Webhook(id)
	return showHook(h), err
}

// hookWithSecret is hookNow for a repeat of a request that has set the secret:
// the answer to the first try was lost, with the secret.
func hookWithSecret(s *vault.Session, id uint64) (any, error) {
	h, err := s.WebhookWithSecret(id)
	return showHook(h), err
}

// delivery is an event on its way to a webhook as clients see it.
type delivery struct {
	ID             uint64               `json:"id"`
	Event          string               `json:"event"`
	Message        string               `json:"message_id"`
	Created        string               `json:"created_at"`
	Status         vault.DeliveryStatus `json:"status"`
	Attempts       int                  `json:"attempts"`
	LastAttempt    *string              `json:"last_attempt_at"`
	ResponseStatus *int                 `json:"response_status"`
	Error          string               `json:"error"`
	NextAttempt    *string              `json:"next_attempt_at"`
	Duration       int64                `json:"duration_ms"`
}

func showDelivery(d vault.Delivery) delivery {
	shown := delivery{
		ID: d.ID, Event: d.Event, Message: d.Message, Created: stamp(d.Created), Status: d.Status, Attempts: d.Attempts,
		LastAttempt: orNull(d.LastAttempt), Error: d.Error, NextAttempt: orNull(d.NextAttempt), Duration: d.Duration,
	}
	if d.ResponseStatus != 0 {
		shown.ResponseStatus = &d.ResponseStatus
	}
	return shown
}

// hookFields reads what a body says of a webhook.
func (q *request) hookFields(whole bool) vault.WebhookFields {
	f := &q.fields
	w := vault.WebhookFields{Whole: whole, URL: f.text("url"), Secret: f.text("secret"), Organization: f.id("organization")}
	switch v, ok := f.values["events"]; {
	case ok && v == nil:
		f.bad.Add("events", textNull)
	case ok:
		events := f.texts("events")
		w.Events = &events
	}
	if f.has("is_active") {
		active := f.truth("is_active", true)
		w.Active = &active
	}
	return w
}

func (q *request) listWebhooks() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	organization, _ := q.filterID("organization") // no number does not filter
	var page vault.Page[vault.Webhook]
	err = q.view(func(s *vault.Session) (err error) {
		page, err = s.Webhooks(organization, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showHook)
}

func (q *request) createWebhook() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields := q.hookFields(true)
	return q.create(func(s *vault.Session) (uint64, any, error) {
		h, err := s.CreateWebhook(fields)
		return h.ID, showHook(h), err
	}, hookWithSecret)
}

func (q *request) webhook() error { return q.one(hookNow) }

func (q *request) updateWebhook() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields, now := q.hookFields(false), hookNow
	if fields.Secret != nil {
		now = hookWithSecret
	}
	return q.save(http.StatusOK, func(s *vault.Session) (uint64, any, error) {
		h, err := s.UpdateWebhook(q.id, fields)
		return q.id, showHook(h), err
	}, now)
}

func (q *request) deleteWebhook() error {
	return q.remove(func(s *vault.Session) error { return s.DeleteWebhook(q.id) })
}

func (q *request) testWebhook() error {
	return q.change(http.StatusAccepted, func(s *vault.Session) (any, error) {
		d, err := s.TestWebhook(q.id)
		return showDelivery(d), err
	})
}

func (q *request) redeliver() error {
	return q.change(http.StatusAccepted, func(s *vault.Session) (any, error) {
		d, err := s.Redeliver(q.id, q.number)
		return showDelivery(d), err
	})
}

func (q *request) listDeliveries() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	var page vault.Page[vault.Delivery]
	err = q.view(func(s *vault.Session) (err error) {
		page, err = s.Deliveries(q.id, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showDelivery)
}

// delivery serves one delivery, with what is sent.
func (q *request) delivery() error {
	var d vault.Delivery
	err := q.view(func(s *vault.Session) (err error) {
		d, err = s.Delivery(q.id, q.number)
		return err
	})
	if err != nil {
		return err
	}
	return q.reply(http.StatusOK, struct {
		delivery
		Payload json.RawMessage `json:"payload"`
	}{showDelivery(d), d.Payload})
}
