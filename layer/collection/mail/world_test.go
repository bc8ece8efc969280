package mail

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/layer/collection"
)

const (
	fullKey = "0123456789abcdef0123456789abcdef01234"
	host    = "localhost"
	base    = "https://localhost/mail/unsubscribe/"
)

// world is a store with a desk and a sender, and a relay that the test plays.
type world struct {
	t testing.TB
	*kvtest.Store
	desk   *Desk
	sender *Sender
	sent   []Letter
	answer error // of the relay
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, Store: kvtest.New(t)}
	layer := collection.New(collection.Config{DefaultKey: auth.NewRootKey(fullKey)})
	w.desk = &Desk{Store: layer, From: "shop@example.com"}
	w.sender = &Sender{DB: w.DB, Store: layer, From: w.desk.From, Relay: func(_ context.Context, l Letter) error {
		if w.answer == nil {
			w.sent = append(w.sent, l)
		}
		return w.answer
	}}
	return w
}

func (w *world) time() time.Time { return time.UnixMilli(w.Now()) }

// post does what POST /mail does.
func (w *world) post(body string) (*Batch, error) {
	w.t.Helper()
	b, err := Parse([]byte(body), w.time(), base)
	if err != nil {
		return nil, err
	}
	return b, w.commit(b)
}

func (w *world) commit(b *Batch) error {
	_, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		c := collection.Caller{Host: host, Key: auth.Credential{Value: fullKey}, Method: "POST", Path: "_mail"}
		s, err := w.desk.Store.Enter(w.t.Context(), tx, c)
		if err != nil {
			return err
		}
		out, err := s.System(collection.EmailOutbound, collection.Create)
		if err != nil {
			return err
		}
		return w.desk.Post(w.t.Context(), s, out, b)
	})
	return err
}

// must is post of what has to be taken.
func (w *world) must(body string) *Batch {
	w.t.Helper()
	b, err := w.post(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// operator writes to a collection with all rights.
func (w *world) operator(name string, need collection.Need, fn func(*collection.Collection) error) {
	w.t.Helper()
	if _, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		c, err := w.desk.Store.System(tx, collection.DefaultDatabase, name, need)
		if err != nil {
			return err
		}
		return fn(c)
	}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) insert(name, body string) {
	w.t.Helper()
	drafts, many, err := collection.ParseDrafts([]byte(body), w.time())
	if err != nil {
		w.t.Fatal(err)
	}
	w.operator(name, collection.Create, func(c *collection.Collection) error {
		_, err := c.Insert(drafts, collection.WriteOptions{At: w.time(), Many: many})
		return err
	})
}

func (w *world) put(name string, id collection.OID, body string) {
	w.t.Helper()
	change, err := collection.ParseChange([]byte(body), false)
	if err != nil {
		w.t.Fatal(err)
	}
	w.operator(name, collection.Update, func(c *collection.Collection) error {
		_, err := c.Update(id, change, collection.WriteOptions{At: w.time()})
		return err
	})
}

// documents returns the documents of a collection, as objects.
func (w *world) documents(name string) (docs []map[string]any) {
	w.t.Helper()
	w.look(func(tx *kv.Tx) error {
		c, err := w.desk.Store.System(tx, collection.DefaultDatabase, name, collection.Read)
		if err != nil {
			return err
		}
		for d, err := range c.After(nil) {
			if err != nil {
				return err
			}
			var m map[string]any
			if err := json.Unmarshal(d.Plain(nil), &m); err != nil {
				return err
			}
			docs = append(docs, m)
		}
		return nil
	})
	return docs
}

func (w *world) look(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.DB.View(w.t.Context(), kv.Consistency{}, fn); err != nil {
		w.t.Fatal(err)
	}
}

// pending returns how many mails wait in the outbox.
func (w *world) pending() (n int) {
	w.t.Helper()
	w.look(func(tx *kv.Tx) error {
		list, err := outbox.Queues(tx, Kind+"/", "")
		for _, q := range list {
			if q.Queue != collection.MailQueue(collection.DefaultDatabase) {
				w.t.Errorf("a queue %s", q.Queue)
			}
			n += q.Pending
		}
		return err
	})
	return n
}

// deliver does with one mail what the outbox does: a try, and if that was the
// last one, what settles it.
func (w *world) deliver(id collection.OID) (settled bool, err error) {
	w.t.Helper()
	d := outbox.Delivery{Item: outbox.Item{Queue: collection.MailQueue(collection.DefaultDatabase), ID: id.String(),
		Payload: encode(item{collection.DefaultDatabase, id})}, Attempt: 1}
	err = w.sender.Send(w.t.Context(), d)
	var refused *outbox.Refused
	if err != nil && !errors.As(err, &refused) {
		return false, err
	}
	w.settle(d, err)
	return true, err
}

func (w *world) settle(d outbox.Delivery, why error) {
	w.t.Helper()
	if _, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) error { return w.sender.Settle(tx, d, why) }); err != nil {
		w.t.Fatal(err)
	}
}
