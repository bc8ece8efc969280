package client

import (
	"context"
	"net/http"
	"time"
)

// WebhookSpec says what a target wants to be told. Its lists are empty for all
// there is.
type WebhookSpec struct {
	URL         string   `json:"url"`
	Collections []string `json:"collections,omitempty"`
	Methods     []string `json:"methods,omitempty"` // POST PUT DELETE; a PATCH is told as PUT
	Note        string   `json:"note,omitempty"`    // for people
}

// Webhook is one webhook in the operator's list. Its secret is not shown.
type Webhook struct {
	ID string `json:"id"`
	WebhookSpec
	URLError string          `json:"url_error,omitempty"` // why the node that answered cannot open the URL, which is then empty
	Created  time.Time       `json:"created"`
	Disabled *WebhookOff     `json:"disabled,omitempty"` // nil: it is told of writes
	Queue    *WebhookWaiting `json:"queue,omitempty"`    // in the list
}

// WebhookOff says why a webhook is told nothing any more.
type WebhookOff struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

// WebhookWaiting is what a webhook has not been told yet.
type WebhookWaiting struct {
	Pending   int        `json:"pending"`              // messages that were counted: up to 10,000, and 20,000 of all webhooks
	More      bool       `json:"more,omitempty"`       // there are more than that
	Oldest    *time.Time `json:"oldest,omitempty"`     // when the first of those was written
	Attempts  int        `json:"attempts,omitempty"`   // at the first
	Next      *time.Time `json:"next,omitempty"`       // try of the first; absent = at once
	LastError string     `json:"last_error,omitempty"` // of the first
	Suspended *time.Time `json:"suspended,omitempty"`  // so much waits that since then no more is taken
}

// NewWebhook is a webhook that was just made, with what its messages are signed
// with.
type NewWebhook struct {
	Webhook
	Secret string `json:"secret"`
}

// Webhooks returns the database's webhooks, oldest first.
func (d *RestDatabase) Webhooks(ctx context.Context) ([]Webhook, error) {
	var doc struct {
		Webhooks []Webhook `json:"webhooks"`
	}
	err := d.r.read(ctx, operatorCall{op: "list the webhooks of database " + d.name, path: d.path + "/webhooks"}, &doc)
	return doc.Webhooks, err
}

// AddWebhook makes a webhook. Only its answer shows the secret.
func (d *RestDatabase) AddWebhook(ctx context.Context, s WebhookSpec) (made NewWebhook, err error) {
	call := operatorCall{op: "add a webhook to database " + d.name, method: http.MethodPost, path: d.path + "/webhooks"}
	err = d.r.change(ctx, call, s, &made)
	return made, err
}

// RemoveWebhook deletes the webhook of that id with what waits for it.
func (d *RestDatabase) RemoveWebhook(ctx context.Context, id string) error {
	call := operatorCall{op: "remove webhook " + id + " of database " + d.name, method: http.MethodDelete, path: d.path + escapedPath("webhooks", id)}
	return d.r.change(ctx, call, nil, nil)
}

// EnableWebhook makes a webhook that was disabled hear of writes again, of those
// from now on.
func (d *RestDatabase) EnableWebhook(ctx context.Context, id string) error {
	return d.webhook(ctx, "enable", id, nil)
}

// RetryWebhook makes what waits for a webhook be tried at once. A disabled one is
// ErrConflict.
func (d *RestDatabase) RetryWebhook(ctx context.Context, id string) error {
	return d.webhook(ctx, "retry", id, nil)
}

// TestWebhook sends a webhook a message that tells of no write, behind what waits
// for it, and returns the message's id. A disabled one is ErrConflict.
func (d *RestDatabase) TestWebhook(ctx context.Context, id string) (message string, err error) {
	var sent struct {
		Message string `json:"message"`
	}
	err = d.webhook(ctx, "test", id, &sent)
	return sent.Message, err
}

func (d *RestDatabase) webhook(ctx context.Context, verb, id string, into any) error {
	call := operatorCall{op: verb + " webhook " + id + " of database " + d.name, method: http.MethodPost, path: d.path + escapedPath("webhooks", id, verb)}
	return d.r.change(ctx, call, nil, into)
}
