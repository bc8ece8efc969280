package collection

import (
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
)

// WebhookInfo describes a webhook to the operator, without its secret. The URL
// may hold another: it is for the operator alone.
type WebhookInfo struct {
	ID      string
	Created int64 // unix milliseconds
	WebhookSpec
	URLError      string // why this node cannot open the URL, which is then empty
	DisabledSince int64  // unix milliseconds, 0 = it is not disabled
	Reason        string // why it is disabled

	Waiting outbox.QueueInfo // only Webhooks tells this
}

// describeHook describes a webhook, also where its URL cannot be opened: it can
// still be seen and removed there.
func (s *Store) describeHook(db string, h *hook) WebhookInfo {
	i := WebhookInfo{
		ID: h.ID, Created: h.Created,
		WebhookSpec: WebhookSpec{Collections: h.Collections, Methods: h.Methods, Note: h.Note},
	}
	var err error
	if i.URL, err = s.hookURL(db, h); err != nil {
		i.URLError = err.Error()
	}
	if h.Disabled != nil {
		i.DisabledSince, i.Reason = h.Disabled.Since, h.Disabled.Reason
	}
	return i
}

func (s *Store) hookURL(db string, h *hook) (string, error) {
	url, err := s.cfg.Keyring.Open(h.Target, targetPlace(db, h.ID))
	return string(url), err
}

// Webhooks returns all webhooks of a database in the order of their making, with
// what waits for each, counted as far as outbox.Several does. Made for a View.
func (s *Store) Webhooks(tx *kv.Tx, db string) ([]WebhookInfo, error) {
	if _, err := s.open(tx, db); err != nil {
		return nil, err
	}
	hooks, err := s.hooksOf(tx, db)
	if err != nil {
		return nil, err
	}
	queues := make([]string, 0, len(hooks))
	for _, h := range hooks {
		queues = append(queues, hookQueue(db, h.ID))
	}
	waiting, err := outbox.Several(tx, queues)
	if err != nil {
		return nil, err
	}
	infos := make([]WebhookInfo, 0, len(hooks))
	for i, h := range hooks {
		info := s.describeHook(db, h)
		info.Waiting = waiting[i]
		infos = append(infos, info)
	}
	return infos, nil
}

// WebhookSecret returns the secret of a webhook, for the answer to its operator
// that was lost and for signing.
func (s *Store) WebhookSecret(tx *kv.Tx, db, id string) (string, error) {
	h, err := s.hook(tx, db, id)
	if err != nil {
		return "", err
	}
	secret, err := s.cfg.Keyring.Open(h.Secret, hookPlace(db, id))
	return string(secret), err
}

// Webhook returns one webhook without what waits for it.
func (s *Store) Webhook(tx *kv.Tx, db, id string) (WebhookInfo, error) {
	if _, err := s.open(tx, db); err != nil {
		return WebhookInfo{}, err
	}
	h, err := s.hook(tx, db, id)
	if err != nil {
		return WebhookInfo{}, err
	}
	return s.describeHook(db, h), nil
}

// PingWebhook puts a message that tells of no write into the queue of a webhook
// and returns its id, which the caller has made unique by token, drawn before
// the transaction. A disabled webhook is errs.Conflict.
func (s *Store) PingWebhook(tx *kv.Tx, db, id, token string) (message string, err error) {
	h, err := s.enabled(tx, db, id)
	if err != nil {
		return "", err
	}
	e := hookEvent{method: methodPing}
	record := e.append(nil)
	message = messageID(writeDigest(tx.Version(), db+"/"+token, [][]byte{record}), h.ID)
	return message, outbox.Put(tx, outbox.Item{Queue: hookQueue(db, id), ID: message, Payload: record})
}

// RetryWebhook makes what waits for a webhook be tried at once. A disabled
// webhook is errs.Conflict.
func (s *Store) RetryWebhook(tx *kv.Tx, db, id string) error {
	if _, err := s.enabled(tx, db, id); err != nil {
		return err
	}
	return outbox.RetryNow(tx, hookQueue(db, id))
}

// enabled returns a webhook that is not disabled.
func (s *Store) enabled(tx *kv.Tx, db, id string) (*hook, error) {
	if _, err := s.open(tx, db); err != nil {
		return nil, err
	}
	h, err := s.hook(tx, db, id)
	if err == nil && h.Disabled != nil {
		since := time.UnixMilli(h.Disabled.Since).UTC().Format(time.DateTime)
		return nil, errs.E(errs.Conflict, "webhook %s is disabled since %s: enable it first", id, since)
	}
	return h, err
}
