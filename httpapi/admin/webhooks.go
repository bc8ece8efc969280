package admin

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// webhookInfo is one webhook in the list.
type webhookInfo struct {
	ID string `json:"id"`
	collection.WebhookSpec
	URLError string          `json:"url_error,omitempty"` // why this node cannot open the URL, which is then empty
	Created  time.Time       `json:"created"`
	Disabled *webhookOff     `json:"disabled,omitempty"`
	Queue    *webhookWaiting `json:"queue,omitempty"`  // in the list
	Secret   string          `json:"secret,omitempty"` // in the answer that creates it
}

// webhookOff says why a webhook is told nothing any more.
type webhookOff struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

// webhookWaiting is what a webhook has not been told yet.
type webhookWaiting struct {
	Pending   int        `json:"pending"`              // messages that were counted: up to 10,000, and 20,000 of all webhooks
	More      bool       `json:"more,omitempty"`       // there are more than that
	Oldest    *time.Time `json:"oldest,omitempty"`     // when the first of those was written
	Attempts  int        `json:"attempts,omitempty"`   // at the first
	Next      *time.Time `json:"next,omitempty"`       // try of the first; absent = at once
	LastError string     `json:"last_error,omitempty"` // of the first
	Suspended *time.Time `json:"suspended,omitempty"`  // so much waits that since then no more is taken
}

func describeWebhook(i collection.WebhookInfo) webhookInfo {
	h := webhookInfo{ID: i.ID, WebhookSpec: i.WebhookSpec, URLError: i.URLError, Created: *millis(i.Created)}
	if i.DisabledSince != 0 {
		h.Disabled = &webhookOff{Since: *millis(i.DisabledSince), Reason: i.Reason}
	}
	return h
}

func (c *call) listWebhooks() (any, error) {
	list := struct {
		Webhooks []webhookInfo `json:"webhooks"`
	}{Webhooks: []webhookInfo{}}
	var infos []collection.WebhookInfo
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		infos, err = c.Collections.Webhooks(tx, c.vars["db"])
		return err
	})
	for _, i := range infos {
		h := describeWebhook(i)
		q := i.Waiting
		h.Queue = &webhookWaiting{
			Pending: q.Pending, More: q.More, Oldest: instant(q.Oldest), Attempts: q.Attempts, Next: instant(q.Next),
			LastError: q.LastError, Suspended: instant(q.Suspended),
		}
		list.Webhooks = append(list.Webhooks, h)
	}
	return list, err
}

// instant is nil for the zero time.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// addWebhook makes a webhook and answers its secret. When an earlier try of the
// same request has made one, the secret of that one is answered: it went with the
// answer that was lost.
func (c *call) addWebhook() (any, error) {
	var spec collection.WebhookSpec
	if err := c.decode(&spec); err != nil {
		return nil, err
	}
	made, err := c.Collections.NewWebhook(c.vars["db"], spec)
	if err != nil {
		return nil, err
	}
	var info collection.WebhookInfo
	res, err := c.update(0, func(tx *kv.Tx) (err error) {
		tx.Reply([]byte(made.ID))
		info, err = c.Collections.AddWebhook(tx, made)
		return err
	})
	if err != nil {
		return nil, err
	}
	secret := made.Secret
	if res.Duplicate {
		if err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
			if info, err = c.Collections.Webhook(tx, c.vars["db"], string(res.Reply)); err == nil {
				secret, err = c.Collections.WebhookSecret(tx, c.vars["db"], info.ID)
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	h := describeWebhook(info)
	h.Secret = secret
	return h, nil
}

func (c *call) removeWebhook() (any, error) {
	return c.change(func(tx *kv.Tx) error { return c.Collections.RemoveWebhook(tx, c.vars["db"], c.vars["hook"]) })
}

// enableWebhook makes a webhook that was disabled hear of writes again.
func (c *call) enableWebhook() (any, error) {
	return c.change(func(tx *kv.Tx) error { return c.Collections.EnableWebhook(tx, c.vars["db"], c.vars["hook"]) })
}

// retryWebhook makes what waits for a webhook be tried at once.
func (c *call) retryWebhook() (any, error) {
	return c.change(func(tx *kv.Tx) error { return c.Collections.RetryWebhook(tx, c.vars["db"], c.vars["hook"]) })
}

// testWebhook sends a message that tells of no write, and answers its id.
func (c *call) testWebhook() (any, error) {
	token := rand.Text()
	var message string
	res, err := c.update(0, func(tx *kv.Tx) (err error) {
		message, err = c.Collections.PingWebhook(tx, c.vars["db"], c.vars["hook"], token)
		tx.Reply([]byte(message))
		return err
	})
	if res.Duplicate {
		message = string(res.Reply)
	}
	return map[string]string{"message": message}, err
}
