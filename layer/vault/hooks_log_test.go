package vault

import (
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

func TestTheLogIsBounded(t *testing.T) {
	h := newHooked(t, "")
	const changes = 250
	h.must(h.ann, func(s *Session) error {
		for range changes {
			if _, err := s.TestWebhook(h.hook.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if log := h.log(); len(log) != 100 || log[0].ID != 100 || log[99].ID != 1 {
		t.Errorf("%d entries while all wait", len(log))
	}
	h.run()
	h.until("all are delivered", func() bool { return len(h.waiting(h.hook)) == 0 })
	if log := h.log(); len(log) != 100 || log[0].ID != changes || log[99].ID != changes-99 {
		t.Errorf("%d entries, %d to %d", len(log), log[len(log)-1].ID, log[0].ID)
	}
	if n := h.keys(deliveryByte); n != 100 {
		t.Errorf("%d rows", n)
	}
	for i, m := range h.messages() {
		if i > 0 && m.id == h.messages()[0].id {
			t.Errorf("message %d has the id of the first", i)
		}
	}
	h.Advance(keepDelivery + time.Minute)
	if log := h.log(); len(log) != 0 {
		t.Errorf("%d entries after 30 days", len(log))
	}
	if err := h.as(h.ann, func(s *Session) error {
		_, err := s.Redeliver(h.hook.ID, changes)
		return err
	}); !errs.Is(err, errs.NotFound) {
		t.Errorf("delivering again what is forgotten: %v", err)
	}
}

// Of what a webhook that is switched off loses, the last hundred are logged.
func TestWhatIsDroppedIsLogged(t *testing.T) {
	h := newHooked(t, "")
	send := func(n int) {
		h.must(h.ann, func(s *Session) error {
			for range n {
				if _, err := s.TestWebhook(h.hook.ID); err != nil {
					return err
				}
			}
			return nil
		})
	}
	drop := func() {
		h.must(h.ann, func(s *Session) error {
			_, err := s.UpdateWebhook(h.hook.ID, WebhookFields{Active: ptr(false)})
			return err
		})
		h.must(h.ann, func(s *Session) error {
			_, err := s.UpdateWebhook(h.hook.ID, WebhookFields{Active: ptr(true)})
			return err
		})
	}
	send(30)
	drop()
	if log := h.log(); len(log) != 30 || log[29].Status != DeliveryDropped {
		t.Errorf("%d entries", len(log))
	}
	send(130)
	drop()
	if log := h.log(); len(log) != 100 || log[0].ID != 160 || log[99].ID != 61 {
		t.Errorf("%d entries", len(log))
	}
	if n := h.keys(deliveryByte); n != 100 {
		t.Errorf("%d rows", n)
	}
}
