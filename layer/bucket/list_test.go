package bucket

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
)

func pattern(t testing.TB, text string) *Pattern {
	t.Helper()
	p, err := ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLists(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxList = 6 })
	id := w.create(Fields{})
	// A neighbour on both sides, to see that a list stays in its bucket.
	w.set(w.createNamed("aaaaaaaa", rootText, Fields{}), "", "k", "v", TTL{})
	w.set(w.createNamed("zzzzzzzz", rootText, Fields{}), "", "k", "v", TTL{})
	for _, k := range []string{"b", "a", "ab", "B", "hits_2018_1", "hits_2018_2", "\xff", "hits_2019"} {
		w.set(id, "", k, "v"+k, TTL{})
	}
	for _, c := range []struct {
		name string
		q    ListQuery
		want string
	}{
		{"byte order, cut to the cap", ListQuery{Limit: -1}, "B a ab b hits_2018_1 hits_2018_2"},
		{"a limit over the cap", ListQuery{Limit: 1000}, "B a ab b hits_2018_1 hits_2018_2"},
		{"reverse", ListQuery{Limit: 3, Reverse: true}, "\xff hits_2019 hits_2018_2"},
		{"limit 0", ListQuery{}, ""},
		{"skip", ListQuery{Limit: 2, Skip: 3}, "b hits_2018_1"},
		{"skip counts after reverse", ListQuery{Limit: 2, Skip: 1, Reverse: true}, "hits_2019 hits_2018_2"},
		{"skip beyond the end", ListQuery{Limit: 2, Skip: 100}, ""},
		{"prefix", ListQuery{Limit: -1, Prefix: []byte("a")}, "a ab"},
		{"prefix of 0xFF", ListQuery{Limit: -1, Prefix: []byte("\xff")}, "\xff"},
		{"prefix longer than a key", ListQuery{Limit: -1, Prefix: bytes.Repeat([]byte("a"), 5000)}, ""},
		{"regex with its anchor", ListQuery{Limit: -1, Pattern: pattern(t, "^hits_2018.*")}, "hits_2018_1 hits_2018_2"},
		{"regex is not anchored", ListQuery{Limit: -1, Pattern: pattern(t, "b")}, "ab b"},
		{"the default regex", ListQuery{Limit: 1, Pattern: pattern(t, ".*")}, "B"},
		{"prefix and regex", ListQuery{Limit: -1, Prefix: []byte("hits"), Pattern: pattern(t, "_2$")}, "hits_2018_2"},
		{"prefix and regex that exclude each other", ListQuery{Limit: -1, Prefix: []byte("a"), Pattern: pattern(t, "^b")}, ""},
		{"skip counts what matches", ListQuery{Limit: -1, Skip: 1, Pattern: pattern(t, "^hits")}, "hits_2018_2 hits_2019"},
		{"values", ListQuery{Limit: 2, Values: true}, "B=vB a=va"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := w.mustList(id, "", c.q); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if _, err := w.list(id, "", ListQuery{Limit: 1, Skip: -1}); !errs.Is(err, errs.Invalid) {
		t.Errorf("skip -1: %v", err)
	}
}

func TestListEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	for from := 0; from < 2*checkEvery; from += MaxTxn {
		ops := make([]TxnOp, MaxTxn)
		for i := range ops {
			ops[i].Key = fmt.Appendf(nil, "k%05d", from+i)
		}
		if _, err := w.update(id, "", Write, func(b *Bucket) error { return b.Txn(ops) }); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	seen := 0
	err := w.view(id, "", List, func(b *Bucket) error {
		seq, err := b.List(ctx, ListQuery{Limit: -1, Pattern: pattern(t, "none of them")})
		if err != nil {
			return err
		}
		for _, err := range seq {
			if seen++; err != nil {
				return err
			}
		}
		return nil
	})
	if seen != 1 {
		t.Errorf("%d steps, want one with the error", seen)
	}
	wantKind(t, err, errs.Unavailable)
}

// Lists against a sorted slice, with keys and patterns of all kinds.
func TestListsAgreeWithAModel(t *testing.T) {
	w := newWorld(t)
	texts := []string{"", ".*", "^", "^a", "^ab", "^\x00", "b$", "^a*b", "^(a|ab)", "(?i)^A", "^a?b", "^\uFFFD", "^a\uFFFD", "a|b", `^\x{FFFD}b`, `\Aab`, "(?m)^b", "^ab?$", "[^a]", `^\.`, "(?s)^.b"}
	alphabet := rapid.SampledFrom([]byte{'a', 'b', 'A', 0, 0xFF, 0xC3, '\n', '.'})
	rapid.Check(t, func(rt *rapid.T) {
		id := w.create(Fields{})
		model := map[string]bool{}
		ops := []TxnOp{}
		for _, k := range rapid.SliceOfN(rapid.SliceOfN(alphabet, 1, 4), 0, 30).Draw(rt, "keys") {
			model[string(k)] = true
			ops = append(ops, TxnOp{Key: k})
		}
		if _, err := w.update(id, "", Write, func(b *Bucket) error { return b.Txn(ops) }); err != nil {
			rt.Fatal(err)
		}
		for range 5 {
			text := rapid.SampledFrom(texts).Draw(rt, "regex")
			q := ListQuery{
				Prefix:  rapid.SliceOfN(alphabet, 0, 2).Draw(rt, "prefix"),
				Pattern: pattern(t, text),
				Reverse: rapid.Bool().Draw(rt, "reverse"),
				Skip:    rapid.IntRange(0, 3).Draw(rt, "skip"),
				Limit:   rapid.IntRange(-1, 10).Draw(rt, "limit"),
			}
			var want []string
			re := regexp.MustCompile(text)
			for k := range model {
				if strings.HasPrefix(k, string(q.Prefix)) && re.MatchString(k) {
					want = append(want, k)
				}
			}
			slices.Sort(want)
			if q.Reverse {
				slices.Reverse(want)
			}
			want = want[min(q.Skip, len(want)):]
			if q.Limit >= 0 {
				want = want[:min(q.Limit, len(want))]
			}
			if got := w.mustList(id, "", q); got != strings.Join(want, " ") {
				rt.Fatalf("regex %q: got %q, want %q", text, got, want)
			}
		}
	})
}

func TestAnchoredLiteralNarrowsTheScan(t *testing.T) {
	for text, want := range map[string]string{
		"^hits_2018.*": "hits_2018", "^abc": "abc", `\Aabc$`: "abc", "^ab?": "a", `^a\.b`: "a.b", "^ä": "ä", "^a\uFFFDb": "a",
		"abc": "", "(?i)^abc": "", "(?m)^abc": "", "^": "", "^.*a": "", "^a|b": "", "(^a)": "",
	} {
		if got := pattern(t, text).prefix; got != want {
			t.Errorf("%q narrows to %q, want %q", text, got, want)
		}
	}
}

func TestPatternsAreBounded(t *testing.T) {
	for _, bad := range []string{"(", "a{1001}", "(a{1000}){1000}", "\xff", "(?P<", strings.Repeat("a", maxPattern+1)} {
		if _, err := ParsePattern(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("regex %.20q: %v, want invalid", bad, err)
		}
	}
	// Would take for ever with backtracking.
	p := pattern(t, "(a*)*$")
	if !p.match(bytes.Repeat([]byte("a"), MaxKey)) {
		t.Error("no match")
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("^abc.*", []byte("abcd"))
	f.Add("^a\uFFFD", []byte("a\xff"))
	f.Add("(?i)^k", []byte("\u212a")) // the Kelvin sign folds to k
	f.Fuzz(func(t *testing.T, text string, key []byte) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		if want := regexp.MustCompile(text).Match(key); p.match(key) != want {
			t.Fatalf("%q matches %q: %v", text, key, !want)
		} else if p != nil && want && !bytes.HasPrefix(key, []byte(p.prefix)) {
			t.Errorf("%q matches %q, which is outside its prefix %q", text, key, p.prefix)
		}
	})
}
