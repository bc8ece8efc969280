package realtime

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

func TestWhoHearsWhat(t *testing.T) {
	post1, put1, del1 := posted("items", doc(id1)), changed("items", id1), gone("items", id1)
	other := posted("others", doc(id2))
	news := `publish {"event":"news","data":1}`
	user := func(scope string) func(w *world) collection.Caller {
		return func(w *world) collection.Caller {
			w.insert("users", fmt.Sprintf(`{"email":"ann@example.com","active":true,"roles":["reader"],"realtime":{"sub":%s}}`, scope))
			return w.user("ann@example.com")
		}
	}
	web := func(paths, methods, events, channels string) func(w *world) collection.Caller {
		return func(w *world) collection.Caller { return by(w.webKey(paths, methods, events, channels), "GET") }
	}
	for _, tt := range []struct {
		who    string
		caller func(w *world) collection.Caller
		hears  []string
	}{
		{"the full-access key", func(*world) collection.Caller { return owner("GET") }, []string{post1, put1, other, del1, news}},
		{"a read-only key", func(w *world) collection.Caller { return by(w.key(collection.KeySpec{ReadOnly: true}), "GET") },
			[]string{post1, put1, other, del1, news}},
		{"a web key for all", web("**", "GET", "POST:* PUT:* DELETE:*", "*"), []string{post1, put1, other, del1, news}},
		{"a web key for new items", web("items", "GET", "POST:items", "end"), []string{post1}},
		{"a web key for single items", web("items/*", "GET", "POST:items", "end"), []string{post1}},
		{"a web key for one item that is another", web("items/"+id3, "GET", "POST:items", "end"), nil},
		{"a web key without that path", web("others", "GET", "POST:items PUT:items", "end"), []string{put1}},
		{"a web key that may read, with PATCH", web("items", "GET", "PATCH:items", "end"), []string{put1}},
		{"a web key for deletions", web("items", "GET POST", "DELETE:items", "end"), []string{del1}},
		{"a web key for a channel", web("items", "GET", "", "news end"), []string{news}},
		{"a user who subscribed to all", user(`["POST:*","PUT:*","DELETE:*","news","end"]`), []string{post1, put1, del1, news}},
		{"a user who subscribed to one thing", user(`["POST:items","end"]`), []string{post1}},
		{"a user with a closed collection", user(`["POST:others","end"]`), nil},
		{"a user with all channels", user(`["*"]`), []string{news}},
		{"a user with a text for a list", user(`"*"`), []string{news}},
	} {
		t.Run(tt.who, func(t *testing.T) {
			w := newWorld(t)
			w.insert("items", `{}`)
			w.insert("others", `{}`)
			w.roles("items", &collection.Roles{Read: []string{"reader"}})
			c := tt.caller(w)
			e := w.listen(c, "")
			w.insert("items", doc(id1))
			w.change("items", oid(t, id1), `{"n":2}`)
			w.insert("others", doc(id2))
			w.delete("items", oid(t, id1))
			w.publish(`{"event":"news","data":1}`)
			w.end()
			if diff := cmp.Diff(tt.hears, e.hears()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A user of private collections hears of its own documents only, also of those
// that others delete.
func TestPrivateDocuments(t *testing.T) {
	w := newWorld(t)
	w.insert("users", `[
		{"email":"ann@example.com","active":true,"roles":["r"],"realtime":{"sub":["POST:notes","PUT:notes","DELETE:notes","end"]}},
		{"email":"bob@example.com","active":true,"roles":["r"]}]`)
	w.insert("notes", `{}`)
	w.roles("notes", &collection.Roles{Read: []string{"r"}, Create: []string{"r"}, Private: true})
	ann, bob := w.user("ann@example.com"), w.user("bob@example.com")
	e := w.listen(ann, "")
	ann.Method, bob.Method = "POST", "POST"
	w.insertAs(ann, "notes", doc(id1))
	w.insertAs(bob, "notes", doc(id2))
	w.insert("notes", doc(id3))
	for _, id := range []string{id1, id2, id3} {
		w.change("notes", oid(t, id), `{"n":2}`)
	}
	w.delete("notes", oid(t, id2))
	const id4 = "000000000000000000000004"
	w.insertAs(ann, "notes", doc(id4))
	w.delete("notes", oid(t, id4), oid(t, id3))
	w.clear("notes")
	w.end()
	want := []string{
		posted("notes", doc(id1)), changed("notes", id1),
		posted("notes", doc(id4)), gone("notes", id4), gone("notes", id1),
	}
	if diff := cmp.Diff(want, e.hears()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Collections and rights that come and go while somebody listens count from
// then on.
func TestRightsThatChange(t *testing.T) {
	w := newWorld(t)
	w.insert("users", `{"_id":"`+id3+`","email":"ann@example.com","active":true,"realtime":{"sub":["POST:*","end"]}}`)
	w.insert("items", `{}`)
	ears := []*ear{
		w.listen(w.user("ann@example.com"), ""), w.listen(by(w.webKey("**", "GET", "POST:later", "end"), "GET"), ""), w.listen(owner("GET"), ""),
	}
	step := func(what string, do func(), user, key, all []string) {
		t.Helper()
		do()
		w.end()
		for i, want := range [][]string{user, key, all} {
			if diff := cmp.Diff(want, ears[i].hears()); diff != "" {
				t.Errorf("%s, listener %d (-want +got):\n%s", what, i, diff)
			}
		}
	}
	step("no roles", func() { w.insert("items", doc(id1)) }, nil, nil, []string{posted("items", doc(id1))})
	step("the roles alone", func() {
		w.roles("items", &collection.Roles{Read: []string{"reader"}})
		w.insert("items", doc(id2))
	}, nil, nil, []string{posted("items", doc(id2))})
	now := []string{posted("items", doc(id3))}
	step("a user with the role", func() {
		w.change("users", oid(t, id3), `{"roles":["reader"]}`)
		w.insert("items", doc(id3))
	}, now, nil, append([]string{changed("users", id3)}, now...))
	later := []string{posted("later", doc(id1))}
	step("a new collection", func() { w.insert("later", doc(id1)) }, nil, later, later)
	step("a collection that was dropped and made again", func() {
		w.update(func(tx *kv.Tx) error { return w.layer.DropCollection(tx, collection.DefaultDatabase, "later") })
		w.insert("later", doc(id1))
	}, nil, later, later)
	step("roles taken back", func() {
		w.roles("items", nil)
		w.delete("items", oid(t, id3))
		w.insert("items", doc(id3))
	}, nil, nil, append([]string{gone("items", id3)}, now...))
	var many []string
	for i := range 40 {
		many = append(many, posted(fmt.Sprint("c", i), doc(id1)))
	}
	step("more than a listener follows one by one", func() {
		for i := range many {
			w.insert(fmt.Sprint("c", i), doc(id1))
		}
	}, nil, nil, many)
}

func TestWhoMayListenAndPublish(t *testing.T) {
	w := newWorld(t)
	w.insert("users", `[
		{"email":"ann@example.com","active":true,"realtime":{"pub":["news"],"sub":["other"]}},
		{"email":"bob@example.com","active":true}]`)
	some := w.webKey("items", "GET POST", "", "news")
	reads := w.webKey("**", "GET", "POST:items", "*")
	none := w.webKey("**", "GET POST", "", "")
	readOnly := w.key(collection.KeySpec{ReadOnly: true})
	ann, bob := w.user("ann@example.com"), w.user("bob@example.com")
	foreign := by(some, "GET")
	foreign.Origin = "https://other.example.com"
	page, badPage := ann, ann
	page.Page.Value, badPage.Page.Value = none, "0123456789abcdef01234567"
	otherPage := page
	otherPage.Origin = "https://other.example.com"
	const ok = errs.Internal // stands for no error
	for _, tt := range []struct {
		who            string
		caller         collection.Caller
		listen         errs.Kind
		news, anything errs.Kind // to publish
	}{
		{"the full-access key", owner(""), ok, ok, ok},
		{"no key", collection.Caller{Path: collection.RealtimePath}, errs.Unauthenticated, errs.Unauthenticated, errs.Unauthenticated},
		{"a wrong key", by("0123456789abcdef01234567", ""), errs.Unauthenticated, errs.Unauthenticated, errs.Unauthenticated},
		{"a web key for a channel", by(some, ""), ok, ok, errs.Forbidden},
		{"a web key that only reads", by(reads, ""), ok, errs.Forbidden, errs.Forbidden},
		{"a web key for no events", by(none, ""), errs.Forbidden, errs.Forbidden, errs.Forbidden},
		{"a read-only key", by(readOnly, ""), ok, errs.Forbidden, errs.Forbidden},
		{"a page of another origin", foreign, errs.Forbidden, errs.Forbidden, errs.Forbidden},
		{"a user", ann, ok, ok, errs.Forbidden},
		{"a user without lists", bob, ok, errs.Forbidden, errs.Forbidden},
		{"a user in a page with a key", page, ok, ok, errs.Forbidden},
		{"a user in a page with a wrong key", badPage, errs.Unauthenticated, errs.Unauthenticated, errs.Unauthenticated},
		{"a user in a page of another origin", otherPage, errs.Forbidden, errs.Forbidden, errs.Forbidden},
	} {
		t.Run(tt.who, func(t *testing.T) {
			get, post := tt.caller, tt.caller
			get.Method, post.Method = "GET", "POST"
			_, err := w.tryListen(get, "")
			for what, c := range map[string]struct {
				err  error
				want errs.Kind
			}{
				"listen":            {err, tt.listen},
				"publish news":      {w.publishAs(post, `{"event":"news"}`), tt.news},
				"publish something": {w.publishAs(post, `{"event":"something"}`), tt.anything},
			} {
				if c.want == ok && c.err != nil || c.want != ok && !errs.Is(c.err, c.want) {
					t.Errorf("%s: %v, want kind %v", what, c.err, c.want)
				}
			}
		})
	}
}
