package bucket

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func (w *world) tryCreate(name, credential string) error {
	d, err := w.bs.Draft(name, Fields{})
	if err != nil {
		return err
	}
	_, err = w.db.Update(context.Background(), func(tx *kv.Tx) error { return w.bs.Create(tx, cred(credential), d) })
	return err
}

func TestWhoMayCreate(t *testing.T) {
	open := newWorld(t)
	shut := newWorld(t, func(c *Config) { c.CreateNeedsRoot = true })
	for _, c := range []struct {
		name       string
		w          *world
		id         string
		credential string
		want       string
	}{
		{"anybody, an id of ours", open, "", "", ""},
		{"anybody with any credential", open, "", "whatever", ""},
		{"anybody, a name", open, "my-bucket", "", "forbidden"},
		{"a wrong key, a name", open, "my-bucket", "wrong", "unauthenticated"},
		{"root, a name", open, "my-bucket", rootText, ""},
		{"root, a name that is taken", open, "my-bucket", rootText, "exists"},
		{"nobody where root is needed", shut, "", "", "forbidden"},
		{"a wrong key where root is needed", shut, "", "wrong", "unauthenticated"},
		{"root where root is needed", shut, "", rootText, ""},
		{"a reserved name", open, "database", rootText, "invalid"},
		{"a short name", open, "sevenxx", rootText, "invalid"},
		{"a name with a dot", open, "my.bucket", rootText, "invalid"},
	} {
		got := ""
		if err := c.w.tryCreate(c.id, c.credential); err != nil {
			got = errs.KindOf(err).String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCreateAndPolicySurviveAConflict(t *testing.T) {
	w := newWorld(t)
	done := w.once()
	id := w.create(fields("S"))
	done()
	done = w.once()
	if _, err := w.change(id, "secret", Fields{Write: key("write")}); err != nil {
		t.Fatal(err)
	}
	done()
	if got := w.allowed(id, ""); got != "r" {
		t.Errorf("after the change everybody may %q", got)
	}
	done = w.once()
	if err := w.drop(id, "secret"); err != nil {
		t.Fatal(err)
	}
	done()
	if w.exists(id) {
		t.Error("a deleted bucket exists")
	}
}

func TestEmptyKeysAtCreationCountAsAbsent(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{Secret: key(""), Write: key(""), Read: key(""), Signing: key("")})
	if got := w.allowed(id, "anything"); got != "rwdlvx" {
		t.Errorf("everybody may %q", got)
	}
}

func TestPolicyChanges(t *testing.T) {
	w := newWorld(t)
	id := w.create(fields("SWRG"))
	steps := []struct {
		name             string
		credential       string
		f                Fields
		want             string // the kind of error
		none, secret, s2 string // who may do what afterwards
	}{
		{"nothing", "secret", Fields{}, "", "", "rwdlvpxm", "401"},
		{"the write key may not", "write", Fields{Read: key("")}, "forbidden", "", "rwdlvpxm", "401"},
		{"nobody may not", "", Fields{Read: key("")}, "forbidden", "", "rwdlvpxm", "401"},
		{"a wrong key", "wrong", Fields{Read: key("")}, "unauthenticated", "", "rwdlvpxm", "401"},
		{"an empty secret", "secret", Fields{Secret: key("")}, "invalid", "", "rwdlvpxm", "401"},
		{"a key over its limit", "secret", Fields{Write: key(strings.Repeat("k", 1025))}, "invalid", "", "rwdlvpxm", "401"},
		{"clear the read key", "secret", Fields{Read: key("")}, "", "r", "rwdlvpxm", "401"},
		{"clear the write key", "secret", Fields{Write: key("")}, "", "rwd", "rwdlvpxm", "401"},
		{"clear the signing key", "secret", Fields{Signing: key("")}, "", "rwd", "rwdlvpx", "401"},
		{"another secret", "secret", Fields{Secret: key("second")}, "", "rwd", "401", "rwdlvpx"},
		{"the old one is wrong", "secret", Fields{Secret: key("third")}, "unauthenticated", "rwd", "401", "rwdlvpx"},
		{"root may", rootText, Fields{Write: key("write")}, "", "r", "401", "rwdlvpx"},
	}
	for _, c := range steps {
		got := ""
		if _, err := w.change(id, c.credential, c.f); err != nil {
			got = errs.KindOf(err).String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		for credential, want := range map[string]string{"": c.none, "secret": c.secret, "second": c.s2} {
			if got := w.allowed(id, credential); got != want {
				t.Errorf("after %q, %q may %q, want %q", c.name, credential, got, want)
			}
		}
	}
}

// Strangers must not lock the owner of a public bucket out.
func TestSecretCannotBeAddedLater(t *testing.T) {
	w := newWorld(t)
	for _, keys := range []string{"", "W", "R", "WR"} {
		id := w.create(fields(keys))
		for _, credential := range []string{"", "write", "read", rootText} {
			_, err := w.change(id, credential, Fields{Secret: key("mine now")})
			if !errs.Is(err, errs.Forbidden) && !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("keys %q, credential %q: %v, want a refusal", keys, credential, err)
			}
		}
	}
}

func TestChangeIsForOneBucket(t *testing.T) {
	w := newWorld(t)
	a, b := w.create(fields("S")), w.create(fields("S"))
	c, err := w.bs.Change(a, fields("G"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.update(b, "secret", ChangePolicy, func(b *Bucket) error { return b.ChangePolicy(c) })
	wantKind(t, err, errs.Internal)
}

func TestDropIsSmallHoweverLargeTheBucket(t *testing.T) {
	w := newWorld(t)
	const name = "big-bucket"
	w.createNamed(name, rootText, Fields{})
	other := w.createNamed(name+"-", rootText, Fields{}) // its keys come next in the store
	w.set(other, "", "k", "v", TTL{})
	for page := range 5 {
		ops := make([]TxnOp, MaxTxn)
		for i := range ops {
			ops[i] = TxnOp{Key: fmt.Appendf(nil, "%d-%d", page, i), TTL: seconds(t, 0)}
		}
		if _, err := w.update(name, "", Write, func(b *Bucket) error { return b.Txn(ops) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.drop(name, ""); err != nil {
		t.Fatal(err)
	}
	if c := w.last(); len(c.Ops) != 2 || len(c.Append(nil)) > 300 {
		t.Errorf("the drop has %d operations in %d bytes", len(c.Ops), len(c.Append(nil)))
	}
	if got := w.get(name, "", "0-0"); got != "[not found]" || w.exists(name) {
		t.Errorf("after the drop a key holds %q", got)
	}
	w.createNamed(name, rootText, Fields{})
	if got := w.mustList(name, "", ListQuery{Limit: -1}); got != "" {
		t.Errorf("the new bucket begins with %.40q", got)
	}
	if got := w.get(other, "", "k"); got != "v" {
		t.Errorf("the neighbour's key holds %q", got)
	}
}

// A write that was under way when the bucket was deleted, and created again,
// is judged by the new bucket and leaves nothing otherwise.
func TestNothingLandsInADeletedBucket(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("created again: %v", again), func(t *testing.T) {
			w := newWorld(t)
			const name = "short-lived"
			w.createNamed(name, rootText, Fields{})
			runs := 0
			_, err := w.update(name, "", Write, func(b *Bucket) error {
				if runs++; runs == 1 {
					if err := w.drop(name, ""); err != nil {
						t.Fatal(err)
					}
					if again {
						w.createNamed(name, rootText, fields("SW"))
					}
				}
				return b.Set([]byte("k"), Value{}, TTL{}, Condition{})
			})
			want := errs.Forbidden
			if !again {
				want = errs.NotFound
				w.createNamed(name, rootText, fields("SW"))
			}
			wantKind(t, err, want)
			if got := w.mustList(name, "secret", ListQuery{Limit: -1}); got != "" {
				t.Errorf("the new bucket holds %q", got)
			}
		})
	}
}

func TestOperatorListsBuckets(t *testing.T) {
	w := newWorld(t)
	names := []string{"bucket-a", "bucket-b", "bucket-b-", "bucket-bb", "bucket-c"}
	for i, name := range names {
		w.createNamed(name, rootText, fields([]string{"S", "W", "R", "SG", ""}[i]))
		w.set(name, rootText, "k", "v", TTL{}) // a bucket's keys are not in the list
	}
	list := func(credential, after string, limit int) (infos []Info, err error) {
		_, err = w.db.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
			infos, err = w.bs.List(tx, cred(credential), after, limit)
			return err
		})
		return infos, err
	}
	got, err := list(rootText, "", -1)
	if err != nil {
		t.Fatal(err)
	}
	want := []Info{
		{ID: names[0], HasSecret: true}, {ID: names[1], HasWrite: true}, {ID: names[2], HasRead: true},
		{ID: names[3], HasSecret: true, HasSigning: true}, {ID: names[4]},
	}
	for i := range want {
		want[i].Created, want[i].DefaultTTL = w.Now(), DefaultTTL
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	var paged []string
	for after := ""; len(paged) <= len(names); {
		page, err := list(rootText, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, b := range page {
			paged = append(paged, b.ID)
		}
		after = page[len(page)-1].ID
	}
	if diff := cmp.Diff(names, paged); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if page, err := list(rootText, "bucket-b0", 1); err != nil || len(page) != 1 || page[0].ID != "bucket-bb" {
		t.Errorf("after an id that is not there: %v, %v", page, err)
	}
	_, err = list("", "", 1)
	wantKind(t, err, errs.Forbidden)
	_, err = list("secret", "", 1)
	wantKind(t, err, errs.Unauthenticated)
	_, err = list(rootText, strings.Repeat("x", 81), 1)
	wantKind(t, err, errs.Invalid)
}

func TestStoreHoldsNoKeyAsText(t *testing.T) {
	w := newWorld(t)
	f := Fields{Secret: key("text-of-secret"), Write: key("text-of-write"), Read: key("text-of-read"), Signing: key("text-of-signing")}
	id := w.create(f)
	if _, err := w.change(id, "text-of-secret", f); err != nil {
		t.Fatal(err)
	}
	for i, c := range w.commands {
		if bytes.Contains(c.Append(nil), []byte("text-of-")) {
			t.Errorf("command %d holds a key as text", i)
		}
	}
	d, err := w.bs.Draft("", f)
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.bs.Change(id, f)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v %+v %+v %#v", f, d, c, f); strings.Contains(text, "text-of-") {
		t.Errorf("printing shows a key: %s", text)
	}
}

// A request that is repeated under one id takes effect once, and its answer is
// the first one's.
func TestRepeatedRequests(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	create := func() string {
		d, err := w.bs.Draft("", Fields{})
		if err != nil {
			t.Fatal(err)
		}
		once := kv.Once{ID: Request{Method: "POST", IdempotencyKey: "0123456789abcdef"}.OnceID()}
		res, err := w.db.UpdateOnce(ctx, once, func(tx *kv.Tx) error { return w.bs.Create(tx, cred(""), d) })
		if err != nil {
			t.Fatal(err)
		}
		return string(res.Reply)
	}
	id := create()
	if again := create(); again != id {
		t.Errorf("the repeat created %s, the first try %s", again, id)
	}
	incr := func(credential string) (string, bool) {
		r := Request{Bucket: id, Method: "PATCH", Target: "n", IdempotencyKey: "0123456789abcdef", Credential: cred(credential), Body: []byte("+1")}
		res, err := w.db.UpdateOnce(ctx, kv.Once{ID: r.OnceID()}, func(tx *kv.Tx) error {
			b, err := w.bs.Open(tx, id, r.Credential, Write)
			if err != nil {
				return err
			}
			return b.Incr([]byte("n"), one(t), TTL{}, Condition{})
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(res.Added[0]), res.Duplicate
	}
	for i, want := range []bool{false, true, true} {
		if got, dup := incr(""); got != "1" || dup != want {
			t.Errorf("try %d: %s, duplicate %v", i, got, dup)
		}
	}
	if got, dup := incr("somebody else"); got != "2" || dup {
		t.Errorf("the same with another credential: %s, duplicate %v", got, dup)
	}
}

func TestOnceIDDependsOnEveryField(t *testing.T) {
	base := Request{Bucket: "b", Method: "m", Target: "t", IdempotencyKey: "i", Credential: cred("c"), Body: []byte("x")}
	seen := map[command.ID]string{base.OnceID(): "base"}
	if again := base.OnceID(); again != base.OnceID() {
		t.Error("one request has two ids")
	}
	for name, change := range map[string]func(*Request){
		"bucket": func(r *Request) { r.Bucket = "B" }, "method": func(r *Request) { r.Method = "M" },
		"target": func(r *Request) { r.Target = "T" }, "key": func(r *Request) { r.IdempotencyKey = "I" },
		"credential": func(r *Request) { r.Credential.Value = "C" }, "body": func(r *Request) { r.Body = []byte("X") },
		"boundary": func(r *Request) { r.Bucket, r.Method = "bm", "" }, "no body": func(r *Request) { r.Body = nil },
	} {
		r := base
		change(&r)
		if other, twice := seen[r.OnceID()]; twice {
			t.Errorf("another %s has the id of %s", name, other)
		}
		seen[r.OnceID()] = name
	}
}
