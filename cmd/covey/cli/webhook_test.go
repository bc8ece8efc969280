package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/kv/posting"
)

func TestWebhooksAreAddedListedTestedAndRemoved(t *testing.T) {
	w := newWorld(t)
	o := w.asRoot("restdb", "webhook", "add", "https://example.com/hook", "--collections", "items,things", "--methods", "POST,PATCH", "--note", "the shop")
	secret, id, ok := strings.Cut(strings.TrimSpace(o.out), "\t")
	if o.code != 0 || !ok || !strings.HasPrefix(secret, "whsec_") || len(id) != 12 {
		t.Fatalf("add: %+v", o)
	}
	w.walk([]step{
		{0, id + "\thttps://example.com/hook\titems,things\tPOST,PUT\ton\t0\tthe shop\n", []string{"restdb", "webhook", "list"}},
		{0, "", []string{"restdb", "webhook", "retry", id}},
		{0, "", []string{"restdb", "webhook", "enable", id}},
		{2, "URL", []string{"restdb", "webhook", "add"}},
		{1, "https", []string{"restdb", "webhook", "add", "http://example.com"}},
		{1, "POST, PUT and DELETE", []string{"restdb", "webhook", "add", "https://example.com", "--methods", "GET"}},
		{2, "--collections", []string{"restdb", "webhook", "add", "https://example.com", "--collections", ""}},
		{2, "--methods", []string{"restdb", "webhook", "add", "https://example.com", "--methods", ""}},
		{3, "not found", []string{"restdb", "webhook", "test", "0123456789ab"}},
		{3, "not found", []string{"restdb", "webhook", "list", "--database", "nowhere"}},
		{2, "Remove webhook " + id + " of database default, with what it has not been told yet needs --yes", []string{"restdb", "webhook", "remove", id}},
		{2, "Remove 2 webhooks of database default, with what they have not been told yet needs --yes", []string{"restdb", "webhook", "remove", id, id}},
	})
	if o := w.asRoot("restdb", "webhook", "test", id); o.code != 0 || !strings.HasPrefix(o.out, "msg_") {
		t.Errorf("test: %+v", o)
	}
	var list []client.Webhook
	if o := w.asRoot("restdb", "webhook", "list", "-o", "json"); json.Unmarshal([]byte(o.out), &list) != nil || len(list) != 1 || list[0].Queue.Pending != 1 || strings.Contains(o.out, "secret") {
		t.Errorf("list: %+v", o)
	}
	s := &posting.Sender{DB: w.store.DB, Hooks: w.docs.Hooks()}
	if _, err := w.store.DB.Update(t.Context(), func(tx *kv.Tx) error {
		d := outbox.Delivery{Item: outbox.Item{Queue: "webhook/restdb/default/" + id}}
		return s.Settle(tx, d, errs.E(errs.Unavailable, "the target answered 500"))
	}); err != nil {
		t.Fatal(err)
	}
	if o := w.asRoot("restdb", "webhook", "list"); !strings.Contains(o.out, "\tdisabled ") || !strings.Contains(o.out, ": the target answered 500\t0\t") {
		t.Errorf("list: %+v", o)
	}
	w.walk([]step{
		{5, "disabled since", []string{"restdb", "webhook", "test", id}},
		{0, "", []string{"restdb", "webhook", "remove", id, "--yes"}},
		{0, "", []string{"restdb", "webhook", "list"}},
		{3, "not found", []string{"restdb", "webhook", "remove", id, "--yes"}},
	})
}

func TestTheListOfWebhooksSaysWhatGoesWrong(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		hook client.Webhook
		want string // the columns URL, STATE and WAITING
	}{
		{client.Webhook{Queue: &client.WebhookWaiting{}}, "|on|0"},
		{client.Webhook{WebhookSpec: client.WebhookSpec{URL: "https://a.example"}, Queue: &client.WebhookWaiting{Pending: 400, More: true}}, "https://a.example|on|at least 400"},
		{client.Webhook{URLError: "no keyring"}, "cannot be opened: no keyring|on|"},
		{client.Webhook{Queue: &client.WebhookWaiting{Pending: 3, Attempts: 2, LastError: "no answer"}}, "|failed 2 times: no answer|3"},
		{client.Webhook{Queue: &client.WebhookWaiting{Pending: 3, Attempts: 2, LastError: "no answer", Next: &at}}, "|failed 2 times: no answer; next try 2026-01-02 03:04:05|3"},
		{client.Webhook{Queue: &client.WebhookWaiting{Pending: 9, Suspended: &at}}, "|suspended 2026-01-02 03:04:05, too much waits; on|9"},
	} {
		cells := webhookRow(tt.hook).Cells
		if got := cells[1] + "|" + cells[4] + "|" + cells[5]; got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
