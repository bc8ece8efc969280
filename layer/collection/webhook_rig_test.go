package collection

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/outgoing/webhook"
)

// hooked adds a webhook and returns its id.
func (g *gate) hooked(db string, spec WebhookSpec) string {
	g.t.Helper()
	spec.URL = cmp.Or(spec.URL, "https://example.com/hook")
	h, err := g.s.NewWebhook(db, spec)
	if err != nil {
		g.t.Fatal(err)
	}
	g.update(func(tx *kv.Tx) error {
		_, err := g.s.AddWebhook(tx, h)
		return err
	})
	return h.ID
}

// queued returns what waits for a webhook, in the order in which it will be sent.
func (g *gate) queued(db, id string) (all []outbox.Delivery) {
	g.t.Helper()
	err := g.view(func(tx *kv.Tx) error {
		lo, hi := tuple.Span(tuple.AppendString([]byte("oi"), hookQueue(db, id)))
		for rec, err := range tx.Scan(lo, hi) {
			if err != nil {
				return err
			}
			item, _, err := tuple.String(rec.Key[len(lo):])
			if err != nil {
				return err
			}
			all = append(all, outbox.Delivery{
				Item:    outbox.Item{Queue: hookQueue(db, id), ID: item, Payload: slices.Clone(rec.Value[9:])},
				Version: rec.Version, Attempt: 1,
			})
		}
		return nil
	})
	if err != nil {
		g.t.Fatal(err)
	}
	slices.SortStableFunc(all, func(a, b outbox.Delivery) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), strings.Compare(a.ID, b.ID))
	})
	return all
}

// message returns what a delivery is sent as.
func (g *gate) message(d outbox.Delivery) (m webhook.Message, err error) {
	g.t.Helper()
	err = g.view(func(tx *kv.Tx) (err error) {
		m, err = g.s.Hooks().Message(tx, d, time.Now())
		return err
	})
	return m, err
}

// told returns the bodies of what waits for a webhook.
func (g *gate) told(db, id string) (bodies []string) {
	g.t.Helper()
	for _, d := range g.queued(db, id) {
		m, err := g.message(d)
		if err != nil {
			g.t.Fatal(err)
		}
		if !json.Valid(m.Body) {
			g.t.Errorf("not JSON: %.200s", m.Body)
		}
		bodies = append(bodies, string(m.Body))
	}
	return bodies
}

// drafts reads the body of a POST.
func drafts(t testing.TB, body string) []Draft {
	t.Helper()
	d, _, err := ParseDrafts([]byte(body), at)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// as runs fn with a collection that a caller has opened.
func (g *gate) as(c Caller, need Need, fn func(*Collection) error) error {
	g.t.Helper()
	_, err := g.DB.Update(g.t.Context(), func(tx *kv.Tx) error {
		s, err := g.s.Enter(g.t.Context(), tx, c)
		if err != nil {
			return err
		}
		coll, err := s.Collection(c.Path, need)
		if err != nil {
			return err
		}
		return fn(coll)
	})
	return err
}

// rooted is a caller with the configured key.
func rooted(method, path string) Caller {
	return Caller{Key: credential(operatorKey), Method: method, Path: path}
}

func isRefused(err error) bool {
	_, ok := err.(*outbox.Refused)
	return ok
}
