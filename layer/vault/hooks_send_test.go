package vault

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/outgoing/webhook"
)

func TestMessagesAreSignedLoggedAndDeliveredAgain(t *testing.T) {
	for name, secret := range map[string]string{"a secret of the specification": "", "another text": "correct-horse-battery"} {
		t.Run(name, func(t *testing.T) {
			h := newHooked(t, secret)
			h.run()
			h.project(h.ann, h.org, "Web")
			var test Delivery
			h.must(h.ann, func(s *Session) (err error) {
				test, err = s.TestWebhook(h.hook.ID)
				return err
			})
			if test.ID != 2 || test.Event != eventTest || test.Status != DeliveryPending || test.Attempts != 0 {
				t.Errorf("the test: %+v", test)
			}
			h.until("both are delivered", func() bool { return len(h.log()) == 2 && h.log()[0].Status == DeliveryDelivered })
			got, log := h.messages(), h.log()
			for i, d := range []Delivery{log[1], log[0]} {
				if d.ID != uint64(i+1) || d.Status != DeliveryDelivered || d.Attempts != 1 || d.ResponseStatus != 200 || d.LastAttempt == 0 || d.NextAttempt != 0 ||
					d.Error != "" || d.Message != got[i].id || string(d.Payload) != got[i].body {
					t.Errorf("log %+v, posted %+v", d, got[i])
				}
			}
			if want := `"data":{"webhook":{"id":"webhook_1","organization_id":1,"sent_by":"ann@example.com"}}}`; !strings.HasSuffix(got[1].body, want) {
				t.Errorf("the test is %s", got[1].body)
			}
			again := h.redeliver(1)
			if again.ID != 3 || again.Message != log[1].Message || again.Event != "project.created" || again.Status != DeliveryPending {
				t.Errorf("again: %+v", again)
			}
			h.until("it is delivered again", func() bool { return h.log()[0].Status == DeliveryDelivered })
			if got := h.messages(); len(got) != 3 || got[2] != got[0] {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAMessageThatIsNotTakenIsTriedAgain(t *testing.T) {
	h := newHooked(t, "")
	h.status <- http.StatusInternalServerError
	h.run()
	h.project(h.ann, h.org, "Web")
	h.project(h.ann, h.org, "Site")
	h.until("the first try is logged", func() bool { return len(h.log()) == 2 && h.log()[1].LastAttempt != 0 && h.log()[1].NextAttempt != 0 })
	first := h.log()[1]
	if first.ID != 1 || first.Status != DeliveryPending || first.Attempts != 1 || first.ResponseStatus != 500 || first.Error != "the target answered 500 Internal Server Error" {
		t.Errorf("%+v", first)
	}
	if second := h.log()[0]; second.Status != DeliveryPending || second.Attempts != 0 {
		t.Errorf("what is behind it: %+v", second)
	}
	if got := h.show(); got.FailingSince != h.Now()/1000 || !got.Active {
		t.Errorf("%+v", got)
	}
	if d := h.redeliver(1); d.ID != 1 || d.NextAttempt != 0 || d.Status != DeliveryPending {
		t.Errorf("tried at once: %+v", d)
	}
	h.until("both are delivered", func() bool { return h.log()[0].Status == DeliveryDelivered })
	if first := h.log()[1]; first.Status != DeliveryDelivered || first.Attempts != 2 || first.ResponseStatus != 200 || first.Error != "" {
		t.Errorf("%+v", first)
	}
	if got := h.messages(); len(got) != 3 || got[0] != got[1] || !strings.Contains(got[2].body, `"Site"`) {
		t.Errorf("%+v", got)
	}
	if got := h.show(); got.FailingSince != 0 {
		t.Errorf("%+v", got)
	}
}

// entries returns how many audit entries of webhooks there are, and the last one.
func (h *hooked) entries() (n int, last AuditEntry) {
	h.world.t.Helper()
	h.must(h.ann, func(s *Session) error {
		page, err := s.AuditLog(AuditFilter{TargetType: "webhook"}, Paging{})
		if n = page.Count; n > 0 {
			last = page.Items[0]
		}
		return err
	})
	return n, last
}

func TestATargetThatIsGoneIsToldNothingMore(t *testing.T) {
	h := newHooked(t, "")
	for _, name := range []string{"One", "Two", "Three"} {
		h.project(h.ann, h.org, name)
	}
	h.status <- http.StatusGone
	h.run()
	h.until("it is switched off", func() bool { return !h.show().Active })
	if got := h.show(); got.DisabledReason != "the target answered 410 Gone: it wants no more messages" {
		t.Errorf("%+v", got)
	}
	log := h.log()
	if len(log) != 3 || len(h.waiting(h.hook)) != 0 {
		t.Fatalf("%d wait, the log is %+v", len(h.waiting(h.hook)), log)
	}
	if d := log[2]; d.Status != DeliveryFailed || d.ResponseStatus != 410 || d.Attempts != 1 {
		t.Errorf("the first: %+v", d)
	}
	for _, d := range log[:2] {
		if d.Status != DeliveryDropped || d.Attempts != 0 || d.Error == "" {
			t.Errorf("behind it: %+v", d)
		}
	}
	n, last := h.entries()
	if n != 2 || last.UserName != "system" || last.User != 0 || last.Action != "webhook_updated" || last.TargetID != h.hook.ID ||
		!strings.Contains(string(last.Details), `"is_active":false`) || !strings.Contains(string(last.Details), "410 Gone") || strings.Contains(string(last.Details), h.url) {
		t.Errorf("%d entries, the last %+v %s", n, last, last.Details)
	}
	for name, do := range map[string]func(*Session) error{
		"test": func(s *Session) error {
			_, err := s.TestWebhook(h.hook.ID)
			return err
		},
		"redeliver": func(s *Session) error {
			_, err := s.Redeliver(h.hook.ID, 1)
			return err
		},
	} {
		if err := h.as(h.ann, do); !errs.Is(err, errs.Exists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.project(h.ann, h.org, "Four")
	h.must(h.ann, func(s *Session) error {
		_, err := s.UpdateWebhook(h.hook.ID, WebhookFields{Active: ptr(true)})
		return err
	})
	if got := h.show(); !got.Active || got.DisabledReason != "" {
		t.Errorf("switched on: %+v", got)
	}
	again := h.redeliver(2)
	h.until("what was dropped is delivered", func() bool { return h.log()[0].Status == DeliveryDelivered })
	if got := h.messages(); len(got) != 2 || got[1].id != again.Message || !strings.Contains(got[1].body, `"Two"`) {
		t.Errorf("%+v", got)
	}
}

// first is the delivery that is the next to go out.
func (h *hooked) first() outbox.Delivery {
	h.world.t.Helper()
	item := h.waiting(h.hook)[0]
	return outbox.Delivery{Item: item.Item, Since: item.Since, Attempt: item.Attempts + 1}
}

// A target that has failed for days is switched off in the commit that gives its
// message up, once, also after a conflict.
func TestAWebhookThatIsGivenUpIsSwitchedOff(t *testing.T) {
	h := newHooked(t, "")
	h.project(h.ann, h.org, "One")
	h.project(h.ann, h.org, "Two")
	h.status <- http.StatusBadGateway
	d := h.first()
	failed := h.sender.Send(t.Context(), d)
	settle := func() error {
		_, err := h.DB.Update(t.Context(), func(tx *kv.Tx) error { return h.sender.Settle(tx, d, failed) })
		return err
	}
	h.ConflictNext(1)
	if err := settle(); err != nil {
		t.Fatal(err)
	}
	if got := h.show(); got.Active || got.DisabledReason != "no success for 3 days: the target answered 502 Bad Gateway" {
		t.Errorf("%+v", got)
	}
	if n, _ := h.entries(); n != 2 {
		t.Errorf("%d entries in the audit log", n)
	}
	if log := h.log(); len(log) != 2 || log[1].Status != DeliveryFailed || log[1].ResponseStatus != 502 || log[0].Status != DeliveryDropped {
		t.Errorf("%+v", log)
	}
	if err := settle(); err != nil { // it is off already
		t.Error(err)
	}
	if n, _ := h.entries(); n != 2 {
		t.Errorf("%d entries in the audit log after another try", n)
	}
	if err := h.sender.Send(t.Context(), d); !strings.Contains(fmt.Sprint(err), "removed or disabled") {
		t.Errorf("what is sent to one that is off: %v", err)
	}
}

// What comes of a try is not logged for a webhook that is gone, or for what does
// not wait any more.
func TestALateTryLeavesNoTrace(t *testing.T) {
	h := newHooked(t, "")
	h.project(h.ann, h.org, "One")
	d := h.first()
	h.status <- http.StatusBadGateway
	h.sender.Try = func(ctx context.Context, m webhook.Message) (int, error) {
		h.must(h.ann, func(s *Session) error { return s.DeleteWebhook(h.hook.ID) })
		return 502, &webhook.StatusError{Status: 502}
	}
	if err := h.sender.Send(t.Context(), d); err == nil {
		t.Error("it was taken")
	}
	if _, err := h.DB.Update(t.Context(), func(tx *kv.Tx) error { return h.sender.Settle(tx, d, nil) }); err != nil {
		t.Error(err)
	}
	if n := h.left(); n != 0 {
		t.Errorf("%d records", n)
	}
}

func TestQueuesOfWebhooks(t *testing.T) {
	for _, tt := range []struct {
		queue   string
		org, id uint64
		ok      bool
	}{
		{hookQueue(3, 7), 3, 7, true}, {"webhook-keynest/3/7/8", 0, 0, false}, {"webhook-keynest/3", 0, 0, false},
		{"webhook/3/7", 0, 0, false}, {"webhook-keynest/x/7", 0, 0, false}, {"webhook-keynest/3/-7", 0, 0, false},
	} {
		if org, id, ok := splitQueue(tt.queue); ok != tt.ok || ok && (org != tt.org || id != tt.id) {
			t.Errorf("%s: %d, %d, %t", tt.queue, org, id, ok)
		}
	}
}

// A signature as the contract has it, computed by another program.
func TestTheSignature(t *testing.T) {
	const want = "t=1756549800,v1="
	got := sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", time.Unix(1756549800, 0), []byte(`{"event":"variable.created"}`))
	digest, ok := strings.CutPrefix(got, want)
	if !ok || digest != "8f5e4419abc2220782cb92eb69de6c008bce6fff956d1212d379feced4f2622f" {
		t.Errorf("%s", got)
	}
}
