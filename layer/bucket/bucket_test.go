package bucket

import (
	"context"
	"strings"
	"testing"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

const rootText = "the-root-key"

// world is a store with the layer on it, and what its commits looked like.
type world struct {
	*kvtest.Store
	t        testing.TB
	bs       *Buckets
	db       *kv.DB
	commands []*command.Command
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	ring, err := seal.Create(t.TempDir() + "/keyring")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Store: kvtest.New(t), t: t}
	c := Config{Root: auth.NewRootKey(rootText), Keyring: ring}
	for _, f := range change {
		f(&c)
	}
	if w.bs, err = New(c); err != nil {
		t.Fatal(err)
	}
	w.db = kv.New(w)
	return w
}

// Commit keeps the commands that come along.
func (w *world) Commit(ctx context.Context, cmd *command.Command) (command.Result, error) {
	w.commands = append(w.commands, cmd)
	return w.Store.Commit(ctx, cmd)
}

func (w *world) last() *command.Command { return w.commands[len(w.commands)-1] }

func cred(text string) auth.Credential { return auth.Credential{Value: text} }

func key(text string) *auth.Credential { return &auth.Credential{Value: text} }

// fields sets the keys named by letters (S, W, R, G for signing) to the texts
// secret, write, read and signing.
func fields(letters string) (f Fields) {
	for _, c := range letters {
		switch c {
		case 'S':
			f.Secret = key("secret")
		case 'W':
			f.Write = key("write")
		case 'R':
			f.Read = key("read")
		case 'G':
			f.Signing = key("signing")
		}
	}
	return f
}

func (w *world) create(f Fields) string {
	w.t.Helper()
	return w.createNamed("", "", f)
}

func (w *world) createNamed(name, credential string, f Fields) string {
	w.t.Helper()
	d, err := w.bs.Draft(name, f)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := w.db.Update(context.Background(), func(tx *kv.Tx) error { return w.bs.Create(tx, cred(credential), d) })
	if err != nil {
		w.t.Fatal(err)
	}
	if got := string(res.Reply); got != d.ID {
		w.t.Fatalf("reply %q, want the id %q", got, d.ID)
	}
	return d.ID
}

// update opens the bucket to do what is needed and runs fn on it.
func (w *world) update(id, credential string, need Need, fn func(*Bucket) error) (kv.Result, error) {
	return w.db.Update(context.Background(), func(tx *kv.Tx) error {
		b, err := w.bs.Open(tx, id, cred(credential), need)
		if err != nil {
			return err
		}
		return fn(b)
	})
}

func (w *world) view(id, credential string, need Need, fn func(*Bucket) error) error {
	_, err := w.db.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) error {
		b, err := w.bs.Open(tx, id, cred(credential), need)
		if err != nil {
			return err
		}
		return fn(b)
	})
	return err
}

// set stores a value that must be accepted.
func (w *world) set(id, credential, k, value string, ttl TTL) kv.Result {
	w.t.Helper()
	res, err := w.update(id, credential, Write, func(b *Bucket) error {
		return b.Set([]byte(k), Text([]byte(value)), ttl, Condition{})
	})
	if err != nil {
		w.t.Fatalf("set %q: %v", k, err)
	}
	return res
}

// get returns the value under k, or the error's kind in brackets.
func (w *world) get(id, credential, k string) string {
	e, err := w.entry(id, credential, k)
	if err != nil {
		return "[" + errs.KindOf(err).String() + "]"
	}
	return string(e.Value.Bytes())
}

func (w *world) entry(id, credential, k string) (e Entry, err error) {
	err = w.view(id, credential, Read, func(b *Bucket) (err error) {
		e, err = b.Get([]byte(k))
		return err
	})
	return e, err
}

// list returns the keys joined by blanks, with =value if asked for.
func (w *world) list(id, credential string, q ListQuery) (string, error) {
	need := List
	if q.Values {
		need = ListValues
	}
	var words []string
	err := w.view(id, credential, need, func(b *Bucket) error {
		words = nil
		seq, err := b.List(context.Background(), q)
		if err != nil {
			return err
		}
		for e, err := range seq {
			if err != nil {
				return err
			}
			word := string(e.Key)
			if q.Values {
				word += "=" + string(e.Value.Bytes())
			}
			words = append(words, word)
		}
		return nil
	})
	return strings.Join(words, " "), err
}

func (w *world) mustList(id, credential string, q ListQuery) string {
	w.t.Helper()
	got, err := w.list(id, credential, q)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) mint(id, credential string, g Grant) (token string, err error) {
	err = w.view(id, credential, Mint, func(b *Bucket) (err error) {
		token, err = b.Mint(g)
		return err
	})
	return token, err
}

func (w *world) mustMint(id, prefix string, p Permissions, ttl TTL) string {
	w.t.Helper()
	token, err := w.mint(id, "secret", Grant{Prefix: []byte(prefix), Permissions: p, TTL: ttl})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func (w *world) change(id, credential string, f Fields) (kv.Result, error) {
	c, err := w.bs.Change(id, f)
	if err != nil {
		return kv.Result{}, err
	}
	return w.update(id, credential, ChangePolicy, func(b *Bucket) error { return b.ChangePolicy(c) })
}

func (w *world) drop(id, credential string) error {
	_, err := w.update(id, credential, DeleteBucket, (*Bucket).Drop)
	return err
}

func (w *world) exists(id string) (found bool) {
	w.t.Helper()
	_, err := w.db.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		found, err = w.bs.Exists(tx, id)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

func seconds(t testing.TB, n int64) TTL {
	t.Helper()
	ttl, err := Seconds(n)
	if err != nil {
		t.Fatal(err)
	}
	return ttl
}

func wantKind(t testing.TB, err error, want errs.Kind) {
	t.Helper()
	if !errs.Is(err, want) {
		t.Errorf("got error %v (%v), want %v", err, errs.KindOf(err), want)
	}
}

// once makes the next commit conflict and returns a check that the function in
// between was run again and its change committed once.
func (w *world) once() func() {
	w.t.Helper()
	before := len(w.commands)
	w.ConflictNext(1)
	return func() {
		w.t.Helper()
		if got := len(w.commands) - before; got != 2 {
			w.t.Errorf("%d commits after an injected conflict, want 2", got)
		}
	}
}

func TestNewRefusesBadLimits(t *testing.T) {
	for _, c := range []Config{{MaxValue: -1}, {MaxValue: valueCap + 1}, {MaxList: -1}} {
		if _, err := New(c); !errs.Is(err, errs.Invalid) {
			t.Errorf("New(%d, %d) = %v, want invalid", c.MaxValue, c.MaxList, err)
		}
	}
	bs, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if bs.MaxValue() != 16384 || bs.MaxList() != 10000 {
		t.Errorf("defaults are %d and %d", bs.MaxValue(), bs.MaxList())
	}
}
