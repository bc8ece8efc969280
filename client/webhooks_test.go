package client

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCallsAboutWebhooksAreThoseOfTheAPI(t *testing.T) {
	ctx := t.Context()
	const answer = `{"id":"0123","url":"https://example.com","secret":"whsec_x","created":"2026-01-02T03:04:05Z","message":"msg_1",` +
		`"webhooks":[{"id":"0123","url":"https://example.com","disabled":{"since":"2026-01-02T03:04:05Z","reason":"gone"},"queue":{"pending":2,"more":true,"last_error":"500"}},{"id":"4567","url":"","url_error":"no keyring"}]}`
	for _, tt := range []struct {
		name string
		call func(d *RestDatabase) error
		want operated
	}{
		{"add", func(d *RestDatabase) error {
			made, err := d.AddWebhook(ctx, WebhookSpec{URL: "https://example.com", Methods: []string{"POST"}})
			if made.ID != "0123" || made.Secret != "whsec_x" {
				t.Errorf("%+v", made)
			}
			return err
		}, operated{"POST", "", `{"url":"https://example.com","methods":["POST"]}`}},
		{"list", func(d *RestDatabase) error {
			list, err := d.Webhooks(ctx)
			if len(list) != 2 || list[0].Disabled.Reason != "gone" || list[0].Queue.Pending != 2 || !list[0].Queue.More || list[1].URLError != "no keyring" || list[0].Queue.LastError != "500" {
				t.Errorf("%+v", list)
			}
			return err
		}, operated{"GET", "", ""}},
		{"remove", func(d *RestDatabase) error { return d.RemoveWebhook(ctx, "a/b") }, operated{"DELETE", "/a%2Fb", ""}},
		{"enable", func(d *RestDatabase) error { return d.EnableWebhook(ctx, "0123") }, operated{"POST", "/0123/enable", ""}},
		{"retry", func(d *RestDatabase) error { return d.RetryWebhook(ctx, "0123") }, operated{"POST", "/0123/retry", ""}},
		{"test", func(d *RestDatabase) error {
			message, err := d.TestWebhook(ctx, "0123")
			if message != "msg_1" {
				t.Errorf("message %q", message)
			}
			return err
		}, operated{"POST", "/0123/test", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, calls := operator(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) })
			if err := tt.call(r.Database("shop")); err != nil {
				t.Fatal(err)
			}
			tt.want.target = restBase + "/databases/shop/webhooks" + tt.want.target
			if diff := cmp.Diff([]operated{tt.want}, calls(), cmp.AllowUnexported(operated{})); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
	r, calls := operator(t, func(http.ResponseWriter, *http.Request) {})
	if err := r.Database("shop").RemoveWebhook(ctx, ""); err == nil || len(calls()) != 0 {
		t.Errorf("a webhook without a name: %v, %v", err, calls())
	}
}
