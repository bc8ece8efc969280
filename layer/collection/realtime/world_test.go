package realtime

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/collection"
)

const (
	fullKey = "0123456789abcdef0123456789abcdef01234"
	secret  = "the client secret, 32 bytes long"
	origin  = "https://app.example.com"
)

// world is a database with its feed.
type world struct {
	t     testing.TB
	store *kvtest.Store
	layer *collection.Store
	feed  *feed.Feed
}

func newWorld(t testing.TB) *world { return newWorldOn(t, kvtest.New(t)) }

func newWorldOn(t testing.TB, store *kvtest.Store) *world {
	t.Helper()
	ring, err := seal.Create(filepath.Join(t.TempDir(), "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	layer := collection.New(collection.Config{DefaultKey: auth.NewRootKey(fullKey), Keyring: ring})
	return &world{t: t, store: store, layer: layer, feed: feed.New(store)}
}

func (w *world) update(fn func(tx *kv.Tx) error) {
	w.t.Helper()
	if _, err := w.store.DB.Update(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// by is a caller with a key.
func by(key, method string) collection.Caller {
	return collection.Caller{Key: auth.Credential{Value: key}, Method: method, Path: collection.RealtimePath, Origin: origin}
}

// owner is the caller with the full-access key, which no page has.
func owner(method string) collection.Caller {
	c := by(fullKey, method)
	c.Origin = ""
	return c
}

// in does something with a collection, as a caller.
func (w *world) in(c collection.Caller, name string, need collection.Need, fn func(*collection.Collection) error) {
	w.t.Helper()
	w.update(func(tx *kv.Tx) error {
		s, err := w.layer.Enter(context.Background(), tx, c)
		if err != nil {
			return err
		}
		coll, err := s.Collection(name, need)
		if err != nil {
			return err
		}
		return fn(coll)
	})
}

// insertAs stores documents and returns their ids.
func (w *world) insertAs(c collection.Caller, name, body string) (ids []collection.OID) {
	w.t.Helper()
	drafts, many, err := collection.ParseDrafts([]byte(body), time.UnixMilli(kvtest.Start))
	if err != nil {
		w.t.Fatal(err)
	}
	w.in(c, name, collection.Create, func(coll *collection.Collection) error {
		docs, err := coll.Insert(drafts, collection.WriteOptions{At: time.UnixMilli(kvtest.Start), Many: many})
		ids = nil
		for _, d := range docs {
			ids = append(ids, d.ID())
		}
		return err
	})
	return ids
}

func (w *world) insert(name, body string) []collection.OID {
	w.t.Helper()
	return w.insertAs(owner("POST"), name, body)
}

func (w *world) change(name string, id collection.OID, body string) {
	w.t.Helper()
	change, err := collection.ParseChange([]byte(body), false)
	if err != nil {
		w.t.Fatal(err)
	}
	w.in(owner("PUT"), name, collection.Update, func(coll *collection.Collection) error {
		_, err := coll.Update(id, change, collection.WriteOptions{At: time.UnixMilli(kvtest.Start)})
		return err
	})
}

func (w *world) delete(name string, ids ...collection.OID) {
	w.t.Helper()
	w.in(owner("DELETE"), name, collection.Delete, func(coll *collection.Collection) error {
		_, err := coll.Delete(ids)
		return err
	})
}

func (w *world) clear(name string) {
	w.t.Helper()
	w.in(owner("DELETE"), name, collection.Delete, func(coll *collection.Collection) error {
		_, err := coll.Clear()
		return err
	})
}

// publishAs publishes, and returns the error of the door.
func (w *world) publishAs(c collection.Caller, body string) error {
	w.t.Helper()
	m, err := collection.ParseMessage([]byte(body))
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.store.DB.Update(context.Background(), func(tx *kv.Tx) error {
		s, err := w.layer.Enter(context.Background(), tx, c)
		if err != nil {
			return err
		}
		return s.Publish(m)
	})
	return err
}

func (w *world) publish(body string) {
	w.t.Helper()
	if err := w.publishAs(owner("POST"), body); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) roles(name string, roles *collection.Roles) {
	w.t.Helper()
	w.update(func(tx *kv.Tx) error { return w.layer.SetRoles(tx, collection.DefaultDatabase, name, roles) })
}

// webKey makes a web key for a page of origin.
func (w *world) webKey(paths, methods, events, channels string) string {
	w.t.Helper()
	return w.key(collection.KeySpec{
		Web: true, Paths: strings.Fields(paths), Methods: strings.Fields(methods), Origins: []string{origin},
		Realtime: strings.Fields(events), Channels: strings.Fields(channels),
	})
}

func (w *world) key(spec collection.KeySpec) string {
	w.t.Helper()
	text := collection.DrawKey(spec.Web)
	w.update(func(tx *kv.Tx) error {
		_, err := w.layer.CreateKey(tx, collection.DefaultDatabase, text, spec)
		return err
	})
	return text
}

func (w *world) revoke(text string) {
	w.t.Helper()
	w.update(func(tx *kv.Tx) error {
		keys, err := w.layer.Keys(tx, collection.DefaultDatabase)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := w.layer.RevokeKey(tx, collection.DefaultDatabase, k.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// user returns a caller with a token for an e-mail, good for an hour.
func (w *world) user(email string) collection.Caller {
	w.t.Helper()
	for name, value := range map[string]string{"jwt.client_id": "client", "jwt.client_secret": secret} {
		w.update(func(tx *kv.Tx) error {
			have, err := w.layer.Setting(tx, collection.DefaultDatabase, name)
			if err == nil && have.Value != "" || have.Secret && have.Set {
				return err
			}
			c, err := w.layer.NewSetting(collection.DefaultDatabase, name, value)
			if err != nil {
				return err
			}
			return w.layer.Set(tx, c)
		})
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"email": email, "aud": "client", "exp": kvtest.Start/1000 + 3600,
	}).SignedString([]byte(secret))
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := w.layer.VerifyJWT(context.Background(), w.store.DB, "", auth.Credential{Value: token})
	if err != nil {
		w.t.Fatal(err)
	}
	return collection.Caller{User: u, Method: "GET", Path: collection.RealtimePath, Origin: origin}
}

// ear is a Stream under test.
type ear struct {
	*Stream
	t    testing.TB
	last string // the ID of the last event
}

func (w *world) listen(c collection.Caller, after string) *ear {
	w.t.Helper()
	e, err := w.tryListen(c, after)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) tryListen(c collection.Caller, after string) (*ear, error) {
	w.t.Helper()
	door := func(ctx context.Context, tx *kv.Tx) (*collection.Session, error) { return w.layer.Enter(ctx, tx, c) }
	s, err := Source{DB: w.store.DB, Feed: w.feed}.Open(context.Background(), door, after)
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(s.Close)
	return &ear{Stream: s, t: w.t, last: after}, nil
}

// hang is how long a test waits for what must come.
const hang = 10 * time.Second

func (e *ear) next() (Event, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	ev, err := e.Next(ctx)
	if err == nil {
		e.last = ev.ID
	}
	return ev, err
}

// hears returns the next events, up to and without the message "end".
func (e *ear) hears() (list []string) {
	e.t.Helper()
	for {
		ev, err := e.next()
		if err != nil {
			e.t.Fatalf("after %q: %v", list, err)
		}
		if ev.Name == "publish" && strings.HasPrefix(string(ev.Data), `{"event":"end"`) {
			return list
		}
		list = append(list, fmt.Sprintf("%s %s", ev.Name, ev.Data))
	}
}

// end publishes what hears ends with.
func (w *world) end() {
	w.t.Helper()
	w.publish(`{"event":"end"}`)
}
