package bucket

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func delta(t testing.TB, text string) command.Number {
	t.Helper()
	n, err := ParseDelta([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func one(t testing.TB) command.Number { return delta(t, "+1") }

// incr returns the counter's new text, or the error's kind in brackets.
func (w *world) incr(id, k, by string, ttl TTL) string {
	res, err := w.update(id, "", Write, func(b *Bucket) error {
		return b.Incr([]byte(k), delta(w.t, by), ttl, Condition{})
	})
	if err != nil {
		return "[" + errs.KindOf(err).String() + "]"
	}
	return string(bytes.Join(res.Added, []byte("|")))
}

func TestValuesComeBackByteForByte(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	for i, value := range []string{
		"", "null", "1", "-1", "1.50", "007", "+1", "1e", "1e5", "1E+5", " 1", "1\n", "\x00", "\x00\x01", "\x01{}", "\xff\xfe",
		"{\"a\": 1}", "9223372036854775807", "9223372036854775808", "1e999", "-", "-0", "0", strings.Repeat("7", MaxValue),
	} {
		k := fmt.Sprint("k", i)
		w.set(id, "", k, value, TTL{})
		if got := w.get(id, "", k); got != value {
			t.Errorf("stored %.20q, got %.20q", value, got)
		}
	}
}

func TestKeyAndValueLimits(t *testing.T) {
	w := newWorld(t)
	id := w.create(fields("S"))
	for _, c := range []struct {
		key, value int
		want       bool
	}{{1, 0, true}, {MaxKey, MaxValue, true}, {0, 1, false}, {MaxKey + 1, 1, false}, {1, MaxValue + 1, false}} {
		k, v := bytes.Repeat([]byte{0xFF}, c.key), Text(bytes.Repeat([]byte{'v'}, c.value))
		_, err := w.update(id, "", Write, func(b *Bucket) error { return b.Set(k, v, TTL{}, Condition{}) })
		if (err == nil) != c.want || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("key of %d and value of %d bytes: %v, want accepted = %v", c.key, c.value, err, c.want)
		}
		_, err = w.update(id, "", Write, func(b *Bucket) error { return b.Txn([]TxnOp{{Key: k, Value: v}}) })
		if (err == nil) != c.want || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("in a transaction: %v, want accepted = %v", err, c.want)
		}
	}
	for name, try := range map[string]func(b *Bucket) error{
		"get":    func(b *Bucket) error { _, err := b.Get(nil); return err },
		"incr":   func(b *Bucket) error { return b.Incr(nil, one(t), TTL{}, Condition{}) },
		"delete": func(b *Bucket) error { return b.Delete(nil, Condition{}) },
	} {
		if _, err := w.update(id, "secret", Read, try); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s of an empty key: %v, want invalid", name, err)
		}
	}
	big := newWorld(t, func(c *Config) { c.MaxValue = 100_000 })
	id = big.create(Fields{})
	value := strings.Repeat("v", 100_000)
	big.set(id, "", "k", value, TTL{})
	if got := big.get(id, "", "k"); got != value {
		t.Errorf("a raised limit stored %d bytes", len(got))
	}
}

func TestCounters(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	for _, c := range []struct{ stored, by, want, after string }{
		{"[not found]", "+1", "1", "1"},
		{"[not found]", "+1.01", "1.01", "1.01"},
		{"[not found]", "0", "0", "0"},
		{"[not found]", "-5", "-5", "-5"},
		{"41", "+1", "42", "42"},
		{"41", "1", "42", "42"},
		{"41", "-42", "-1", "-1"},
		{"1.5", "+1", "2.5", "2.5"},
		{"1", "+0.5", "1.5", "1.5"},
		{"1e20", "+1", "1e+20", "1e+20"},
		{"9223372036854775807", "+1", "[invalid]", "9223372036854775807"},
		{"-9223372036854775808", "-1", "[invalid]", "-9223372036854775808"},
		{"0", "-9223372036854775808", "-9223372036854775808", "-9223372036854775808"},
		{"1e308", "+1e308", "[invalid]", "1e308"},
		{"9223372036854775808", "+1", "[invalid]", "9223372036854775808"},
		{"007", "+1", "[invalid]", "007"},
		{"", "+1", "[invalid]", ""},
		{"abc", "+1", "[invalid]", "abc"},
		{"\x001", "+1", "[invalid]", "\x001"},
	} {
		k := fmt.Sprintf("%q%s", c.stored, c.by)
		if c.stored != "[not found]" {
			w.set(id, "", k, c.stored, TTL{})
		}
		if got := w.incr(id, k, c.by, TTL{}); got != c.want {
			t.Errorf("%q %s = %q, want %q", c.stored, c.by, got, c.want)
		}
		if got := w.get(id, "", k); got != c.after {
			t.Errorf("%q %s leaves %q, want %q", c.stored, c.by, got, c.after)
		}
	}
}

func TestDeltaGrammar(t *testing.T) {
	for _, good := range []string{"+1", "-1", "1", "0", "+0", "-0", "+1.5", "-1.5e-3", "1E5", "-9223372036854775808"} {
		if _, err := ParseDelta([]byte(good)); err != nil {
			t.Errorf("delta %q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "+", "-", "++1", "--1", "+-1", "-+1", "+01", "01", " 1", "1 ", "1\n", "one", "1,5", ".5", "+.5", "0x1", "1e", "NaN", "9223372036854775808", "+1e999", `"1"`} {
		if n, err := ParseDelta([]byte(bad)); !errs.Is(err, errs.Invalid) {
			t.Errorf("delta %q = %v, %v, want invalid", bad, n, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{DefaultTTL: seconds(t, 10)})
	w.set(id, "", "short", "v", seconds(t, 6))
	w.set(id, "", "default", "v", TTL{})
	w.set(id, "", "never", "v", seconds(t, 0))
	w.set(id, "", "again", "v", TTL{})
	w.incr(id, "count", "+5", TTL{})
	w.incr(id, "stale", "+5", seconds(t, 6))
	e, err := w.entry(id, "", "short")
	if err != nil || e.Expiry != w.Now()+6000 {
		t.Errorf("expires at %d (%v), want %d", e.Expiry, err, w.Now()+6000)
	}

	w.Advance(6 * time.Second)
	if got := w.get(id, "", "short"); got != "[not found]" {
		t.Errorf("an expired key holds %q", got)
	}
	if got, want := w.mustList(id, "", ListQuery{Limit: -1}), "again count default never"; got != want {
		t.Errorf("list %q, want %q", got, want)
	}
	if got := w.incr(id, "stale", "+1", TTL{}); got != "1" {
		t.Errorf("an expired counter goes on with %s, want 1", got)
	}
	w.set(id, "", "again", "v", TTL{})
	if got := w.incr(id, "count", "+1", TTL{}); got != "6" {
		t.Errorf("count %s, want 6", got)
	}
	if _, err := w.change(id, rootText, Fields{DefaultTTL: seconds(t, 0)}); err != nil {
		t.Fatal(err)
	}
	w.set(id, "", "later", "v", TTL{})

	w.Advance(6 * time.Second) // 12 s: every set and PATCH has restarted the clock
	if got, want := w.mustList(id, "", ListQuery{Limit: -1}), "again count later never stale"; got != want {
		t.Errorf("list %q, want %q", got, want)
	}
	w.Advance(200 * 365 * 24 * time.Hour / 2)
	if got, want := w.mustList(id, "", ListQuery{Limit: -1}), "later never"; got != want {
		t.Errorf("list %q, want %q", got, want)
	}
}

func TestDefaultTTLIsAWeek(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	w.set(id, "", "k", "v", TTL{})
	w.Advance(7*24*time.Hour - time.Millisecond)
	if got := w.get(id, "", "k"); got != "v" {
		t.Errorf("before a week it is %q", got)
	}
	w.Advance(time.Millisecond)
	if got := w.get(id, "", "k"); got != "[not found]" {
		t.Errorf("after a week it is %q", got)
	}
}

func TestTTLGrammar(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "1": time.Second, "007": 7 * time.Second, "3153600000": MaxTTL * time.Second} {
		ttl, err := ParseTTL(text)
		if got := ttl.or(99); err != nil || got != want {
			t.Errorf("ttl %q = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "-1", "+1", "1.5", "1e3", "3153600001", "99999999999999999999", "one", " 1"} {
		if ttl, err := ParseTTL(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("ttl %q = %v, %v, want invalid", bad, ttl, err)
		}
	}
	if _, err := Seconds(-1); !errs.Is(err, errs.Invalid) {
		t.Errorf("ttl -1: %v", err)
	}
	if got := (TTL{}).or(99); got != 99*time.Second {
		t.Errorf("a ttl that is not stated is %v", got)
	}
}

func TestDeleteOfAnAbsentKeySucceeds(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	w.set(id, "", "k", "v", TTL{})
	for range 2 {
		if _, err := w.update(id, "", Delete, func(b *Bucket) error { return b.Delete([]byte("k"), Condition{}) }); err != nil {
			t.Fatal(err)
		}
		if got := w.get(id, "", "k"); got != "[not found]" {
			t.Errorf("a deleted key holds %q", got)
		}
	}
}

func TestCompareAndSet(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	v1 := w.set(id, "", "k", "1", TTL{}).Version
	if e, err := w.entry(id, "", "k"); err != nil || e.Version != v1 {
		t.Fatalf("the record has version %d (%v), its commit had %d", e.Version, err, v1)
	}
	is := func(v ...uint64) *Versions { return &Versions{List: v} }
	present := &Versions{Any: true}
	for _, c := range []struct {
		name string
		key  string
		cond Condition
		want bool
	}{
		{"match of its version", "k", Condition{Match: is(v1)}, true},
		{"match of one of several", "k", Condition{Match: is(v1+7, v1)}, true},
		{"match of another version", "k", Condition{Match: is(v1 + 1)}, false},
		{"match of no version", "k", Condition{Match: is()}, false},
		{"match of any", "k", Condition{Match: present}, true},
		{"match of any on nothing", "none", Condition{Match: present}, false},
		{"match of a version on nothing", "none", Condition{Match: is(0)}, false},
		{"none-match of its version", "k", Condition{NoneMatch: is(v1)}, false},
		{"none-match of another version", "k", Condition{NoneMatch: is(v1 + 1)}, true},
		{"none-match of any", "k", Condition{NoneMatch: present}, false},
		{"none-match of any on nothing", "none", Condition{NoneMatch: present}, true},
		{"both, one fails", "k", Condition{Match: present, NoneMatch: is(v1)}, false},
	} {
		for verb, try := range map[string]func(*Bucket) error{
			"set":    func(b *Bucket) error { return b.Set([]byte(c.key), Value{}, TTL{}, c.cond) },
			"incr":   func(b *Bucket) error { return b.Incr([]byte(c.key), one(t), TTL{}, c.cond) },
			"delete": func(b *Bucket) error { return b.Delete([]byte(c.key), c.cond) },
		} {
			err := w.view(id, "", Write, func(b *Bucket) error { return b.check(dataKey(id, []byte(c.key)), c.cond) })
			if (err == nil) != c.want || err != nil && !errs.Is(err, errs.Conflict) {
				t.Errorf("%s: %v, want it to hold = %v", c.name, err, c.want)
			}
			if c.want {
				continue // would change the key for the next row
			}
			if _, err := w.update(id, "", Write, try); !errs.Is(err, errs.Conflict) {
				t.Errorf("%s with %s: %v, want a conflict", verb, c.name, err)
			}
		}
	}
	if got := w.get(id, "", "k"); got != "1" {
		t.Errorf("a failed condition has changed the value to %q", got)
	}
}

// Two writers that both saw version v: one wins, whoever commits first.
func TestCompareAndSetHasOneWinner(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	cond := Condition{Match: &Versions{List: []uint64{w.set(id, "", "k", "0", TTL{}).Version}}}
	runs := 0
	_, err := w.update(id, "", Write, func(b *Bucket) error {
		if err := b.Set([]byte("k"), Text([]byte("first")), TTL{}, cond); err != nil {
			return err
		}
		if runs++; runs == 1 {
			w.set(id, "", "k", "second", TTL{})
		}
		return nil
	})
	wantKind(t, err, errs.Conflict)
	if got := w.get(id, "", "k"); got != "second" {
		t.Errorf("the value is %q", got)
	}
}

func TestBlindWritesReadOnlyThePolicy(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	w.set(id, "", "k", "v", TTL{})
	if got := len(w.last().Reads); got != 1 {
		t.Errorf("a set without a condition reads %d spans, want 1", got)
	}
	if _, err := w.update(id, "", Write, func(b *Bucket) error {
		return b.Set([]byte("k"), Value{}, TTL{}, Condition{Match: &Versions{Any: true}})
	}); err != nil {
		t.Fatal(err)
	}
	if got := len(w.last().Reads); got != 2 {
		t.Errorf("a set with a condition reads %d spans, want 2", got)
	}
}

func TestChangesSurviveAConflict(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	done := w.once()
	w.set(id, "", "k", "v", TTL{})
	done()
	if got := w.get(id, "", "k"); got != "v" {
		t.Errorf("set: %q", got)
	}
	done = w.once()
	if got := w.incr(id, "n", "+1", TTL{}); got != "1" {
		t.Errorf("incr: %q, want 1", got)
	}
	done()
	if got := w.get(id, "", "n"); got != "1" {
		t.Errorf("the counter holds %q, want 1", got)
	}
	done = w.once()
	if _, err := w.update(id, "", Delete, func(b *Bucket) error { return b.Delete([]byte("k"), Condition{}) }); err != nil {
		t.Fatal(err)
	}
	done()
	if got := w.get(id, "", "k"); got != "[not found]" {
		t.Errorf("delete: %q", got)
	}
	done = w.once()
	if _, err := w.update(id, "", Write, func(b *Bucket) error {
		return b.Txn([]TxnOp{{Key: []byte("a"), Value: Text([]byte("1"))}, {Key: []byte("n"), Delete: true}})
	}); err != nil {
		t.Fatal(err)
	}
	done()
	if got := w.mustList(id, "", ListQuery{Limit: -1, Values: true}); got != "a=1" {
		t.Errorf("txn: %q", got)
	}
}

func TestTransactions(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	txn := func(ops ...TxnOp) error {
		_, err := w.update(id, "", Write, func(b *Bucket) error { return b.Txn(ops) })
		return err
	}
	set := func(k, v string) TxnOp { return TxnOp{Key: []byte(k), Value: Text([]byte(v))} }
	del := func(k string) TxnOp { return TxnOp{Key: []byte(k), Delete: true} }
	for _, c := range []struct {
		name string
		ops  []TxnOp
		want string
	}{
		{"nothing", nil, ""},
		{"in order", []TxnOp{set("a", "1"), del("a"), set("a", "2"), set("b", "1"), del("b")}, "a=2"},
		{"delete of what is not there", []TxnOp{del("zz"), set("b", "3")}, "a=2 b=3"},
	} {
		if err := txn(c.ops...); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := w.mustList(id, "", ListQuery{Limit: -1, Values: true}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if err := txn(set("c", "1"), set("", "1")); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "operation 1") {
		t.Errorf("an empty key: %v, want an invalid that names the operation", err)
	}
	if err := txn(make([]TxnOp, MaxTxn+1)...); !errs.Is(err, errs.Invalid) {
		t.Errorf("too many operations: %v", err)
	}
	if got := w.get(id, "", "c"); got != "[not found]" {
		t.Errorf("a refused transaction has set %q", got)
	}
	ops := make([]TxnOp, MaxTxn)
	for i := range ops {
		ops[i] = TxnOp{Key: fmt.Appendf(nil, "many%04d", i), Value: Text([]byte("v")), TTL: seconds(t, 5)}
	}
	if err := txn(ops...); err != nil {
		t.Fatal(err)
	}
	q := ListQuery{Prefix: []byte("many"), Limit: -1}
	if got := len(strings.Fields(w.mustList(id, "", q))); got != MaxTxn {
		t.Errorf("%d keys set, want %d", got, MaxTxn)
	}
	w.Advance(5 * time.Second)
	if got := w.mustList(id, "", q); got != "" {
		t.Errorf("after their ttl there are %.40q", got)
	}
}

func TestFailedCommitChangesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	w.FailNext(errs.E(errs.Unavailable, "no leader"))
	_, err := w.update(id, "", Write, func(b *Bucket) error { return b.Set([]byte("k"), Value{}, TTL{}, Condition{}) })
	wantKind(t, err, errs.Unavailable)
	if got := w.get(id, "", "k"); got != "[not found]" {
		t.Errorf("the key holds %q", got)
	}
}

var _ kv.Backend = (*world)(nil)
