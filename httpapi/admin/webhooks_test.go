package admin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/kv/posting"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/outgoing/webhook"
)

const hooks = "/databases/default/webhooks"

// hookList returns the webhooks of the default database.
func (w *world) hookList() []webhookInfo {
	w.t.Helper()
	var list struct{ Webhooks []webhookInfo }
	if err := json.Unmarshal([]byte(w.must(200, "GET", hooks, "")), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Webhooks
}

// addHook adds a webhook.
func (w *world) addHook(body string, headers ...string) (made webhookInfo) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.must(201, "POST", hooks, body, headers...)), &made); err != nil {
		w.t.Fatal(err)
	}
	return made
}

func TestWebhooksAreAddedListedAndRemoved(t *testing.T) {
	w := newWorld(t)
	if text := w.must(200, "GET", hooks, ""); text != `{"webhooks":[]}` {
		t.Errorf("none: %s", text)
	}
	made := w.addHook(`{"url":"https://example.com/hook","collections":["items"],"methods":["post","PATCH"],"note":"the shop"}`)
	if _, err := webhook.ParseSecret(made.Secret); err != nil || len(made.ID) != 12 {
		t.Errorf("%+v: %v", made, err)
	}
	w.must(201, "POST", "/databases/default/collections", `{"name":"items"}`)
	w.must(201, "POST", "/databases/default/collections/items/documents", `[{"n":1}]`)
	list := w.hookList()
	if len(list) != 1 || list[0].ID != made.ID || list[0].Secret != "" || list[0].Disabled != nil || strings.Join(list[0].Methods, ",") != "POST,PUT" ||
		list[0].Note != "the shop" || list[0].Queue == nil || list[0].Queue.Pending != 1 || list[0].Queue.Oldest == nil {
		t.Errorf("%+v", list)
	}
	if text := w.must(200, "GET", hooks, ""); strings.Contains(text, "secret") || strings.Contains(text, made.Secret) {
		t.Errorf("the list tells a secret: %s", text)
	}
	w.must(204, "POST", hooks+"/"+made.ID+"/retry", "")
	var sent struct{ Message string }
	if err := json.Unmarshal([]byte(w.must(201, "POST", hooks+"/"+made.ID+"/test", "")), &sent); err != nil || !strings.HasPrefix(sent.Message, "msg_") {
		t.Errorf("test: %+v %v", sent, err)
	}
	if q := w.hookList()[0].Queue; q.Pending != 2 {
		t.Errorf("after the test: %+v", q)
	}
	w.must(204, "DELETE", hooks+"/"+made.ID, "")
	for _, verb := range []string{"", "/enable", "/retry", "/test"} {
		method := "POST"
		if verb == "" {
			method = "DELETE"
		}
		w.must(404, method, hooks+"/"+made.ID+verb, "")
	}
	w.must(404, "GET", "/databases/nowhere/webhooks", "")
}

func TestWebhooksThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{
		`{}`, `{"url":"http://example.com"}`, `{"url":"https://127.0.0.1/"}`, `{"url":"https://u:p@example.com/"}`,
		`{"url":"https://example.com","methods":["GET"]}`, `{"url":"https://example.com","collections":["a/b"]}`, `{"url":"https://example.com","secret":"mine"}`,
	} {
		w.must(400, "POST", hooks, body)
	}
	w.config.Collections = collection.New(collection.Config{DefaultKey: auth.NewRootKey("k")})
	if text := w.must(400, "POST", hooks, `{"url":"https://example.com"}`); !strings.Contains(text, "keyring") {
		t.Errorf("without a keyring: %s", text)
	}
}

// A request that is repeated because its answer was lost makes one webhook, and
// is answered with its secret.
func TestAWebhookIsAddedOnceForOneIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	const again = "Idempotency-Key: 0123456789abcdef"
	const body = `{"url":"https://example.com/hook"}`
	w.store.LoseNext(1)
	w.must(504, "POST", hooks, body, again)
	first := w.addHook(body, again)
	second := w.addHook(body, again)
	if first.ID != second.ID || first.Secret != second.Secret || first.Secret == "" || len(w.hookList()) != 1 {
		t.Errorf("%+v, then %+v, of %d", first, second, len(w.hookList()))
	}
	w.store.LoseNext(1)
	w.must(504, "POST", hooks+"/"+first.ID+"/test", "", again)
	w.must(201, "POST", hooks+"/"+first.ID+"/test", "", again)
	if q := w.hookList()[0].Queue; q.Pending != 1 {
		t.Errorf("a test that was tried twice: %+v", q)
	}
}

// A node without the keyring shows a webhook without its URL, and can remove it.
func TestAWebhookWhoseURLCannotBeOpenedIsListed(t *testing.T) {
	w := newWorld(t)
	made := w.addHook(`{"url":"https://example.com/hook?token=hidden"}`)
	if got := w.hookList()[0]; got.URL != "https://example.com/hook?token=hidden" || got.URLError != "" {
		t.Errorf("%+v", got)
	}
	w.config.Collections = collection.New(collection.Config{DefaultKey: auth.NewRootKey("k")})
	if got := w.hookList()[0]; got.ID != made.ID || got.URL != "" || !strings.Contains(got.URLError, "keyring") {
		t.Errorf("without a keyring: %+v", got)
	}
	w.must(204, "DELETE", hooks+"/"+made.ID, "")
}

func TestADisabledWebhookIsShownAndEnabled(t *testing.T) {
	w := newWorld(t)
	made := w.addHook(`{"url":"https://example.com/hook"}`)
	s := &posting.Sender{DB: w.config.DB, Hooks: w.config.Collections.Hooks()}
	if _, err := w.config.DB.Update(t.Context(), func(tx *kv.Tx) error {
		return s.Settle(tx, delivery(made.ID), errs.E(errs.Unavailable, "the target answered 500"))
	}); err != nil {
		t.Fatal(err)
	}
	if off := w.hookList()[0].Disabled; off == nil || off.Reason != "the target answered 500" || off.Since.IsZero() {
		t.Errorf("%+v", off)
	}
	w.must(412, "POST", hooks+"/"+made.ID+"/test", "")
	w.must(412, "POST", hooks+"/"+made.ID+"/retry", "")
	w.must(204, "POST", hooks+"/"+made.ID+"/enable", "")
	if off := w.hookList()[0].Disabled; off != nil {
		t.Errorf("%+v", off)
	}
	w.must(204, "POST", hooks+"/"+made.ID+"/enable", "")
}

func delivery(id string) outbox.Delivery {
	return outbox.Delivery{Item: outbox.Item{Queue: "webhook/restdb/default/" + id, ID: "msg_1"}}
}
