package collection

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

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
