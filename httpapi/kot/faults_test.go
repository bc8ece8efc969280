package kot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/database"
)

// changes are a request for each endpoint that changes something, and the data
// that they work on.
func changes(w *world) [][]string {
	w.t.Helper()
	for _, name := range []string{"d", "drop", "drop x", "rename"} {
		w.set(name, "k", "v")
	}
	return [][]string{
		{"/controller/set", "database_name", "d", "key", "k", "value", "new"},
		{"/controller/set", "database_name", "d", "key", "k", "value", "new", "encryption_key", "x"},
		{"/controller/set", "database_name", "new", "key", "k", "value", "new", "encryption_key", "x"},
		{"/controller/get", "database_name", "new by get", "key", "k"},
		{"/controller/get_all", "database_name", "new by get_all"},
		{"/controller/delete", "database_name", "d", "key", "k"},
		{"/controller/delete", "database_name", "new by delete"},
		{"/controller/debug", "message", "m"},
		{"/database/rename", "database_name", "rename", "new_database_name", "renamed"},
		{"/database/delete", "database_name", "drop"},
		{"/execute", "query", "SET e k v"},
		{"/execute", "query", "DELETE d k"},
		{"/execute", "query", "DATABASE_DELETE rename"},
		{"/database/pop", "database_name", "d"},
		{"/execute", "query", "DATABASE_POP d"},
		{"/database/pop_all"},
		{"/execute", "query", "DATABASE_POP_ALL"},
		{"/database/delete_all"},
		{"/execute", "query", "DATABASE_DELETE_ALL"},
	}
}

func TestNoSuccessIsClaimedForWhatWasNotCommitted(t *testing.T) {
	for _, tt := range []struct {
		kind errs.Kind
		code int
	}{{errs.Unavailable, 503}, {errs.Unknown, 504}, {errs.NoSpace, 507}, {errs.Internal, 500}, {errs.TooLarge, 413}} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			w := newWorld(t)
			list := changes(w)
			for i, c := range list {
				if tt.kind == errs.Unavailable && strings.Contains(strings.Join(c, " "), "DATABASE_DELETE rename") {
					continue // answered before by a fresh read
				}
				w.store.FailNext(errs.E(tt.kind, "the cause"))
				a := w.post(c[0], c[1:]...)
				reason := w.fails(tt.code, a)
				if (reason == "the cause") != (tt.kind != errs.Internal) {
					t.Errorf("%v: reason %q", list[i], reason)
				}
				if got := a.header.Get("Retry-After"); (got == "1") != (tt.code == 503) {
					t.Errorf("%v: Retry-After %q", c, got)
				}
				if got := a.header.Get("Covey-Outcome"); (got == "unknown") != (tt.code == 504) {
					t.Errorf("%v: Covey-Outcome %q", c, got)
				}
			}
			w.all(`{"k":"v"}`, "d")
			w.all(`{"k":"v"}`, "drop")
			w.names("d", "drop", "drop x", "rename")
		})
	}
}

func TestALostAnswerIsNoSuccess(t *testing.T) {
	w := newWorld(t)
	w.store.LoseNext(1)
	w.fails(504, w.post("/controller/set", "database_name", "d", "key", "k", "value", "v"))
	w.read(`"v"`, "d", "k") // it took effect, which nobody could know
	w.store.LoseNext(1)
	w.fails(504, w.post("/controller/set", "database_name", "new", "key", "k", "value", "v", "encryption_key", "x"))
	w.set("new", "k", "v2", "encryption_key", "x")
	w.read(`"v2"`, "new", "k", "encryption_key", "x")
}

// A conflict makes a request run again; it still has one effect.
func TestConflicts(t *testing.T) {
	w, calm := newWorld(t), newWorld(t)
	changes(calm)
	for _, c := range changes(w) {
		if c[0] == "/controller/debug" || strings.Contains(c[len(c)-1], "DATABASE_DELETE rename") {
			continue // its key is random; a database that is gone
		}
		w.store.ConflictNext(3)
		got, want := w.post(c[0], c[1:]...), calm.post(c[0], c[1:]...)
		if got.code != want.code || got.body != want.body || got.code != 200 {
			t.Errorf("%v: %d %q, without conflicts %d %q", c, got.code, got.body, want.code, want.body)
		}
		for _, look := range [][]string{{"/controller/get_all", "database_name", "d"}, {"/controller/get_all", "database_name", "renamed"}} {
			got, want := w.post(look[0], look[1:]...), calm.post(look[0], look[1:]...)
			if got.body != want.body {
				t.Errorf("after %v: %v gives %q, without conflicts %q", c, look, got.body, want.body)
			}
		}
		if got, want := w.get("/database/list").body, calm.get("/database/list").body; got != want {
			t.Errorf("after %v: databases %q, without conflicts %q", c, got, want)
		}
	}
}

// Every acknowledged set is in one of the two databases, and opens there.
func TestRenameWhileSetting(t *testing.T) {
	w := newWorld(t)
	w.set("a", "first", "v")
	const writers, each = 4, 25
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]string{} // key -> its encryption key
	for i := range writers {
		wg.Go(func() {
			encryption := []string{"", "one", "", "two"}[i]
			for j := range each {
				key := fmt.Sprintf("k%d-%d", i, j)
				a := w.post("/controller/set", "database_name", "a", "key", key, "value", key, "encryption_key", encryption)
				if a.code == 200 {
					mu.Lock()
					acked[key] = encryption
					mu.Unlock()
				} else if a.code != 503 {
					t.Errorf("set: %d", a.code)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 10 {
			w.says("Database renamed successfully", w.post("/database/rename", "database_name", "a", "new_database_name", fmt.Sprint("b", i)))
		}
	})
	wg.Wait()
	if len(acked) < writers*each/2 {
		t.Errorf("only %d of %d sets passed", len(acked), writers*each)
	}
	for _, encryption := range []string{"", "one", "two"} {
		var all strings.Builder
		for _, name := range append([]string{"a"}, strings.Split("b0 b1 b2 b3 b4 b5 b6 b7 b8 b9", " ")...) {
			all.WriteString(w.post("/controller/get_all", "database_name", name, "encryption_key", encryption).body)
		}
		for key, with := range acked {
			if n := strings.Count(all.String(), `"`+key+`":"`+key+`"`); with == encryption && n != 1 {
				t.Errorf("%s was set and is there %d times", key, n)
			}
		}
	}
}

// hooked is a store that does something before it gives a state.
type hooked struct {
	*kvtest.Store
	views  atomic.Int64
	before func(view int64)
}

func (h *hooked) View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	h.before(h.views.Add(1))
	return h.Store.View(ctx, c)
}

// A value is sealed for a place. When the database goes elsewhere between, it
// is sealed again, and two names never share a place.
func TestSetMeetsAMovedDatabase(t *testing.T) {
	rename := []string{"/database/rename", "database_name", "a", "new_database_name", "b"}
	drop := []string{"/database/delete", "database_name", "a"}
	create := []string{"/controller/set", "database_name", "a", "key", "plain", "value", "p"}
	for name, tt := range map[string]struct {
		meanwhile [][]string
		inB       string // what b holds under the key
	}{
		"renamed":                   {[][]string{rename}, `{"old":"v"}`},
		"renamed and created again": {[][]string{rename, create}, `{"old":"v"}`},
		"removed":                   {[][]string{drop}, "{}"},
		"removed and created again": {[][]string{drop, create}, "{}"},
		"emptied":                   {[][]string{{"/database/pop", "database_name", "a"}}, "{}"},
		"all removed":               {[][]string{{"/database/delete_all"}}, "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.set("a", "old", "v", "encryption_key", "x")
			between := &hooked{Store: w.store, before: func(view int64) {
				if view != 2 { // the first looked the place up, the second is the transaction's
					return
				}
				for _, c := range tt.meanwhile {
					if a := w.post(c[0], c[1:]...); a.code != 200 {
						t.Errorf("%v: %d", c, a.code)
					}
				}
			}}
			late := *w
			late.srv = httptest.NewServer(newHandler(w.store, func(c *Config) { c.DB = kv.New(between) }))
			defer late.srv.Close()
			late.set("a", "k", "v", "encryption_key", "x")
			w.all(`{"k":"v"}`, "a", "encryption_key", "x")
			w.all(tt.inB, "b", "encryption_key", "x")
			w.set("a", "only a", "1")
			w.all("{}", "b")
		})
	}
}

func TestSetGivesUpOnADatabaseThatKeepsMoving(t *testing.T) {
	w := newWorld(t)
	moving := &hooked{Store: w.store, before: func(view int64) {
		for _, c := range [][]string{{"/database/delete_all"}, {"/controller/get_all", "database_name", "a"}} {
			if a := w.post(c[0], c[1:]...); a.code != 200 {
				t.Errorf("%v: %d", c, a.code)
			}
		}
	}}
	lost := *w
	lost.srv = httptest.NewServer(newHandler(w.store, func(c *Config) { c.DB = kv.New(moving) }))
	defer lost.srv.Close()
	lost.fails(503, lost.post("/controller/set", "database_name", "a", "key", "k", "value", "v", "encryption_key", "x"))
	w.all("{}", "a", "encryption_key", "x")
	lost.set("a", "k", "v") // what is not sealed does not care
}

func TestRequestsWaitOnlySoLong(t *testing.T) {
	w := newWorld(t)
	list := changes(w)
	w.srv = httptest.NewServer(newHandler(w.store, func(c *Config) { c.Wait = time.Nanosecond }))
	defer w.srv.Close()
	for _, c := range append(list, []string{"/controller/get", "database_name", "d", "key", "k"}, []string{"/controller/get_all", "database_name", "d"}, []string{"/execute", "query", "DATABASE_LIST"}) {
		a := w.post(c[0], c[1:]...)
		w.fails(503, a)
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("%v: 503 without Retry-After", c)
		}
	}
}

// A fault of ours is answered, and logged with its cause.
func TestInternalErrors(t *testing.T) {
	book, logged := logBook(slog.LevelInfo)
	w := newWorld(t, logged)
	w.store.FailNext(errors.New("disk on fire"))
	a := w.post("/controller/set", "database_name", "NAME", "key", "KEY", "value", "VALUE")
	if reason := w.fails(500, a); len(a.body) != 265 || strings.Contains(reason, "fire") {
		t.Errorf("a page of %d bytes, reason %q", len(a.body), reason)
	}
	if !strings.Contains(book.String(), "disk on fire") || strings.Contains(book.String(), "VALUE") {
		t.Errorf("the log: %s", book)
	}
	w.set("d", "k", "v")
}

// A value that cannot be read must not pass for one that is not there.
func TestADamagedValueEndsTheAnswer(t *testing.T) {
	w := newWorld(t)
	_, err := w.store.DB.Update(context.Background(), func(tx *kv.Tx) error {
		d, err := database.Open(tx, "d", database.NewPlace())
		if err != nil {
			return err
		}
		return d.Put("z", []byte{99})
	})
	if err != nil {
		t.Fatal(err)
	}
	w.fails(500, w.post("/controller/get", "database_name", "d", "key", "z"))
	w.fails(500, w.post("/controller/get_all", "database_name", "d"))
	w.set("d", "a", strings.Repeat("v", 2<<20)) // more than waits for the end
	req, err := http.NewRequest("POST", w.srv.URL+"/controller/get_all", strings.NewReader("database_name=d"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("", password)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes of half an object passed for a whole one", n)
	}
}
