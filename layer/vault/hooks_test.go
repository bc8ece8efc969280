package vault

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/kv/sealed"
)

const hookURL = "https://hooks.example.com/path-with-a-secret"

// hook makes a webhook that hears of what patterns name.
func (w *world) hook(user, organization uint64, patterns ...string) Webhook {
	w.t.Helper()
	return w.hookWith(user, WebhookFields{URL: ptr(hookURL), Events: &patterns, Organization: &organization})
}

func (w *world) hookWith(user uint64, fields WebhookFields) (h Webhook) {
	w.t.Helper()
	w.must(user, func(s *Session) (err error) {
		h, err = s.CreateWebhook(fields)
		return err
	})
	return h
}

// waiting returns what waits for a webhook.
func (w *world) waiting(h Webhook) (list []outbox.Waiting) {
	w.t.Helper()
	w.view(func(tx *kv.Tx) (err error) {
		list, err = outbox.First(tx, hookQueue(h.Organization, h.ID), 100_000)
		return err
	})
	return list
}

func (w *world) view(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.DB.View(w.t.Context(), kv.Consistency{}, fn); err != nil {
		w.t.Fatal(err)
	}
}

// holding counts the records whose key or value has a text.
func (w *world) holding(text string) (n int) {
	w.t.Helper()
	w.view(func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			if bytes.Contains(rec.Value, []byte(text)) || bytes.Contains(rec.Key, []byte(text)) {
				n++
			}
		}
		return nil
	})
	return n
}

func TestAWebhookIsMadeAndChanged(t *testing.T) {
	w := newWorld(t)
	ann := w.user("ann")
	org, other := w.organization(ann, "Acme"), w.organization(ann, "Other")
	made := w.hook(ann, org, "variable.updated", "member.*", "variable.updated")
	want := Webhook{
		ID: 1, URL: hookURL, Events: []string{"member.*", "variable.updated"}, Secret: made.Secret,
		Organization: org, Active: true, Created: w.Now() / 1000,
	}
	if diff := cmp.Diff(want, made); diff != "" || !strings.HasPrefix(made.Secret, "whsec_") || len(made.Secret) < 40 {
		t.Errorf("made with the secret %q (-want +got):\n%s", made.Secret, diff)
	}
	show := func() (h Webhook) {
		w.must(ann, func(s *Session) (err error) {
			h, err = s.Webhook(made.ID)
			return err
		})
		return h
	}
	want.Secret = ""
	if diff := cmp.Diff(want, show()); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	for _, text := range []string{hookURL, "path-with", made.Secret} {
		if n := w.holding(text); n != 0 {
			t.Errorf("%d records hold %q in clear", n, text)
		}
	}

	update := func(fields WebhookFields) (h Webhook) {
		t.Helper()
		w.must(ann, func(s *Session) (err error) {
			h, err = s.UpdateWebhook(made.ID, fields)
			return err
		})
		return h
	}
	own := "correct horse"
	if err := w.as(ann, func(s *Session) error {
		_, err := s.UpdateWebhook(made.ID, WebhookFields{Secret: &own})
		return err
	}); err == nil {
		t.Error("a secret with a blank was taken")
	}
	own = "correct-horse-battery"
	if got := update(WebhookFields{Secret: &own}); got.Secret != own {
		t.Errorf("a secret that was given: %+v", got)
	}
	fresh := update(WebhookFields{Secret: ptr("")}).Secret
	if fresh == made.Secret || !strings.HasPrefix(fresh, "whsec_") {
		t.Errorf("a new secret: %q", fresh)
	}
	got := update(WebhookFields{URL: ptr("https://example.com/"), Events: &[]string{"*"}, Organization: &org, Active: ptr(false)})
	want.URL, want.Events, want.Active = "https://example.com/", []string{"*"}, false
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	err := w.as(ann, func(s *Session) error {
		_, err := s.UpdateWebhook(made.ID, WebhookFields{Organization: &other})
		return err
	})
	wantFields(t, err, FieldErrors{"organization": {"A webhook cannot be moved to another organization."}})

	w.must(ann, func(s *Session) error { return s.DeleteWebhook(made.ID) })
	wantKind(t, w.as(ann, func(s *Session) error {
		_, err := s.Webhook(made.ID)
		return err
	}), errs.NotFound)
}

func TestWhatMakesNoWebhook(t *testing.T) {
	w := newWorld(t)
	ann, bob := w.user("ann"), w.user("bob")
	org, foreign := w.organization(ann, "Acme"), w.organization(bob, "Bobs")
	good := WebhookFields{URL: ptr(hookURL), Events: &[]string{"*"}, Organization: &org}
	try := func(change func(*WebhookFields)) error {
		fields := good
		change(&fields)
		return w.as(ann, func(s *Session) error {
			_, err := s.CreateWebhook(fields)
			return err
		})
	}
	secretText := "Ensure this is whsec_ and 24 to 64 bytes in base64, or 16 to 128 visible ASCII characters."
	for name, tt := range map[string]struct {
		change func(*WebhookFields)
		want   FieldErrors
	}{
		"nothing":             {func(f *WebhookFields) { *f = WebhookFields{} }, FieldErrors{"url": {textRequired}, "events": {textRequired}, "organization": {textRequired}}},
		"an empty URL":        {func(f *WebhookFields) { f.URL = ptr("") }, FieldErrors{"url": {textBlank}}},
		"plain HTTP":          {func(f *WebhookFields) { f.URL = ptr("http://example.com/") }, FieldErrors{"url": {"It must begin with https://, unless private addresses are allowed."}}},
		"loopback":            {func(f *WebhookFields) { f.URL = ptr("https://[::1]/") }, FieldErrors{"url": {"::1 is not on the public internet, and private addresses are not allowed."}}},
		"link-local":          {func(f *WebhookFields) { f.URL = ptr("https://169.254.169.254/latest") }, FieldErrors{"url": {"169.254.169.254 is not on the public internet, and private addresses are not allowed."}}},
		"no events":           {func(f *WebhookFields) { f.Events = &[]string{} }, FieldErrors{"events": {"This list may not be empty."}}},
		"an unknown event":    {func(f *WebhookFields) { f.Events = &[]string{"*", "variable.read"} }, FieldErrors{"events": {`"variable.read" is not a valid choice.`}}},
		"an unknown family":   {func(f *WebhookFields) { f.Events = &[]string{"secret.*"} }, FieldErrors{"events": {`"secret.*" is not a valid choice.`}}},
		"a part of a family":  {func(f *WebhookFields) { f.Events = &[]string{"var*"} }, FieldErrors{"events": {`"var*" is not a valid choice.`}}},
		"too many events":     {func(f *WebhookFields) { f.Events = ptr(slices.Repeat([]string{"*"}, 51)) }, FieldErrors{"events": {"Ensure this field has no more than 50 elements."}}},
		"a short secret":      {func(f *WebhookFields) { f.Secret = ptr("fifteen-letters") }, FieldErrors{"secret": {secretText}}},
		"a long secret":       {func(f *WebhookFields) { f.Secret = ptr(strings.Repeat("x", 129)) }, FieldErrors{"secret": {secretText}}},
		"no base64":           {func(f *WebhookFields) { f.Secret = ptr("whsec_correct-horse-battery-staple") }, FieldErrors{"secret": {secretText}}},
		"a foreign place":     {func(f *WebhookFields) { f.Organization = &foreign }, FieldErrors{"organization": {fmt.Sprintf(`Invalid pk "%d" - object does not exist.`, foreign)}}},
		"several at one time": {func(f *WebhookFields) { f.URL, f.Secret = ptr(""), ptr("x") }, FieldErrors{"url": {textBlank}, "secret": {secretText}}},
	} {
		t.Run(name, func(t *testing.T) { wantFields(t, try(tt.change), tt.want) })
	}
	for range MaxWebhooks {
		if err := try(func(*WebhookFields) {}); err != nil {
			t.Fatal(err)
		}
	}
	wantFields(t, try(func(*WebhookFields) {}), FieldErrors{"non_field_errors": {"Organization has reached the maximum number of webhooks."}})
}

// Where private addresses are allowed, so is plain HTTP.
func TestWebhooksMayPointIntoPrivateNetworks(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.AllowPrivate = true })
	ann := w.user("ann")
	org := w.organization(ann, "Acme")
	h := w.hookWith(ann, WebhookFields{URL: ptr("http://127.0.0.1:9000/hook"), Events: &[]string{"*"}, Organization: &org})
	if h.URL != "http://127.0.0.1:9000/hook" {
		t.Errorf("%+v", h)
	}
}

func TestWebhooksListsThoseOfAdmins(t *testing.T) {
	w := newWorld(t)
	ann, bob := w.user("ann"), w.user("bob")
	acme, bobs := w.organization(ann, "Acme"), w.organization(bob, "Bobs")
	eve := w.member(ann, acme, Editor, "eve")
	w.must(bob, func(s *Session) error {
		_, err := s.Invite(bobs, "ann@example.com", "admin")
		return err
	})
	for _, org := range []uint64{acme, bobs, acme} {
		w.hook(ann, org, "*")
	}
	list := func(user, org uint64) (ids []uint64, err error) {
		err = w.as(user, func(s *Session) error {
			page, err := s.Webhooks(org, Paging{})
			ids = nil // it may run twice
			for _, h := range page.Items {
				ids = append(ids, h.ID)
			}
			return err
		})
		return ids, err
	}
	for _, tt := range []struct {
		user, org uint64
		want      []uint64
		kind      errs.Kind
	}{
		{ann, 0, []uint64{1, 2, 3}, 0}, {ann, acme, []uint64{1, 3}, 0}, {bob, 0, []uint64{2}, 0}, {bob, acme, nil, 0},
		{eve, 0, nil, 0}, {eve, acme, nil, errs.Forbidden}, {ann, 999, nil, 0},
	} {
		got, err := list(tt.user, tt.org)
		if !slices.Equal(got, tt.want) || errs.KindOf(err) != tt.kind && err != nil || (err != nil) != (tt.kind != 0) {
			t.Errorf("user %d, organization %d: %v, %v", tt.user, tt.org, got, err)
		}
	}
}

// A node without the keyring shows and makes none, and says why.
func TestWebhooksNeedTheKeyring(t *testing.T) {
	w := newWorld(t)
	ann := w.user("ann")
	org := w.organization(ann, "Acme")
	h := w.hook(ann, org, "*")
	w.s = New(Config{PasswordCost: cheap})
	for name, do := range map[string]func(*Session) error{
		"create": func(s *Session) error {
			_, err := s.CreateWebhook(WebhookFields{URL: ptr(hookURL), Events: &[]string{"*"}, Organization: &org})
			return err
		},
		"show": func(s *Session) error {
			_, err := s.Webhook(h.ID)
			return err
		},
	} {
		if err := w.as(ann, do); !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "keyring") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// left counts what there is of webhooks.
func (w *world) left() (n int) {
	w.t.Helper()
	n = w.keys(hookByte) + w.keys(hooksByte) + w.keys(deliveryByte)
	w.view(func(tx *kv.Tx) error {
		for _, err := range tx.Scan([]byte("o"), []byte("p")) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n
}

func TestDeletionsLeaveNothingOfWebhooks(t *testing.T) {
	w := newWorld(t)
	ann := w.user("ann")
	org := w.organization(ann, "Acme")
	h := w.hook(ann, org, "*")
	w.hook(ann, org, "*")
	w.project(ann, org, "Web")
	w.must(ann, func(s *Session) error {
		_, err := s.UpdateWebhook(h.ID, WebhookFields{Active: ptr(false)}) // with rows of what was dropped
		return err
	})
	if w.left() == 0 {
		t.Fatal("there is nothing to delete")
	}
	counts := w.keys(countByte)
	w.must(ann, func(s *Session) error { return s.DeleteWebhook(h.ID) })
	if got := w.keys(hookByte); got != 1 {
		t.Errorf("%d webhooks are left", got)
	}
	w.must(ann, func(s *Session) error { return s.DeleteOrganization(org) })
	if n := w.left(); n != 0 {
		t.Errorf("%d records are left", n)
	}
	if got := w.keys(countByte); got >= counts {
		t.Errorf("%d counters, %d before", got, counts)
	}
}

func TestWebhooksAreSealedAnew(t *testing.T) {
	path, ring := newRing(t)
	w := newWorld(t, func(c *Config) { c.Keyring = ring })
	ann := w.user("ann")
	org := w.organization(ann, "Acme")
	h := w.hook(ann, org, "*")
	if _, err := seal.Rotate(path); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Reload(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, rows := range w.s.Sealed() {
		if rows.Name != "KeyNest webhooks" {
			continue
		}
		_, err := w.DB.Update(t.Context(), func(tx *kv.Tx) error {
			for rec, err := range tx.Scan(rows.Lo, rows.Hi) {
				if err != nil {
					return err
				}
				anew, err := rows.Each(rec, func(thing sealed.Thing) bool {
					p, changed, err := ring.Reseal(seal.Seed{1}, *thing.Sealed, thing.Place)
					if err != nil || !changed {
						t.Errorf("%s of %s: %v, sealed anew %t", thing.Kind, thing.Which, err, changed)
					}
					*thing.Sealed, seen[thing.Kind+" of "+thing.Which] = p, true
					return changed
				})
				if err != nil {
					return err
				}
				tx.Set(rec.Key, anew, 0)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 2 || !seen["KeyNest webhook URLs of webhook 1"] || !seen["KeyNest webhook secrets of webhook 1"] {
		t.Errorf("sealed anew: %v", seen)
	}
	w.must(ann, func(s *Session) error {
		got, err := s.WebhookWithSecret(h.ID)
		if got.URL != hookURL || got.Secret != h.Secret {
			t.Errorf("after that: %+v", got)
		}
		return err
	})
}
