package realtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/collection"
)

const (
	id1 = "000000000000000000000001"
	id2 = "000000000000000000000002"
	id3 = "000000000000000000000003"
)

func oid(t testing.TB, text string) collection.OID {
	t.Helper()
	id, ok := collection.ParseOID(text)
	if !ok {
		t.Fatal(text)
	}
	return id
}

// doc is a document with this id.
func doc(id string) string { return `{"_id":"` + id + `","n":1}` }

func posted(coll, doc string) string {
	return fmt.Sprintf(`post {"event":"post","collection":%q,"data":%s}`, coll, doc)
}

func changed(coll, id string) string {
	return fmt.Sprintf(`put {"event":"put","collection":%q,"data":%q}`, coll, id)
}

func gone(coll string, ids ...string) string {
	return fmt.Sprintf(`delete {"event":"delete","collection":%q,"data":["%s"]}`, coll, strings.Join(ids, `","`))
}

func TestWhatWritesTell(t *testing.T) {
	three := "[" + doc(id1) + "," + doc(id2) + "," + doc(id3) + "]"
	for _, tt := range []struct {
		what  string
		do    func(w *world)
		hears []string
	}{
		{"a new document, in a new collection", func(w *world) { w.insert("items", doc(id1)) }, []string{posted("items", doc(id1))}},
		{"many at once", func(w *world) { w.insert("items", three) },
			[]string{posted("items", doc(id1)), posted("items", doc(id2)), posted("items", doc(id3))}},
		{"a change", func(w *world) {
			w.insert("items", doc(id1))
			w.change("items", oid(t, id1), `{"n":2}`)
			w.change("items", oid(t, id1), `{"$inc":{"n":2}}`)
		}, []string{posted("items", doc(id1)), changed("items", id1), changed("items", id1)}},
		{"one deletion, and another that meets nothing", func(w *world) {
			w.insert("items", three)
			w.delete("items", oid(t, id2))
			w.delete("items", oid(t, id2))
		}, []string{posted("items", doc(id1)), posted("items", doc(id2)), posted("items", doc(id3)), gone("items", id2)}},
		{"a deletion by ids, of which one is not there", func(w *world) {
			w.insert("items", "["+doc(id1)+","+doc(id3)+"]")
			w.delete("items", oid(t, id3), oid(t, id2), oid(t, id1))
		}, []string{posted("items", doc(id1)), posted("items", doc(id3)), gone("items", id3, id1)}},
		{"a collection that is emptied, twice", func(w *world) {
			w.insert("items", three)
			w.clear("items")
			w.clear("items")
		}, []string{posted("items", doc(id1)), posted("items", doc(id2)), posted("items", doc(id3)), gone("items", id1, id2, id3)}},
		{"the same id again", func(w *world) {
			w.insert("items", doc(id1))
			w.delete("items", oid(t, id1))
			w.insert("items", doc(id1))
			w.delete("items", oid(t, id1))
		}, []string{posted("items", doc(id1)), gone("items", id1), posted("items", doc(id1)), gone("items", id1)}},
		{"a document and a message that are too long for the history", func(w *world) {
			w.insert("items", `{"_id":"`+id1+`","text":"`+strings.Repeat("x", 20_000)+`"}`)
			w.change("items", oid(t, id1), `{"n":1}`)
			w.publish(`{"event":"long","data":"` + strings.Repeat("y", 20_000) + `"}`)
		}, []string{posted("items", `{"_id":"`+id1+`","text":"`+strings.Repeat("x", 20_000)+`","n":1}`), changed("items", id1),
			`publish {"event":"long","data":"` + strings.Repeat("y", 20_000) + `"}`}},
		{"a long document that is gone already", func(w *world) {
			w.insert("items", `{"_id":"`+id1+`","text":"`+strings.Repeat("x", 20_000)+`"}`)
			w.delete("items", oid(t, id1))
		}, []string{gone("items", id1)}},
		{"messages", func(w *world) {
			w.publish(`{ "data" : {"a": [1, 2]}, "event" : "news", "more": 1}`)
			w.publish(`{"event":"a \"b\" é"}`)
			w.publish(`{"event":"post","data":"line\nbreak"}`)
		}, []string{`publish {"event":"news","data":{"a":[1,2]}}`, `publish {"event":"a \"b\" é","data":null}`,
			`publish {"event":"post","data":"line\nbreak"}`}},
		{"writes that run twice", func(w *world) {
			for _, write := range []func(){
				func() { w.insert("items", doc(id1)) }, func() { w.change("items", oid(t, id1), `{}`) },
				func() { w.delete("items", oid(t, id1)) }, func() { w.publish(`{"event":"x"}`) },
			} {
				w.store.ConflictNext(2)
				write()
			}
		}, []string{posted("items", doc(id1)), changed("items", id1), gone("items", id1), `publish {"event":"x","data":null}`}},
		{"another database", func(w *world) {
			w.update(func(tx *kv.Tx) error {
				if err := w.layer.CreateDatabase(tx, "other"); err != nil {
					return err
				}
				return w.layer.CreateCollection(tx, "other", "items")
			})
			drafts, _, err := collection.ParseDrafts([]byte(doc(id1)), time.UnixMilli(kvtest.Start))
			if err != nil {
				t.Fatal(err)
			}
			w.update(func(tx *kv.Tx) error {
				c, err := w.layer.Operator(tx, "other", "items", collection.Create)
				if err == nil {
					_, err = c.Insert(drafts, collection.WriteOptions{At: time.UnixMilli(kvtest.Start)})
				}
				return err
			})
		}, nil},
	} {
		t.Run(tt.what, func(t *testing.T) {
			w := newWorld(t)
			w.insert("before", `{}`)
			e := w.listen(owner("GET"), "")
			begin := e.Place()
			tt.do(w)
			w.end()
			if diff := cmp.Diff(tt.hears, e.hears()); diff != "" {
				t.Errorf("while it happened (-want +got):\n%s", diff)
			}
			// What is read from the history afterwards is the same; but then a long
			// document is gone for those too who came in time.
			if diff := cmp.Diff(tt.hears, w.listen(owner("GET"), begin).hears()); diff != "" {
				t.Errorf("afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// Whoever goes on behind any event hears the rest, each once: also behind one
// in the middle of a commit.
func TestGoOnBehindAnyEvent(t *testing.T) {
	w := newWorld(t)
	e := w.listen(owner("GET"), "")
	begin := e.Place()
	ids := w.insert("items", "["+strings.Repeat(`{"n":1},`, 199)+`{"n":1}]`)
	w.change("items", ids[7], `{"n":2}`)
	w.clear("items")
	w.publish(`{"event":"x"}`)
	w.end()
	var all []string
	var places []string
	for {
		ev, err := e.next()
		if err != nil {
			t.Fatal(err)
		}
		all, places = append(all, fmt.Sprintf("%s %s", ev.Name, ev.Data)), append(places, ev.ID)
		if strings.Contains(string(ev.Data), `"end"`) {
			break
		}
	}
	if len(all) != 204 {
		t.Fatalf("%d events, want 200 posts, a put, a delete and two messages", len(all))
	}
	rest := all[:len(all)-1]
	for i := -1; i < len(rest); i += 13 {
		at := begin
		if i >= 0 {
			at = places[i]
		}
		if diff := cmp.Diff(slices.Clone(rest[i+1:]), w.listen(owner("GET"), at).hears()); diff != "" {
			t.Errorf("behind %s (-want +got):\n%s", at, diff)
		}
	}
}

func TestManyIDsComeInPieces(t *testing.T) {
	w := newWorld(t)
	w.insert("items", "["+strings.Repeat(`{},`, 2499)+`{}]`)
	e := w.listen(owner("GET"), "")
	w.clear("items")
	w.end()
	got := e.hears()
	ids := 0
	for _, text := range got {
		n := strings.Count(text[strings.Index(text, "["):], `"`) / 2
		if n > 1000 {
			t.Errorf("an event with %d ids", n)
		}
		ids += n
	}
	if ids != 2500 || len(got) != 3 {
		t.Errorf("%d ids in %d events, want 2500 in 3", ids, len(got))
	}
}

// A place that nobody can go on from begins now, with a reset.
func TestReset(t *testing.T) {
	t.Run("a place of the future, or none", func(t *testing.T) {
		w := newWorld(t)
		w.insert("items", doc(id1))
		for _, place := range []string{"99999", "99999.3", "x", "1.2.3", "-1"} {
			e := w.listen(owner("GET"), place)
			ev, err := e.next()
			if err != nil || ev.Name != "reset" || !strings.Contains(string(ev.Data), `"reason":"`) {
				t.Fatalf("behind %s: %+v, %v", place, ev, err)
			}
			w.end()
			if got := e.hears(); len(got) != 0 {
				t.Errorf("behind %s then %q", place, got)
			}
		}
	})
	t.Run("a place that is no longer kept", func(t *testing.T) {
		w := newWorldOn(t, kvtest.NewShort(t, 64<<10))
		w.insert("items", doc(id1))
		e := w.listen(owner("GET"), "")
		place := e.Place()
		for range 100 {
			w.change("items", oid(t, id1), `{"text":"`+strings.Repeat("x", 4000)+`"}`)
		}
		e = w.listen(owner("GET"), place)
		if ev, err := e.next(); err != nil || ev.Name != "reset" {
			t.Fatalf("%+v, %v", ev, err)
		}
		w.change("items", oid(t, id1), `{"n":3}`)
		w.end()
		if diff := cmp.Diff([]string{changed("items", id1)}, e.hears()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a long message that has expired", func(t *testing.T) {
		w := newWorld(t)
		place := w.listen(owner("GET"), "").Place()
		w.publish(`{"event":"long","data":"` + strings.Repeat("y", 20_000) + `"}`)
		w.insert("items", doc(id1))
		w.store.Advance(2 * time.Hour)
		w.end()
		got := w.listen(owner("GET"), place).hears()
		if len(got) != 2 || !strings.HasPrefix(got[0], "reset ") || got[1] != posted("items", doc(id1)) {
			t.Errorf("%.200q", got)
		}
	})
}

// Place moves on with a cluster in which nothing happens that the caller hears.
func TestPlaceMovesOn(t *testing.T) {
	w := newWorld(t)
	e := w.listen(by(w.webKey("items", "GET", "POST:items", ""), "GET"), "")
	before := e.Place()
	w.update(func(tx *kv.Tx) error { tx.Set([]byte("something else"), nil, 0); return nil })
	for deadline := time.Now().Add(hang); e.Place() == before; {
		if time.Now().After(deadline) {
			t.Fatal("the place stays where it is")
		}
		ctx, cancel := contextFor(10 * time.Millisecond)
		if _, err := e.Next(ctx); err == nil || errs.KindOf(err) == errs.Unavailable {
			t.Fatalf("%v", err)
		}
		cancel()
	}
}

// A change that decides what may be heard is judged by before anything else.
func TestRightsEnd(t *testing.T) {
	for _, tt := range []struct {
		what   string
		caller func(w *world) collection.Caller
		end    func(w *world, c collection.Caller)
		kind   errs.Kind
	}{
		{"a key is revoked", func(w *world) collection.Caller {
			return by(w.webKey("items", "GET", "POST:items", "*"), "GET")
		}, func(w *world, c collection.Caller) { w.revoke(c.Key.Value) }, errs.Unauthenticated},
		{"a key expires", func(w *world) collection.Caller {
			return by(w.key(collection.KeySpec{Expires: kvtest.Start + 200}), "GET")
		}, func(w *world, _ collection.Caller) { w.store.Advance(time.Second) }, errs.Unauthenticated},
		{"a user is switched off", func(w *world) collection.Caller {
			w.insert("users", `{"_id":"`+id1+`","email":"ann@example.com","active":true,"realtime":{"sub":["*"]}}`)
			return w.user("ann@example.com")
		}, func(w *world, _ collection.Caller) { w.change("users", oid(t, id1), `{"active":false}`) }, errs.Forbidden},
		{"a user is deleted with all others", func(w *world) collection.Caller {
			w.insert("users", `{"email":"ann@example.com","active":true,"realtime":{"sub":["*"]}}`)
			return w.user("ann@example.com")
		}, func(w *world, _ collection.Caller) { w.clear("users") }, errs.Forbidden},
		{"the key of a user's page is revoked", func(w *world) collection.Caller {
			w.insert("users", `{"email":"ann@example.com","active":true,"realtime":{"sub":["*"]}}`)
			c := w.user("ann@example.com")
			c.Page.Value = w.webKey("items", "GET", "", "")
			return c
		}, func(w *world, c collection.Caller) { w.revoke(c.Page.Value) }, errs.Unauthenticated},
		{"the settings of tokens change", func(w *world) collection.Caller {
			w.insert("users", `{"email":"ann@example.com","active":true,"realtime":{"sub":["*"]}}`)
			return w.user("ann@example.com")
		}, func(w *world, _ collection.Caller) {
			c, err := w.layer.NewSetting(collection.DefaultDatabase, "jwt.client_id", "another")
			if err != nil {
				t.Fatal(err)
			}
			w.update(func(tx *kv.Tx) error { return w.layer.Set(tx, c) })
		}, errs.Unavailable},
	} {
		t.Run(tt.what, func(t *testing.T) {
			w := newWorld(t)
			w.insert("items", doc(id2))
			c := tt.caller(w)
			e := w.listen(c, "")
			w.publish(`{"event":"before"}`)
			if ev, err := e.next(); c.Key.Value != "" && len(c.Key.Value) == 24 && ev.Name != "publish" || err != nil {
				t.Fatalf("%+v, %v", ev, err)
			}
			tt.end(w, c)
			w.insert("items", doc(id1))
			w.publish(`{"event":"after"}`)
			ev, err := e.next()
			if tt.what == "a key expires" && err == nil { // the timer may come after what was published in time
				for err == nil {
					ev, err = e.next()
				}
			}
			if !errs.Is(err, tt.kind) {
				t.Fatalf("%+v, %v, want an error of kind %v", ev, err, tt.kind)
			}
			if _, again := e.next(); !errors.Is(again, err) {
				t.Errorf("then %v", again)
			}
			if _, err := w.tryListen(c, e.last); !errs.Is(err, tt.kind) {
				t.Errorf("whoever comes back gets %v", err)
			}
		})
	}
}

// A token ends at its time, too.
func TestATokenExpires(t *testing.T) {
	w := newWorld(t)
	w.insert("users", `{"email":"ann@example.com","active":true,"realtime":{"sub":["*"]}}`)
	c := w.user("ann@example.com")
	w.store.Advance(time.Hour + 29*time.Second + 900*time.Millisecond)
	e := w.listen(c, "")
	w.store.Advance(time.Second)
	if ev, err := e.next(); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("%+v, %v", ev, err)
	}
}
