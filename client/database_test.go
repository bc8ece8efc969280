package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seen is one request as a node gets it.
type seen struct {
	method, path string
	form         map[string]string
}

// node answers requests with the function at their turn, the last one for all
// that follow, and keeps what it saw.
type node struct {
	mu    sync.Mutex
	calls []seen
}

func (n *node) serve(t *testing.T, answers ...http.HandlerFunc) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(32 << 20); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			t.Error(err)
		}
		form := map[string]string{}
		for name, values := range r.PostForm {
			form[name] = values[0]
		}
		if user, password, ok := r.BasicAuth(); !ok || user != "" || password != "0123" {
			t.Errorf("%s: user %q, password %q", r.URL, user, password)
		}
		n.mu.Lock()
		n.calls = append(n.calls, seen{r.Method, r.URL.Path, form})
		turn := min(len(n.calls), len(answers)) - 1
		n.mu.Unlock()
		answers[turn](w, r)
	})
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func hangsUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestDatabaseCallsAreFormsOfTheAPI(t *testing.T) {
	var n node
	d := open(t, Config{Endpoints: []string{n.serve(t, says(200, `{"b":"x","a":"y"}`))}}).Databases("0123")
	ctx, db := t.Context(), d.Database("d & é")
	names, err := d.List(ctx)
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, err := range []error{
		db.Set(ctx, "", "", SetOptions{}),
		db.Set(ctx, "k", "a;b&c=\r\n", SetOptions{EncryptionKey: "e", Compress: true}),
		db.Delete(ctx, "k"), db.Pop(ctx), db.Rename(ctx, "new"), db.Drop(ctx),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if item, err := db.Get(ctx, "k", "e"); err != nil || item.Key != "k" || item.Text() != `{"b":"x","a":"y"}` {
		t.Errorf("%+v, %v", item, err)
	}
	name := "d & é"
	want := []seen{
		{"GET", "/database/list", map[string]string{}},
		{"POST", "/controller/set", map[string]string{"database_name": name, "key": "", "value": ""}},
		{"POST", "/controller/set", map[string]string{"database_name": name, "key": "k", "value": "a;b&c=\r\n", "encryption_key": "e", "compress": "true"}},
		{"POST", "/controller/delete", map[string]string{"database_name": name, "key": "k"}},
		{"POST", "/database/pop", map[string]string{"database_name": name}},
		{"POST", "/database/rename", map[string]string{"database_name": name, "new_database_name": "new"}},
		{"POST", "/database/delete", map[string]string{"database_name": name}},
		{"POST", "/controller/get", map[string]string{"database_name": name, "key": "k", "encryption_key": "e"}},
	}
	if diff := cmp.Diff(want, n.calls, cmp.AllowUnexported(seen{})); diff != "" {
		t.Error(diff)
	}
}

func TestLargeValuesAreNotBlownUp(t *testing.T) {
	value := strings.Repeat("é\n", 1<<20)
	size := int64(0)
	var n node
	url := n.serve(t, func(w http.ResponseWriter, r *http.Request) { size = r.ContentLength })
	if err := open(t, Config{Endpoints: []string{url}}).Databases("0123").Database("d").Set(t.Context(), "k", value, SetOptions{}); err != nil {
		t.Fatal(err)
	}
	if n.calls[0].form["value"] != value || size > int64(len(value)+1000) {
		t.Errorf("%d bytes arrived for %d, as %d bytes", len(n.calls[0].form["value"]), len(value), size)
	}
}

func TestWhatIsNoTextIsNotSent(t *testing.T) {
	var n node
	d := open(t, Config{Endpoints: []string{n.serve(t, says(200, ""))}}).Databases("0123")
	for _, err := range []error{
		d.Database("\xff").Pop(t.Context()),
		d.Database("d").Delete(t.Context(), "\xff"),
		d.Database("d").Set(t.Context(), "k", "\xff", SetOptions{}),
	} {
		if !errors.Is(err, ErrInvalid) || len(n.calls) != 0 {
			t.Errorf("%v, %d calls", err, len(n.calls))
		}
	}
}

func TestStatusesOfDatabasesBecomeTypedErrors(t *testing.T) {
	all := []error{ErrInvalid, ErrDenied, ErrNotFound, ErrConflict, ErrLimited, ErrUnavailable, ErrUnknown, ErrOff}
	for _, tt := range []struct {
		status int
		body   string
		want   []error
	}{
		{200, "null\n", []error{ErrNotFound}},
		{401, "", []error{ErrDenied}},
		{403, "", []error{ErrDenied}},
		{404, "", []error{ErrOff}}, // and not "no such key"
		{413, "", []error{ErrInvalid}},
		{429, "", []error{ErrLimited}},
		{500, "", nil},
	} {
		var n node
		d := open(t, Config{Endpoints: []string{n.serve(t, says(tt.status, tt.body))}}).Databases("0123")
		_, err := d.Database("d").Get(t.Context(), "k", "")
		var got []error
		for _, e := range all {
			if errors.Is(err, e) {
				got = append(got, e)
			}
		}
		if err == nil || !slices.Equal(got, tt.want) || strings.Contains(err.Error(), "0123") {
			t.Errorf("%d: %v is %v, want %v", tt.status, err, got, tt.want)
		}
	}
}

func TestDatabaseCallsAreRepeated(t *testing.T) {
	t.Parallel() // it waits
	for name, call := range map[string]func(*Database) error{
		"set":    func(d *Database) error { return d.Set(t.Context(), "k", "v", SetOptions{}) },
		"delete": func(d *Database) error { return d.Delete(t.Context(), "k") },
		"pop":    func(d *Database) error { return d.Pop(t.Context()) },
		"rename": func(d *Database) error { return d.Rename(t.Context(), "n") },
		"drop":   func(d *Database) error { return d.Drop(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n node
			url := n.serve(t, says(503, ""), hangsUp, says(504, ""), says(200, ""))
			if err := call(open(t, Config{Endpoints: []string{url}}).Databases("0123").Database("d")); err != nil || len(n.calls) != 4 {
				t.Errorf("%v after %d calls", err, len(n.calls))
			}
		})
	}
	lost := func(t *testing.T, call func(*Database) error) error {
		t.Parallel()
		var n node
		c := open(t, Config{Endpoints: []string{n.serve(t, hangsUp)}, Timeout: time.Second})
		return call(c.Databases("0123").Database("d"))
	}
	t.Run("a write without an answer", func(t *testing.T) {
		if err := lost(t, func(d *Database) error { return d.Pop(t.Context()) }); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
	})
	t.Run("a read without an answer", func(t *testing.T) {
		err := lost(t, func(d *Database) error { _, err := d.Get(t.Context(), "k", ""); return err })
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
	})
}

func TestDropKnowsItsOwnWork(t *testing.T) {
	gone, there, broken := says(200, `{"e":"x"}`), says(200, `{"d":"x"}`), says(403, "")
	refused := says(500, "")
	for _, tt := range []struct {
		name    string
		answers []http.HandlerFunc
		want    error // nil = success; errOther = an error that is none of ours
	}{
		{"there was none", []http.HandlerFunc{refused, gone}, ErrNotFound},
		{"the lost try did it", []http.HandlerFunc{hangsUp, refused, gone}, nil},
		{"the try of unknown outcome did it", []http.HandlerFunc{says(504, ""), refused, gone}, nil},
		{"it is still there", []http.HandlerFunc{refused, there}, errOther},
		{"lost and still there", []http.HandlerFunc{hangsUp, refused, there}, ErrUnknown},
		{"the list is closed", []http.HandlerFunc{refused, broken}, errOther},
		{"another refusal", []http.HandlerFunc{broken}, ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n node
			d := open(t, Config{Endpoints: []string{n.serve(t, tt.answers...)}}).Databases("0123")
			err := d.Database("d").Drop(t.Context())
			switch tt.want {
			case nil:
				if err != nil {
					t.Error(err)
				}
			case errOther:
				if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnknown) {
					t.Errorf("got %v", err)
				}
			default:
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			}
		})
	}
}

var errOther = errors.New("any other")

func TestReadsOfDatabasesMayBeStale(t *testing.T) {
	var got string
	var n node
	url := n.serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Covey-Consistency")
		io.WriteString(w, `"v"`)
	})
	d := open(t, Config{Endpoints: []string{url}, Consistency: "stale"}).Databases("0123")
	if _, err := d.Database("d").Get(t.Context(), "k", ""); err != nil || got != "stale" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDumpIsReadWhileItComes(t *testing.T) {
	received := make(chan struct{})
	var n node
	url := n.serve(t, says(503, ""), func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"a":"1",`)
		w.(http.Flusher).Flush()
		<-received // a client that waits for the end never gets here
		io.WriteString(w, `"b":[[[],{}],null]}`+"\n")
	})
	var got []string
	for item, err := range open(t, Config{Endpoints: []string{url}}).Databases("0123").Database("d").Dump(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, item.Key+"="+string(item.Value)); len(got) == 1 {
			close(received)
		}
	}
	if diff := cmp.Diff([]string{`a="1"`, `b=[[[],{}],null]`}, got); diff != "" {
		t.Error(diff)
	}
}

func TestHalfADumpIsAnError(t *testing.T) {
	t.Parallel() // it waits
	stalls := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"a":"1",`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	breaks := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"a":"1",`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"stalls": stalls, "breaks off": breaks, "ends early": says(200, `{"a":"1"`), "goes on": says(200, `{"a":"1"}x`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n node
			d := open(t, Config{Endpoints: []string{n.serve(t, answer)}, Timeout: time.Second}).Databases("0123")
			count := 0
			var last error
			for _, err := range d.Database("d").Dump(t.Context(), "") {
				if last = err; err == nil {
					count++
				}
			}
			if count != 1 || !errors.Is(last, ErrUnavailable) {
				t.Errorf("%d entries, then %v", count, last)
			}
		})
	}
}

func TestADumpMayTakeLongerThanACall(t *testing.T) {
	t.Parallel() // it waits
	const pieces = 12
	var n node
	url := n.serve(t, func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		separator := "{"
		for i := range pieces {
			fmt.Fprintf(w, `%s"%d":"v"`, separator, i)
			separator = ","
			w.(http.Flusher).Flush()
			<-tick.C
		}
		io.WriteString(w, "}\n")
	})
	count := 0
	for _, err := range open(t, Config{Endpoints: []string{url}, Timeout: time.Second}).Databases("0123").Database("d").Dump(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
	if count != pieces {
		t.Errorf("%d entries", count)
	}
}

func TestADumpThatNobodyWantsEnds(t *testing.T) {
	ended := make(chan struct{})
	var n node
	url := n.serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		io.WriteString(w, `{"a":"1","b":"2"`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	for range open(t, Config{Endpoints: []string{url}}).Databases("0123").Database("d").Dump(t.Context(), "") {
		break
	}
	<-ended
}
