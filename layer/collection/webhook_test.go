package collection

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/posting"
	"github.com/coveydb/covey/outgoing/webhook"
)

func TestWebhooksThatAreRefused(t *testing.T) {
	g := newGate(t)
	long := strings.Repeat("x", maxNote+1)
	for _, spec := range []WebhookSpec{
		{}, {URL: "ftp://example.com"}, {URL: "https://u:p@example.com"}, {URL: "https://example.com", Note: long},
		{URL: "https://example.com", Note: "\xff"}, {URL: "https://example.com", Collections: []string{"a/b"}},
		{URL: "https://example.com", Methods: []string{"GET"}}, {URL: "https://example.com", Collections: make([]string, maxHookCollections+1)},
	} {
		_, err := g.s.NewWebhook(DefaultDatabase, spec)
		wantKind(t, err, errs.Invalid)
	}
	for _, url := range []string{"http://example.com", "https://127.0.0.1", "https://localhost", "https://10.0.0.1/x"} {
		_, err := New(Config{Keyring: g.s.cfg.Keyring}).NewWebhook(DefaultDatabase, WebhookSpec{URL: url})
		wantKind(t, err, errs.Invalid)
	}
	_, err := New(Config{}).NewWebhook(DefaultDatabase, WebhookSpec{URL: "https://example.com"})
	wantKind(t, err, errs.Invalid)
	if err == nil || !strings.Contains(err.Error(), "keyring") {
		t.Errorf("without a keyring: %v", err)
	}
	h, err := g.s.NewWebhook("nowhere", WebhookSpec{URL: "https://example.com"})
	if err != nil {
		t.Fatal(err)
	}
	add := func(tx *kv.Tx) error {
		_, err := g.s.AddWebhook(tx, h)
		return err
	}
	_, err = g.DB.Update(t.Context(), add)
	wantKind(t, err, errs.NotFound)
	for range maxHooks {
		g.hooked(DefaultDatabase, WebhookSpec{})
	}
	if h, err = g.s.NewWebhook(DefaultDatabase, WebhookSpec{URL: "https://example.com"}); err != nil {
		t.Fatal(err)
	}
	_, err = g.DB.Update(t.Context(), add)
	wantKind(t, err, errs.TooLarge)
}

func TestWhatASenderPosts(t *testing.T) {
	g := newGate(t)
	id := g.hooked(DefaultDatabase, WebhookSpec{URL: "https://one.example/hook?x=1"})
	if err := g.inserted("items", `{"_id":"`+idA+`"}`); err != nil {
		t.Fatal(err)
	}
	d := g.queued(DefaultDatabase, id)[0]
	var posted webhook.Message
	var answer error
	s := &posting.Sender{DB: g.DB, Hooks: g.s.Hooks(), Try: func(_ context.Context, m webhook.Message) (int, error) {
		posted = m
		return 0, answer
	}}
	if err := s.Send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	var secret string
	if err := g.view(func(tx *kv.Tx) (err error) {
		secret, err = g.s.WebhookSecret(tx, DefaultDatabase, id)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	want, err := webhook.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	if posted.URL != "https://one.example/hook?x=1" || posted.ID != d.ID || string(posted.Secret) != string(want) || time.Since(posted.At) > time.Minute {
		t.Errorf("posted to %s with id %s at %v", posted.URL, posted.ID, posted.At)
	}
	answer = errs.E(errs.Unavailable, "no answer")
	if err := s.Send(t.Context(), d); err != answer {
		t.Errorf("a target that fails: %v", err)
	}
	answer = &webhook.StatusError{Status: http.StatusGone}
	if err := s.Send(t.Context(), d); !isRefused(err) {
		t.Errorf("a target that is gone: %v", err)
	}
	d.Queue = hookQueue(DefaultDatabase, "0123456789ab")
	if err := s.Send(t.Context(), d); !isRefused(err) {
		t.Errorf("a webhook that is not there: %v", err)
	}
	d.Queue, d.Payload = hookQueue(DefaultDatabase, id), []byte{recordIDs, 1}
	if err := s.Send(t.Context(), d); !errs.Is(err, errs.Internal) {
		t.Errorf("a damaged record: %v", err)
	}
}

// What is stored of a webhook holds neither its secret nor its URL, in which there
// may be another; a node that cannot open them says so, and can remove it.
func TestWhatIsStoredOfAWebhookIsSealed(t *testing.T) {
	g := newGate(t)
	const url = "https://one.example/services/T0/hidden?token=also-hidden"
	id := g.hooked(DefaultDatabase, WebhookSpec{URL: url, Note: "shown"})
	other := g.hooked(DefaultDatabase, WebhookSpec{URL: "https://two.example/x"})
	if err := g.inserted("items", `{}`); err != nil {
		t.Fatal(err)
	}
	list := func(s *Store) (infos []WebhookInfo) {
		t.Helper()
		if err := g.view(func(tx *kv.Tx) (err error) {
			infos, err = s.Webhooks(tx, DefaultDatabase)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return infos
	}
	var secret string
	var row hookRow
	if err := g.view(func(tx *kv.Tx) (err error) {
		if secret, err = g.s.WebhookSecret(tx, DefaultDatabase, id); err != nil {
			return err
		}
		rec, _, err := tx.Get(hooksKey(DefaultDatabase))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(rec.Value, &row); err != nil {
			return err
		}
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			for _, hidden := range []string{"hidden", "one.example", secret} {
				if bytes.Contains(rec.Value, []byte(hidden)) || bytes.Contains(rec.Value, []byte(base64.StdEncoding.EncodeToString([]byte(hidden)))) {
					t.Errorf("%q is in %q=%q", hidden, rec.Key, rec.Value)
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := list(g.s)[0]; got.URL != url || got.URLError != "" || got.Note != "shown" {
		t.Errorf("%+v", got)
	}
	bare := New(Config{})
	if got := list(bare)[0]; got.URL != "" || !strings.Contains(got.URLError, "keyring") || got.ID != id || got.Note != "shown" || got.Waiting.Pending != 1 {
		t.Errorf("without a keyring: %+v", got)
	}
	s := &posting.Sender{DB: g.DB, Hooks: bare.Hooks()}
	if err := s.Send(t.Context(), g.queued(DefaultDatabase, id)[0]); err == nil || isRefused(err) {
		t.Errorf("without a keyring: %v", err)
	}

	// The URL of another webhook, and the secret in the place of the URL.
	for name, target := range map[string][]byte{"another's": row.Hooks[1].Target, "the secret": row.Hooks[0].Secret} {
		moved := *row.Hooks[0]
		moved.Target = target
		g.update(func(tx *kv.Tx) error {
			tx.Set(hooksKey(DefaultDatabase), encodeJSON(hookRow{[]*hook{&moved, row.Hooks[1]}}), 0)
			return nil
		})
		if got := list(g.s)[0]; got.URL != "" || !strings.Contains(got.URLError, "do not open") {
			t.Errorf("%s in the place of the URL: %+v", name, got)
		}
		s := &posting.Sender{DB: g.DB, Hooks: g.s.Hooks()}
		if err := s.Send(t.Context(), g.queued(DefaultDatabase, id)[0]); !errs.Is(err, errs.Internal) {
			t.Errorf("%s in the place of the URL: %v", name, err)
		}
	}
	for _, id := range []string{id, other} {
		g.update(func(tx *kv.Tx) error { return bare.RemoveWebhook(tx, DefaultDatabase, id) })
	}
	if got := list(bare); len(got) != 0 {
		t.Errorf("after the removal: %+v", got)
	}
}

func TestAWebhookThatIsGivenUpIsDisabled(t *testing.T) {
	g := newGate(t)
	id := g.hooked(DefaultDatabase, WebhookSpec{})
	for range 3 {
		if err := g.inserted("items", `{}`); err != nil {
			t.Fatal(err)
		}
	}
	s := &posting.Sender{DB: g.DB, Hooks: g.s.Hooks()}
	d := g.queued(DefaultDatabase, id)[0]
	info := func() WebhookInfo {
		var infos []WebhookInfo
		if err := g.view(func(tx *kv.Tx) (err error) {
			infos, err = g.s.Webhooks(tx, DefaultDatabase)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return infos[0]
	}
	if i := info(); i.Waiting.Pending != 3 || i.DisabledSince != 0 {
		t.Errorf("%+v", i)
	}
	g.update(func(tx *kv.Tx) error { return s.Settle(tx, d, nil) })
	if i := info(); i.DisabledSince != 0 {
		t.Errorf("after a delivery: %+v", i)
	}
	g.ConflictNext(1)
	g.update(func(tx *kv.Tx) error { return s.Settle(tx, d, &webhook.StatusError{Status: http.StatusGone}) })
	i := info()
	if i.DisabledSince != g.Now() || !strings.Contains(i.Reason, "410") || i.Waiting.Pending != 0 {
		t.Errorf("%+v", i)
	}
	g.update(func(tx *kv.Tx) error { return s.Settle(tx, d, errs.E(errs.Unavailable, "another reason")) })
	if again := info(); again.Reason != i.Reason {
		t.Errorf("a later reason took the place of the first: %+v", again)
	}
	if err := g.inserted("items", `{}`); err != nil {
		t.Fatal(err)
	}
	if got := g.queued(DefaultDatabase, id); len(got) != 0 {
		t.Errorf("a disabled webhook was told %d times", len(got))
	}
	for _, verb := range []func(tx *kv.Tx) error{
		func(tx *kv.Tx) error { return g.s.RetryWebhook(tx, DefaultDatabase, id) },
		func(tx *kv.Tx) error {
			_, err := g.s.PingWebhook(tx, DefaultDatabase, id, "token")
			return err
		},
	} {
		_, err := g.DB.Update(t.Context(), verb)
		wantKind(t, err, errs.Conflict)
	}
	g.update(func(tx *kv.Tx) error { return g.s.EnableWebhook(tx, DefaultDatabase, id) })
	var ping string
	g.update(func(tx *kv.Tx) (err error) {
		ping, err = g.s.PingWebhook(tx, DefaultDatabase, id, "token")
		return err
	})
	if err := g.inserted("items", `{"_id":"`+idA+`"}`); err != nil {
		t.Fatal(err)
	}
	got := g.told(DefaultDatabase, id)
	if len(got) != 2 || got[0] != `{"event":{"db":"default","collection":"","method":"PING","payload":[]}}` || g.queued(DefaultDatabase, id)[0].ID != ping {
		t.Errorf("told %q, the ping is %s", got, ping)
	}
	g.update(func(tx *kv.Tx) error { return g.s.RemoveWebhook(tx, DefaultDatabase, id) })
	g.update(func(tx *kv.Tx) error { return s.Settle(tx, d, errs.E(errs.Unavailable, "too late")) })
	for _, verb := range []func(tx *kv.Tx) error{
		func(tx *kv.Tx) error { return g.s.RemoveWebhook(tx, DefaultDatabase, id) },
		func(tx *kv.Tx) error { return g.s.EnableWebhook(tx, DefaultDatabase, id) },
	} {
		_, err := g.DB.Update(t.Context(), verb)
		wantKind(t, err, errs.NotFound)
	}
}

// Nothing of a database's webhooks outlives it, and nothing of a webhook itself.
func TestNothingIsLeftOfWebhooks(t *testing.T) {
	g := newGate(t)
	g.update(func(tx *kv.Tx) error { return g.s.CreateDatabase(tx, "shop") })
	rows := func() (keys []string) {
		if err := g.view(func(tx *kv.Tx) error {
			for rec, err := range tx.Scan([]byte("a"), []byte("z")) {
				if err != nil {
					return err
				}
				keys = append(keys, fmt.Sprintf("%q=%q", rec.Key, rec.Value))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	before := rows()
	write := func() {
		g.update(func(tx *kv.Tx) error {
			if err := g.s.CreateCollection(tx, "shop", "items"); err != nil {
				return err
			}
			c, err := g.s.Operator(tx, "shop", "items", Create)
			if err == nil {
				_, err = c.Insert(drafts(t, "["+strings.Repeat(`{"text":"`+strings.Repeat("x", 100_000)+`"},`, 9)+"{}]"), WriteOptions{At: at, Many: true})
			}
			return err
		})
	}
	first, second := g.hooked("shop", WebhookSpec{}), g.hooked("shop", WebhookSpec{})
	write()
	g.update(func(tx *kv.Tx) error { return g.s.DropCollection(tx, "shop", "items") })
	g.update(func(tx *kv.Tx) error { return g.s.RemoveWebhook(tx, "shop", first) })
	g.update(func(tx *kv.Tx) error { return g.s.RemoveWebhook(tx, "shop", second) })
	left := slices.DeleteFunc(rows(), func(row string) bool { return strings.HasPrefix(row, `"ci"`) }) // the last number given
	if diff := gocmp.Diff(before, left); diff != "" {
		t.Errorf("after the removal (-want +got):\n%s", diff)
	}
	g.hooked("shop", WebhookSpec{})
	g.hooked("shop", WebhookSpec{})
	write()
	g.update(func(tx *kv.Tx) error {
		done, err := g.s.DropDatabase(tx, "shop")
		if err == nil && !done {
			t.Error("not done")
		}
		return err
	})
	if left := rows(); len(left) != 1 {
		t.Errorf("after the drop: %.2000q", left)
	}
}
