package keynest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
)

// A webhook's secret is in the answer that sets it, and in that to a repeat of
// the request: the first may have been lost.
func TestTheSecretOfAWebhookIsShownOnce(t *testing.T) {
	w := newWorld(t)
	ada := w.register("ada")
	org := w.organization(ada, "Acme")
	body := fmt.Sprintf(`{"url":"https://example.com/hook","events":["*"],"organization":%d}`, org)
	type shown struct{ ID, Secret string }
	ask := func(code int, method, path, body string, headers ...string) (s shown, a response) {
		t.Helper()
		a = w.send(ada, method, path, body, headers...)
		w.read(code, a, &s)
		return s, a
	}
	made, _ := ask(201, "POST", "/api/webhooks/", body, "Idempotency-Key: the-making-of-one")
	again, a := ask(201, "POST", "/api/webhooks/", body, "Idempotency-Key: the-making-of-one")
	if made.Secret == "" || again != made || a.header.Get("Covey-Replayed") != "true" {
		t.Errorf("made %+v, repeated %+v", made, again)
	}
	fresh, _ := ask(200, "PATCH", "/api/webhooks/1/", `{"secret":""}`, "Idempotency-Key: another-secret-for-it")
	again, _ = ask(200, "PATCH", "/api/webhooks/1/", `{"secret":""}`, "Idempotency-Key: another-secret-for-it")
	if fresh.Secret == made.Secret || again != fresh {
		t.Errorf("another secret %+v, repeated %+v", fresh, again)
	}
	silent := func(a response) {
		t.Helper()
		if a.code != 200 || strings.Contains(a.body, fresh.Secret) || strings.Contains(a.body, `"secret"`) {
			t.Errorf("%d %s", a.code, a.body)
		}
	}
	_, a = ask(200, "PATCH", "/api/webhooks/1/", `{"events":["member.*"]}`, "Idempotency-Key: no-secret-this-time")
	silent(a)
	_, a = ask(200, "PATCH", "/api/webhooks/1/", `{"events":["member.*"]}`, "Idempotency-Key: no-secret-this-time")
	silent(a)
	silent(w.get(ada, "/api/webhooks/webhook_1/"))
	silent(w.get(ada, "/api/webhooks/"))
	if a := w.get(ada, "/api/audit-logs/"); strings.Contains(a.body, fresh.Secret) || strings.Contains(a.body, "example.com/hook") {
		t.Errorf("the audit log: %s", a.body)
	}
}

// A change under an Idempotency-Key that is repeated is told once, and so is a
// test.
func TestARepeatIsNotToldTwice(t *testing.T) {
	w := newWorld(t)
	ada := w.register("ada")
	org := w.organization(ada, "Acme")
	w.webhook(ada, org, "https://example.com/hook", "project.*")
	for _, call := range []struct {
		path, body string
		code       int
	}{{"/api/projects/", fmt.Sprintf(`{"name":"Web","organization":%d}`, org), 201}, {"/api/webhooks/1/test/", "", 202}} {
		var first string
		for range 2 {
			a := w.send(ada, "POST", call.path, call.body, "Idempotency-Key: one-key-for-both-tries")
			if first == "" {
				first = a.body
			}
			if a.code != call.code || a.body != first {
				t.Errorf("%s: %d %s", call.path, a.code, a.body)
			}
		}
	}
	w.counts(2, 2, w.get(ada, "/api/webhooks/1/deliveries/"))
}

func TestWhatNamesAWebhook(t *testing.T) {
	w := newWorld(t)
	ada := w.register("ada")
	w.webhook(ada, w.organization(ada, "Acme"), "https://example.com/hook", "*")
	for path, code := range map[string]int{
		"/api/webhooks/1/": 200, "/api/webhooks/webhook_1": 200,
		"/api/webhooks/01/": 404, "/api/webhooks/webhook_01/": 404, "/api/webhooks/webhook_/": 404, "/api/webhooks/webhook_webhook_1/": 404,
		"/api/webhooks/hook_1/": 404, "/api/webhooks/2/": 404, "/api/webhooks/1/deliveries/0/": 404, "/api/webhooks/1/deliveries/x/": 404,
		"/api/webhooks/1/deliveries/18446744073709551615/": 404, "/api/projects/webhook_1/": 404,
	} {
		if a := w.get(ada, path); a.code != code {
			t.Errorf("%s: %d %s", path, a.code, a.body)
		}
	}
	if a := w.send(ada, "PUT", "/api/webhooks/1/", "{}"); a.code != http.StatusMethodNotAllowed || a.header.Get("Allow") != "DELETE, GET, HEAD, OPTIONS, PATCH" {
		t.Errorf("PUT: %d, Allow %s", a.code, a.header.Get("Allow"))
	}
}

// Forms have texts only: lists are one with commas.
func TestAWebhookOfAForm(t *testing.T) {
	w := newWorld(t)
	ada := w.register("ada")
	org := w.organization(ada, "Acme")
	a := w.do("POST", "/api/webhooks/", fmt.Sprintf("url=https%%3A%%2F%%2Fexample.com%%2F&events=variable.created,member.*&organization=%d&is_active=false", org), as(ada), asForm)
	w.is(201, fmt.Sprintf(`{"id":"webhook_1","url":"https://example.com/","events":["member.*","variable.created"],"secret":"*","organization":%d,"is_active":false,
		"created_at":%q,"disabled_reason":"","failing_since":null}`, org, started), a)
	w.fails(409, "CONFLICT", "This webhook is switched off. Set is_active to true first.", w.send(ada, "POST", "/api/webhooks/1/test/", ""))
	w.invalid(`{"events":["This field may not be null."]}`, w.send(ada, "PATCH", "/api/webhooks/1/", `{"events":null}`))
	w.invalid(`{"is_active":["Must be a valid boolean."]}`, w.send(ada, "PATCH", "/api/webhooks/1/", `{"is_active":"perhaps"}`))
}

// What waits is shown page by page, and what a queue that takes no more loses is
// in the log.
func TestTheLogOfAWebhookHasPages(t *testing.T) {
	w := newWorld(t)
	ada := w.register("ada")
	org := w.organization(ada, "Acme")
	w.webhook(ada, org, "https://example.com/hook", "*")
	for range 25 {
		if a := w.send(ada, "POST", "/api/webhooks/1/test/", ""); a.code != 202 {
			t.Fatalf("%d %s", a.code, a.body)
		}
	}
	w.counts(25, 20, w.get(ada, "/api/webhooks/1/deliveries/"))
	w.counts(25, 5, w.get(ada, "/api/webhooks/1/deliveries/?page=2"))
	w.fails(404, "NOT_FOUND", "Invalid page.", w.get(ada, "/api/webhooks/1/deliveries/?page=3"))

	suspend(t, w, "webhook-keynest/"+fmt.Sprint(org)+"/1")
	w.project(ada, org, "Not told")
	if a := w.get(ada, "/api/webhooks/1/deliveries/26/"); a.code != 200 || !strings.Contains(a.body, `"status":"dropped"`) || !strings.Contains(a.body, `"Not told"`) {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := w.send(ada, "POST", "/api/webhooks/1/test/", ""); a.code != http.StatusServiceUnavailable {
		t.Errorf("a test: %d %s", a.code, a.body)
	}
}

// suspend makes a queue one that takes no more, as the outbox does.
func suspend(t *testing.T, w *world, queue string) {
	t.Helper()
	key := append(append([]byte("os"), 0x02), queue...)
	_, err := w.store.DB.Update(t.Context(), func(tx *kv.Tx) error {
		tx.Set(append(key, 0, 1), []byte(`{"since":1,"pending":1}`), 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		info, err := outbox.Queue(tx, queue)
		if info.Suspended.IsZero() {
			t.Errorf("queue %s is not suspended: %+v", queue, info)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A service token is named as who did it, and has no business with webhooks
// itself.
func TestWhatAServiceTokenDoesIsToldAsItsDeed(t *testing.T) {
	w := newWorld(t)
	ada := w.register("ada")
	org := w.organization(ada, "Acme")
	env := w.environment(ada, w.project(ada, org, "Web"), "live")
	id := w.variable(ada, env, "KEY", "one")
	w.webhook(ada, org, "https://example.com/hook", "variable.*")
	var made struct{ Token string }
	w.read(201, w.send(ada, "POST", "/api/service-tokens/", fmt.Sprintf(`{"name":"ci","environment":%d,"read_only":false}`, env)), &made)
	if a := w.send(made.Token, "PATCH", at("variables", id), `{"value":"two"}`); a.code != 200 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	var told struct {
		Payload struct {
			Data struct {
				Variable struct {
					By string `json:"updated_by"`
				}
			}
		}
	}
	w.read(200, w.get(ada, "/api/webhooks/1/deliveries/1/"), &told)
	if by := told.Payload.Data.Variable.By; by != "service token ci" {
		t.Errorf("it was %q", by)
	}
	for _, call := range []struct{ method, path, body string }{
		{"GET", "/api/webhooks/", ""}, {"POST", "/api/webhooks/", fmt.Sprintf(`{"url":"https://example.com/","events":["*"],"organization":%d}`, org)},
		{"GET", "/api/webhooks/1/", ""}, {"PATCH", "/api/webhooks/1/", `{"secret":""}`}, {"DELETE", "/api/webhooks/1/", ""}, {"POST", "/api/webhooks/1/test/", ""},
		{"GET", "/api/webhooks/1/deliveries/", ""}, {"GET", "/api/webhooks/1/deliveries/1/", ""}, {"POST", "/api/webhooks/1/deliveries/1/redeliver/", ""},
	} {
		if a := w.send(made.Token, call.method, call.path, call.body); a.code != 403 && a.code != 404 || strings.Contains(a.body, "example.com") {
			t.Errorf("%s %s: %d %s", call.method, call.path, a.code, a.body)
		} else {
			t.Logf("%s %s: %d %.60s", call.method, call.path, a.code, a.body)
		}
	}
}
