package collection

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
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

// told returns the bodies of what waits for a webhook.
func (g *gate) told(db, id string) (bodies []string) {
	g.t.Helper()
	s := &HookSender{DB: g.DB, Store: g.s}
	for _, d := range g.queued(db, id) {
		m, err := s.message(g.t.Context(), d)
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

const (
	idA = "56e9d0b301bf3408000000a1"
	idB = "56e9d0b301bf3408000000b2"
	idC = "56e9d0b301bf3408000000c3"

	stored = `,"_created":"2016-03-16T21:31:31.627Z","_changed":"2016-03-16T21:31:31.627Z","_createdby":"api","_changedby":"api","_version":`
)

func TestAWebhookIsToldOfEachWrite(t *testing.T) {
	insert := func(body string) func(*Collection) error {
		return func(c *Collection) error {
			_, err := c.Insert(drafts(t, body), WriteOptions{At: at, Many: true})
			return err
		}
	}
	remove := func(ids ...OID) func(*Collection) error {
		return func(c *Collection) error {
			_, err := c.Delete(ids)
			return err
		}
	}
	for _, tt := range []struct {
		name   string
		method string
		need   Need
		write  func(*Collection) error
		want   string // "" = nothing
	}{
		{"an insert", "POST", Create, insert(`{"_id":"` + idC + `","x":"é<"}`),
			`{"0":{"_id":"` + idC + `","x":"é<"` + stored + `0},"event":{"db":"default","collection":"items","method":"POST","payload":[{"_id":"` + idC + `","x":"é<"` + stored + `0}]}}`},
		{"an insert of nothing", "POST", Create, insert(`[]`), ""},
		{"a child", "POST", Create, insert(`{"_id":"` + idC + `","_parent_id":"` + idA + `","_parent_def":"items","_parent_field":"kids"}`),
			`{"0":{"_id":"` + idC + `","_parent_id":"` + idA + `","_parent_def":"items","_parent_field":"kids"` + stored + `0},"event":{"db":"default","collection":"items","method":"POST","payload":[{"_id":"` +
				idC + `","_parent_id":"` + idA + `","_parent_def":"items","_parent_field":"kids"` + stored + `0}]}}`},
		{"a PUT", "PUT", Update, func(c *Collection) error {
			change, err := ParseChange([]byte(`{"n":5}`), false)
			if err == nil {
				_, err = c.Update(oid(t, idA), change, WriteOptions{At: at})
			}
			return err
		}, `{"0":{"_id":"` + idA + `","n":5` + stored + `1},"event":{"db":"default","collection":"items","method":"PUT","payload":[{"_id":"` + idA + `","n":5` + stored + `1}]}}`},
		{"a PATCH", "PATCH", Update, func(c *Collection) error {
			change, err := ParseChange([]byte(`{"$inc":{"n":1}}`), false)
			if err == nil {
				_, err = c.Update(oid(t, idB), change, WriteOptions{At: at})
			}
			return err
		}, `{"0":{"_id":"` + idB + `","n":3` + stored + `1},"event":{"db":"default","collection":"items","method":"PUT","payload":[{"_id":"` + idB + `","n":3` + stored + `1}]}}`},
		{"a deletion of some that are there", "DELETE", Delete, remove(oid(t, idB), oid(t, idC)),
			`{"0":"` + idB + `","event":{"db":"default","collection":"items","method":"DELETE","payload":["` + idB + `"]}}`},
		{"a deletion of none", "DELETE", Delete, remove(oid(t, idC)), ""},
		{"a deletion of all", "DELETE", Delete, func(c *Collection) error {
			_, err := c.Clear()
			return err
		}, `{"0":"` + idA + `","1":"` + idB + `","event":{"db":"default","collection":"items","method":"DELETE","payload":["` + idA + `","` + idB + `"]}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGate(t)
			early := g.hooked(DefaultDatabase, WebhookSpec{Collections: []string{"others"}})
			if err := g.as(rooted("POST", "items"), Create, insert(`[{"_id":"`+idA+`","n":1},{"_id":"`+idB+`","n":2}]`)); err != nil {
				t.Fatal(err)
			}
			id := g.hooked(DefaultDatabase, WebhookSpec{})
			g.ConflictNext(2)
			if err := g.as(rooted(tt.method, "items"), tt.need, tt.write); err != nil {
				t.Fatal(err)
			}
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			if diff := gocmp.Diff(want, g.told(DefaultDatabase, id)); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if got := g.told(DefaultDatabase, early); got != nil {
				t.Errorf("the hook of another collection was told %q", got)
			}
		})
	}
}

// inserted stores the documents of a body, with full access.
func (g *gate) inserted(name, body string) error {
	g.t.Helper()
	list := drafts(g.t, body)
	return g.as(rooted("POST", name), Create, func(c *Collection) error {
		_, err := c.Insert(list, WriteOptions{At: at, Many: true})
		return err
	})
}

func TestAWebhookIsToldWhatItAskedFor(t *testing.T) {
	g := newGate(t)
	for _, tt := range []struct {
		spec WebhookSpec
		want int // of: insert into items, insert into others, update in items, delete in items
	}{
		{WebhookSpec{}, 4},
		{WebhookSpec{Collections: []string{"items"}}, 3},
		{WebhookSpec{Collections: []string{"others", "items"}, Methods: []string{"post"}}, 2},
		{WebhookSpec{Methods: []string{"PATCH"}}, 1},
		{WebhookSpec{Methods: []string{"PUT", "DELETE"}}, 2},
		{WebhookSpec{Collections: []string{"nothing"}}, 0},
	} {
		id := g.hooked(DefaultDatabase, tt.spec)
		for _, name := range []string{"items", "others"} {
			if err := g.inserted(name, `{"_id":"`+idA+`"}`); err != nil {
				t.Fatal(err)
			}
		}
		change, err := ParseChange([]byte(`{"n":1}`), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.as(rooted("PUT", "items"), Update, func(c *Collection) error {
			_, err := c.Update(oid(t, idA), change, WriteOptions{At: at})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := g.as(rooted("DELETE", "items"), Delete, func(c *Collection) error {
			_, err := c.Delete([]OID{oid(t, idA)})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if got := g.told(DefaultDatabase, id); len(got) != tt.want {
			t.Errorf("%+v: told %d times, want %d: %q", tt.spec, len(got), tt.want, got)
		}
		g.update(func(tx *kv.Tx) error { return g.s.RemoveWebhook(tx, DefaultDatabase, id) })
		g.update(func(tx *kv.Tx) error { return g.s.DropCollection(tx, DefaultDatabase, "others") })
	}
}

// The operator, users with a JWT and the system write through the same methods.
func TestEveryWriterIsTold(t *testing.T) {
	g := newGate(t)
	g.tokens("")
	g.insert(UsersCollection, `{"email":"ada@example.com","active":true,"roles":["a"]}`)
	g.insert("items", `{}`)
	g.update(func(tx *kv.Tx) error {
		return g.s.SetRoles(tx, DefaultDatabase, "items", &Roles{Create: []string{"a"}, Delete: []string{"a"}, Private: true})
	})
	id := g.hooked(DefaultDatabase, WebhookSpec{})
	user, err := g.verify(hs256(t, clientSecret, good(nil)))
	if err != nil {
		t.Fatal(err)
	}
	one := func(c *Collection) error {
		_, err := c.Insert(drafts(t, `{}`), WriteOptions{At: at})
		return err
	}
	if err := g.as(Caller{User: user, Method: "POST", Path: "items"}, Create, one); err != nil {
		t.Fatal(err)
	}
	if err := g.as(Caller{User: user, Method: "DELETE", Path: "items"}, Delete, func(c *Collection) error {
		_, err := c.Clear() // deletes what the user sees
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, open := range []func(tx *kv.Tx) (*Collection, error){
		func(tx *kv.Tx) (*Collection, error) { return g.s.Operator(tx, DefaultDatabase, "items", Create) },
		func(tx *kv.Tx) (*Collection, error) { return g.s.System(tx, DefaultDatabase, EmailOutbound, Create) },
	} {
		g.update(func(tx *kv.Tx) error {
			c, err := open(tx)
			if err != nil {
				return err
			}
			return one(c)
		})
	}
	got := g.told(DefaultDatabase, id)
	if len(got) != 4 || !strings.Contains(got[0], `"_createdby":"ada@example.com"`) || !strings.Contains(got[1], `"method":"DELETE"`) ||
		strings.Contains(got[1], `"1":`) || !strings.Contains(got[3], EmailOutbound) {
		t.Errorf("told %q", got)
	}
}

func TestAnEventIsCommittedWithItsWriteOrNotAtAll(t *testing.T) {
	g := newGate(t)
	id := g.hooked(DefaultDatabase, WebhookSpec{})
	if err := g.inserted("items", `[{"_id":"`+idA+`"},{"_id":"`+idA+`"}]`); !errs.Is(err, errs.Exists) {
		t.Fatalf("an _id that is taken: %v", err)
	}
	g.FailNext(errs.E(errs.Unavailable, "injected"))
	if err := g.inserted("items", `{}`); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("a commit that failed: %v", err)
	}
	if got := g.told(DefaultDatabase, id); got != nil {
		t.Errorf("told of writes that did not happen: %q", got)
	}
	once := kv.Once{ID: kv.NewID()}
	list := drafts(t, `{}`)
	g.LoseNext(1)
	for range 3 { // the first answer is lost, the others are of repeats
		_, _ = g.DB.UpdateOnce(t.Context(), once, func(tx *kv.Tx) error {
			c, err := g.s.Operator(tx, DefaultDatabase, "items", Create)
			if errs.Is(err, errs.NotFound) {
				if err = g.s.CreateCollection(tx, DefaultDatabase, "items"); err == nil {
					c, err = g.s.Operator(tx, DefaultDatabase, "items", Create)
				}
			}
			if err == nil {
				_, err = c.Insert(list, WriteOptions{At: at})
			}
			return err
		})
	}
	if got := g.told(DefaultDatabase, id); len(got) != 1 {
		t.Errorf("a write that was tried 3 times under one id was told %d times", len(got))
	}
}

func TestMessagesOfOneDocumentHaveIDsOfTheirOwnInTheOrderOfItsVersions(t *testing.T) {
	g := newGate(t)
	id := g.hooked(DefaultDatabase, WebhookSpec{})
	other := g.hooked(DefaultDatabase, WebhookSpec{})
	if err := g.inserted("items", `{"_id":"`+idA+`","n":0}`); err != nil {
		t.Fatal(err)
	}
	change, err := ParseChange([]byte(`{"$inc":{"n":1}}`), false)
	if err != nil {
		t.Fatal(err)
	}
	const updates = 20
	for range updates {
		if err := g.as(rooted("PATCH", "items"), Update, func(c *Collection) error {
			_, err := c.Update(oid(t, idA), change, WriteOptions{At: at})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	ids := map[string]bool{}
	for _, d := range append(g.queued(DefaultDatabase, id), g.queued(DefaultDatabase, other)...) {
		ids[d.ID] = true
	}
	if len(ids) != 2*(updates+1) {
		t.Errorf("%d different ids of %d messages", len(ids), 2*(updates+1))
	}
	for n, body := range g.told(DefaultDatabase, id) {
		if !strings.Contains(body, fmt.Sprintf(`"n":%d,`, n)) {
			t.Errorf("message %d: %s", n, body)
		}
	}
}

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

// A deletion of very many documents is told in parts, and stored once however
// many hooks there are.
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
	s := &HookSender{DB: g.DB, Store: g.s}
	for part, d := range g.queued(DefaultDatabase, hooks[7]) {
		if len(d.Payload) > 100 || !strings.HasSuffix(d.ID, fmt.Sprintf("-%05d", part)) {
			t.Errorf("part %d: id %s, %d bytes in the queue", part, d.ID, len(d.Payload))
		}
		m, err := s.message(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Event struct{ Payload []string }
		}
		if err := json.Unmarshal(m.Body, &body); err != nil {
			t.Fatal(err)
		}
		for _, text := range body.Event.Payload {
			told = append(told, oid(t, text))
		}
	}
	if len(told) != documents || !slices.Equal(told, deleted) {
		t.Errorf("told of %d documents, %d were deleted", len(told), len(deleted))
	}
	g.Advance(keepEvent + time.Hour)
	if _, err := s.message(t.Context(), g.queued(DefaultDatabase, hooks[0])[0]); !isRefused(err) {
		t.Errorf("an event that is no longer kept: %v", err)
	}
}

func isRefused(err error) bool {
	_, ok := err.(*outbox.Refused)
	return ok
}

func TestASuspendedQueueDoesNotHoldUpWrites(t *testing.T) {
	g := newGate(t)
	id := g.hooked(DefaultDatabase, WebhookSpec{})
	g.update(func(tx *kv.Tx) error {
		tx.Set(tuple.AppendString([]byte("os"), hookQueue(DefaultDatabase, id)), []byte(`{"since":1}`), 0)
		return nil
	})
	if err := g.inserted("items", `{}`); err != nil {
		t.Fatal(err)
	}
	if got := g.queued(DefaultDatabase, id); len(got) != 0 {
		t.Errorf("%d messages in a suspended queue", len(got))
	}
}

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
	s := &HookSender{DB: g.DB, Store: g.s, Post: func(_ context.Context, m webhook.Message) error {
		posted = m
		return answer
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

func TestAWebhookThatIsGivenUpIsDisabled(t *testing.T) {
	g := newGate(t)
	id := g.hooked(DefaultDatabase, WebhookSpec{})
	for range 3 {
		if err := g.inserted("items", `{}`); err != nil {
			t.Fatal(err)
		}
	}
	s := &HookSender{DB: g.DB, Store: g.s}
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
	g.Advance(keepEvent)
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

// Writes to a database without webhooks do not look for them.
func TestWithoutWebhooksWritesReadNothingMore(t *testing.T) {
	g := newGate(t)
	g.update(func(tx *kv.Tx) error {
		tx.Set(hooksKey(DefaultDatabase), []byte("damaged"), 0)
		return nil
	})
	if err := g.inserted("items", `{}`); err != nil {
		t.Errorf("the row of webhooks was read: %v", err)
	}
}

func FuzzOpenEvent(f *testing.F) {
	e := hookEvent{method: "POST", collection: "items", docs: [][]byte{[]byte(`{"a":1}`), []byte(`{}`)}}
	f.Add(e.append(nil))
	e = hookEvent{method: "DELETE", collection: "items", ids: []OID{{1}, {2}}}
	f.Add(e.append(nil))
	f.Add([]byte{recordDocuments})
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := openEvent(record)
		if err != nil {
			return
		}
		again, err := openEvent(e.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(e, again, gocmp.AllowUnexported(hookEvent{})); diff != "" {
			t.Error(diff)
		}
		_ = e.body("db")
	})
}
