package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/kv/posting"
	"github.com/coveydb/covey/outgoing/webhook"
)

// HookKind is the kind of the queues of webhooks, whose Sender is one of package
// posting with the Store's Hooks.
const HookKind = "webhook-keynest"

// SignatureHeader is the header with the signature of a message: t= and the unix
// time of the try, a comma, v1= and the hexadecimal HMAC-SHA256, under the text
// of the secret, of that time, a dot and the body.
const SignatureHeader = "X-KeyNest-Signature"

func hookQueue(organization, id uint64) string {
	return HookKind + "/" + strconv.FormatUint(organization, 10) + "/" + strconv.FormatUint(id, 10)
}

// splitQueue reads what hookQueue wrote.
func splitQueue(queue string) (organization, id uint64, ok bool) {
	rest, ok := strings.CutPrefix(queue, HookKind+"/")
	first, second, both := strings.Cut(rest, "/")
	organization, err := strconv.ParseUint(first, 10, 64)
	id, err2 := strconv.ParseUint(second, 10, 64)
	return organization, id, ok && both && err == nil && err2 == nil
}

// sign is the value of SignatureHeader.
func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, []byte(secret))
	_, _ = h.Write([]byte(t + "."))
	_, _ = h.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil))
}

// hooks are the webhooks of a Store, for package posting.
type hooks struct{ s *Store }

var _ posting.Witness = hooks{}

// Hooks returns the webhooks as a posting.Sender delivers to them.
func (s *Store) Hooks() posting.Hooks { return hooks{s} }

// target returns the webhook that a delivery is for, nil if it was removed or
// switched off.
func (h hooks) target(tx *kv.Tx, d outbox.Delivery) (id uint64, row *hookRow, err error) {
	_, id, ok := splitQueue(d.Queue)
	if !ok {
		return 0, nil, nil
	}
	row, err = h.s.hook(tx, id)
	if err != nil || row == nil || row.Off {
		return id, nil, err
	}
	return id, row, nil
}

// Message implements posting.Hooks.
func (h hooks) Message(tx *kv.Tx, d outbox.Delivery, at time.Time) (m webhook.Message, err error) {
	_, row, err := h.target(tx, d)
	if err != nil {
		return m, err
	}
	if row == nil {
		return m, posting.ErrNoTarget
	}
	q, err := decode[queuedEvent](d.Payload)
	if err != nil {
		return m, err
	}
	url, err := h.s.cfg.Keyring.Open(row.Target, hookTargetPlace(row.UID))
	if err != nil {
		return m, err
	}
	secret, err := h.s.cfg.Keyring.Open(row.Secret, hookSecretPlace(row.UID))
	if err != nil {
		return m, err
	}
	m = webhook.Message{URL: string(url), ID: q.Message, Body: q.Body}
	m.Headers = http.Header{SignatureHeader: {sign(string(secret), at, q.Body)}}
	m.Secret, err = signingKey(string(secret))
	return m, err
}

// attempt is the row of a delivery after a try.
func attempt(tx *kv.Tx, d outbox.Delivery, t posting.Try, failed error) (*deliveryRow, uint64, error) {
	number, err := strconv.ParseUint(d.ID, 10, 64)
	if err != nil {
		return nil, 0, damaged(err)
	}
	q, err := decode[queuedEvent](d.Payload)
	if err != nil {
		return nil, 0, err
	}
	row := &deliveryRow{
		queuedEvent: *q, Created: d.Since.Unix(), Status: DeliveryPending, Attempts: d.Attempt,
		Tried: tx.Now() / 1000, Response: t.Status, Took: t.Took.Milliseconds(),
	}
	if failed != nil {
		row.Error = reasonOf(failed)
	}
	return row, number, nil
}

// reasonOf is an error's text, bounded.
func reasonOf(err error) string {
	text := oneLine(err.Error())
	return strings.ToValidUTF8(text[:min(len(text), maxHookReason)], "")
}

// Failed implements posting.Witness.
func (h hooks) Failed(tx *kv.Tx, d outbox.Delivery, t posting.Try, failed error) error {
	id, row, err := h.target(tx, d)
	if err != nil || row == nil {
		return err
	}
	if _, waits, err := outbox.Find(tx, d.Queue, d.ID); err != nil || !waits {
		return err
	}
	log, number, err := attempt(tx, d, t, failed)
	if err == nil {
		setDelivery(tx, id, number, log)
	}
	return err
}

// Ended implements posting.Hooks: it logs the delivery, and if that was given up
// switches the webhook off, with the reason, and drops what waits.
func (h hooks) Ended(tx *kv.Tx, d outbox.Delivery, t posting.Try, failed error) error {
	id, row, err := h.target(tx, d)
	if err != nil || row == nil {
		return err
	}
	log, number, err := attempt(tx, d, t, failed)
	if err != nil {
		return err
	}
	if failed == nil {
		log.Status = DeliveryDelivered
		setDelivery(tx, id, number, log)
		return nil
	}
	if err := dropWaiting(tx, row.Organization, id); err != nil {
		return err
	}
	log.Status = DeliveryFailed
	tx.Set(byIDs(deliveryByte, id, number), encode(log), keepDelivery)
	row.Off, row.Reason = true, reasonAfter(failed, t)
	tx.Set(byID(hookByte, id), encode(row), 0)
	return record(tx, actor{Name: systemName}, event{row.Organization, verbUpdate, targetWebhook, id, details{
		"events": row.Events, "is_active": false, "reason": row.Reason,
	}})
}

// systemName is who does what nobody has asked for, in the audit log.
const systemName = "system"

// reasonAfter says why a webhook is switched off.
func reasonAfter(failed error, t posting.Try) string {
	if errors.Is(failed, webhook.ErrGone) || t.Status == http.StatusGone {
		return reasonOf(failed)
	}
	return "no success for " + strconv.Itoa(int(posting.GiveUp/(24*time.Hour))) + " days: " + reasonOf(failed)
}
