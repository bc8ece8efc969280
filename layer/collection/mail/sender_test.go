package mail

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/layer/collection"
)

// refusal is an error of a relay.
type refusal struct{ temporary bool }

func (r refusal) Error() string   { return "550 no such user" }
func (r refusal) Temporary() bool { return r.temporary }

func TestWhatBecomesOfAMail(t *testing.T) {
	for name, tt := range map[string]struct {
		before           func(*world, collection.OID)
		settled          bool
		status, tracking any
		sent             int
	}{
		"sent":           {func(*world, collection.OID) {}, true, "sent", "sent", 1},
		"refused":        {func(w *world, _ collection.OID) { w.answer = refusal{} }, true, "failed", "550 no such user", 0},
		"later":          {func(w *world, _ collection.OID) { w.answer = refusal{true} }, false, "queued", "queued", 0},
		"the way is bad": {func(w *world, _ collection.OID) { w.answer = errors.New("refused") }, false, "queued", "queued", 0},
		"unsubscribed":   {func(w *world, _ collection.OID) { w.insert(collection.EmailUnsubscribed, `{"to":"ANN@x.org"}`) }, true, "failed", "unsubscribed", 0},
		"others have": {func(w *world, _ collection.OID) {
			w.insert(collection.EmailUnsubscribed, `[{"to":"an@x.org"},{"to":["b@x.org"]}]`)
		}, true, "sent", "sent", 1},
		"among several": {func(w *world, _ collection.OID) {
			w.insert(collection.EmailUnsubscribed, `{"to":["b@x.org","Ann@X.org"]}`)
		}, true, "failed", "unsubscribed", 0},
		"taken back":       {func(w *world, id collection.OID) { w.put(collection.EmailOutbound, id, `{"status":"cancelled"}`) }, true, "cancelled", "queued", 0},
		"a schema forbids": {func(w *world, _ collection.OID) { w.schema() }, true, "sent", "sent", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.must(`{"to":"Ann@X.org","html":"x"}`).Drafts[0].ID
			tt.before(w, id)
			settled, _ := w.deliver(id)
			doc := w.documents(collection.EmailOutbound)[0]
			if settled != tt.settled || doc["status"] != tt.status || doc["tracking-status"] != tt.tracking || len(w.sent) != tt.sent {
				t.Errorf("settled %v, %v, %v, %d sent; want %+v", settled, doc["status"], doc["tracking-status"], len(w.sent), tt)
			}
		})
	}
}

// schema gives the mails a schema that no mail fits.
func (w *world) schema() {
	w.t.Helper()
	if _, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		return w.desk.Store.SetSchema(tx, collection.DefaultDatabase, collection.EmailOutbound,
			collection.Schema{Strict: true, Fields: []collection.Field{{Name: "other", Type: "number", Required: true}}})
	}); err != nil {
		w.t.Fatal(err)
	}
}

func TestAMailWhoseDocumentIsGone(t *testing.T) {
	w := newWorld(t)
	id := w.must(`{"to":"ann@x.org","html":"x"}`).Drafts[0].ID
	w.operator(collection.EmailOutbound, collection.Delete, func(c *collection.Collection) error {
		_, err := c.Delete([]collection.OID{id})
		return err
	})
	if settled, err := w.deliver(id); !settled || !errors.Is(err, errGone) || len(w.sent) != 0 {
		t.Errorf("settled %v, %v, %d sent", settled, err, len(w.sent))
	}
	w.operator(collection.EmailOutbound, collection.Read, func(c *collection.Collection) error {
		if _, ok, err := c.Get(id); ok || err != nil {
			t.Errorf("it is there again: %v", err)
		}
		return nil
	})
	d := outbox.Delivery{Item: outbox.Item{Payload: []byte("damaged")}}
	var refused *outbox.Refused
	if err := w.sender.Send(t.Context(), d); !errors.As(err, &refused) {
		t.Errorf("a damaged item: %v", err)
	}
	w.settle(d, errDamaged)
}

// The relay took the mail, and the leader died before it was settled: the next
// one sends it again, under the same ID.
func TestARepeatHasTheSameID(t *testing.T) {
	w := newWorld(t)
	id := w.must(`{"to":"ann@x.org","html":"x"}`).Drafts[0].ID
	d := outbox.Delivery{Item: outbox.Item{Payload: encode(item{collection.DefaultDatabase, id})}}
	if err := w.sender.Send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	w.Advance(time.Hour)
	if settled, err := w.deliver(id); !settled || err != nil {
		t.Fatal(settled, err)
	}
	if len(w.sent) != 2 {
		t.Fatalf("%d sent", len(w.sent))
	}
	if diff := cmp.Diff(w.sent[0], w.sent[1]); diff != "" {
		t.Errorf("the repeat is another mail:\n%s", diff)
	}
}

func TestUnsubscribing(t *testing.T) {
	w := newWorld(t)
	b := w.must(`{"to":"Ann@x.org","html":"x"}`)
	find := func(token string) (address string, done, ok bool) {
		u := NewUnsubscription(host, token, w.time())
		w.look(func(tx *kv.Tx) (err error) {
			done, ok, err = w.desk.Find(t.Context(), tx, u)
			return err
		})
		return u.Address, done, ok
	}
	do := func(token string) (ok bool) {
		t.Helper()
		u := NewUnsubscription(host, token, w.time())
		if _, err := w.DB.Update(t.Context(), func(tx *kv.Tx) (err error) {
			ok, err = w.desk.Do(t.Context(), tx, u)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return ok
	}
	token := b.links[0].token
	if address, done, ok := find(token); address != "Ann@x.org" || done || !ok {
		t.Errorf("before: %s %v %v", address, done, ok)
	}
	for _, wrong := range []string{"", "x", strings.Repeat("0", tokenLen), token + "0", strings.ToUpper(token)} {
		if _, _, ok := find(wrong); ok || do(wrong) {
			t.Errorf("token %q is good", wrong)
		}
	}
	w.ConflictNext(1)
	for range 3 {
		if !do(token) {
			t.Error("the token is not good")
		}
	}
	if address, done, ok := find(token); address != "Ann@x.org" || !done || !ok {
		t.Errorf("after: %s %v %v", address, done, ok)
	}
	if docs := w.documents(collection.EmailUnsubscribed); len(docs) != 1 || docs[0]["to"] != "ann@x.org" {
		t.Errorf("unsubscribed: %v", docs)
	}
	w.Advance(linkLifetime)
	if _, _, ok := find(token); ok {
		t.Error("the link works for ever")
	}
}

func TestDroppingADatabaseTakesItsMails(t *testing.T) {
	w := newWorld(t)
	const db = "other"
	change := func(fn func(*kv.Tx) error) {
		t.Helper()
		if _, err := w.DB.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	link := drawLink()
	change(func(tx *kv.Tx) error { return w.desk.Store.CreateDatabase(tx, db) })
	change(func(tx *kv.Tx) error {
		w.desk.Store.SetLink(tx, db, link.hash, []byte("a@x.org"), time.Hour)
		return outbox.Put(tx, outbox.Item{Queue: collection.MailQueue(db), ID: "x", Payload: []byte("{}")})
	})
	change(func(tx *kv.Tx) error {
		_, err := w.desk.Store.DropDatabase(tx, db)
		return err
	})
	if n := w.pending(); n != 0 {
		t.Errorf("%d mails are left", n)
	}
	d := outbox.Delivery{Item: outbox.Item{Payload: encode(item{db, collection.OID{1}})}}
	if err := w.sender.Send(t.Context(), d); !errors.Is(err, errGone) {
		t.Errorf("a mail of a dropped database: %v", err)
	}
	w.settle(d, errGone)
}

func TestFooters(t *testing.T) {
	const footer = `<p style="color:#666;font-size:small">A &amp; B<br><a href="https://x/?a&amp;b">Unsubscribe</a></p>`
	for page, want := range map[string]string{
		"x": "x" + footer, "<html><body>x</body></html>": "<html><body>x" + footer + "</body></html>", "<HTML>x</HTML>": "<HTML>x" + footer + "</HTML>",
	} {
		if got := withFooter(page, "A & B", "https://x/?a&b"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := withFooter("x", "", ""); got != "x" {
		t.Errorf("got %s", got)
	}
}
