package collection

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLargeWritesAreToldByTheirIDs(t *testing.T) {
	g := newGate(t)
	id := g.hooked(DefaultDatabase, WebhookSpec{})
	long := strings.Repeat("x", maxTold/4)
	element := `{"text":"` + long + `"}`
	if err := g.inserted("items", "["+strings.Join([]string{element, element, element, element}, ",")+"]"); err != nil {
		t.Fatal(err)
	}
	if err := g.inserted("items", "["+strings.Join([]string{element, element, element}, ",")+"]"); err != nil {
		t.Fatal(err)
	}
	got := g.told(DefaultDatabase, id)
	if len(got) != 2 || len(got[0]) > 1000 || strings.Count(got[1], long) != 6 {
		t.Errorf("%d messages, the first of %d bytes: %.300s", len(got), len(got[0]), got[0])
	}
	var first struct {
		Zero  string `json:"0"`
		Event struct{ Payload []string }
	}
	if err := json.Unmarshal([]byte(got[0]), &first); err != nil || len(first.Event.Payload) != 4 || first.Event.Payload[0] != first.Zero {
		t.Errorf("%v: %s", err, got[0])
	}
}

// What all hooks together are told of the documents of one write has a bound.
func TestTheMoreHooksTheLessDocumentsAreTold(t *testing.T) {
	for _, tt := range []struct {
		hooks, size int // of the document
		documents   bool
	}{
		{1, maxTold - 1000, true}, {2, maxTold - 1000, false}, {2, maxTold/2 - 1000, true}, {2, maxTold / 2, false},
		{maxHooks, maxTold/maxHooks - 1000, true}, {maxHooks, maxTold / maxHooks, false},
	} {
		t.Run(fmt.Sprintf("%d hooks, %d bytes", tt.hooks, tt.size), func(t *testing.T) {
			g := newGate(t)
			if tt.hooks < maxHooks {
				g.hooked(DefaultDatabase, WebhookSpec{Methods: []string{"DELETE"}}) // does not hear of it
			}
			var hooks []string
			for range tt.hooks {
				hooks = append(hooks, g.hooked(DefaultDatabase, WebhookSpec{}))
			}
			if err := g.inserted("items", `{"_id":"`+idA+`","text":"`+strings.Repeat("x", tt.size)+`"}`); err != nil {
				t.Fatal(err)
			}
			stored := 0
			for _, id := range hooks {
				for _, d := range g.queued(DefaultDatabase, id) {
					stored += len(d.Payload)
				}
				got := g.told(DefaultDatabase, id)
				if len(got) != 1 || strings.Contains(got[0], `"payload":["`+idA+`"]`) == tt.documents || strings.Contains(got[0], "xxx") != tt.documents {
					t.Fatalf("told %.200q", got)
				}
			}
			if stored > maxTold+1000*tt.hooks {
				t.Errorf("%d bytes were stored for %d hooks", stored, tt.hooks)
			}
		})
	}
}

// A deletion of very many documents is told in parts, also to as many hooks as
// there can be.
func TestADeletionOfManyIsToldInParts(t *testing.T) {
	g := newGate(t)
	var hooks []string
	for range maxHooks {
		hooks = append(hooks, g.hooked(DefaultDatabase, WebhookSpec{Methods: []string{"DELETE"}}))
	}
	const documents = maxToldIDs + 500
	if err := g.inserted("items", "["+strings.Repeat("{},", documents-1)+"{}]"); err != nil {
		t.Fatal(err)
	}
	var deleted []OID
	if err := g.as(rooted("DELETE", "items"), Delete, func(c *Collection) (err error) {
		deleted, err = c.Clear()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var told []OID
	for part, d := range g.queued(DefaultDatabase, hooks[7]) {
		if !strings.HasSuffix(d.ID, fmt.Sprintf("-%05d", part)) {
			t.Errorf("part %d: id %s", part, d.ID)
		}
		m, err := g.message(d)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Event struct{ Payload []string }
		}
		if err := json.Unmarshal(m.Body, &body); err != nil {
			t.Fatal(err)
		}
		if len(body.Event.Payload) > maxToldIDs {
			t.Errorf("part %d: %d ids", part, len(body.Event.Payload))
		}
		for _, text := range body.Event.Payload {
			told = append(told, oid(t, text))
		}
	}
	if len(told) != documents || !slices.Equal(told, deleted) {
		t.Errorf("told of %d documents, %d were deleted", len(told), len(deleted))
	}
}
