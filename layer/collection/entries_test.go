package collection

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/layer/collection/query"
)

// The bytes of entries are stored: they must stay as they are.
func TestEntriesHaveTheStoredForm(t *testing.T) {
	long := strings.Repeat("x", maxIndexed)
	for _, c := range []struct{ value, want string }{
		{`null`, "08"},
		{`0`, "108000000000000000"},
		{`-0`, "108000000000000000"},
		{`1.5`, "10bff8000000000000"},
		{`-1.5`, "104007ffffffffffff"},
		{`""`, "180001"},
		{`"ab"`, "1861620001"},
		{`"a\u0000b"`, "186100ff620001"},
		{`"` + long + `"`, "18" + strings.Repeat("78", maxIndexed) + "0001"},
		{`"` + long + `x"`, "18" + strings.Repeat("78", maxIndexed) + "000235ade0090e64e74d6ad04204009c23a4e34b82bdf0f4f317fbcc5f26f9b10241"},
		{`{"b":1.0,"a":"x"}`, "20cdab067e9f3beb32d1252cfd63e492592fecbf591b0d08cadb24bb17f3864246"},
		{`[1]`, "28080a9ed428559ef602668b4c00f114f1a11c3f6b02a435f0bdc154578e4d7f22"},
		{`false`, "3000"},
		{`true`, "3001"},
	} {
		got := hex.EncodeToString(appendValue(nil, query.Of([]byte(c.value))))
		if got != c.want {
			t.Errorf("%.20s: got %s, want %s", c.value, got, c.want)
		}
	}
	same := []string{`{"b":1.0,"a":"x"}`, `{"a":"\u0078","b":1}`}
	if a, b := appendValue(nil, query.Of([]byte(same[0]))), appendValue(nil, query.Of([]byte(same[1]))); !bytes.Equal(a, b) {
		t.Errorf("equal objects have entries %x and %x", a, b)
	}
}

// Entries sort as values do, as far as they say they do, and equal values alone
// have equal entries.
func TestEntriesSortAsValues(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) query.Value {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return query.Of(fmt.Append(nil, rapid.Float64Range(-1e300, 1e300).Draw(t, "number")))
		case 1:
			text := rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 'a', 'b', 'ü', 0xFFFD}), 0, 4, -1).Draw(t, "text")
			return query.TextOf(strings.Repeat("a", rapid.SampledFrom([]int{0, 0, 510, 511, 512, 513}).Draw(t, "head")) + text)
		}
		return query.Of([]byte(drawValue(t)))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		ka, kb := appendValue(nil, a), appendValue(nil, b)
		want := query.Compare(a, b)
		if (want == 0) != bytes.Equal(ka, kb) {
			t.Fatalf("Compare is %d, entries are %x and %x", want, ka, kb)
		}
		for _, k := range [][]byte{ka, kb} {
			n, exact, ok := valueLen(append(bytes.Clone(k), "rest"...))
			if !ok || n != len(k) || exact > n {
				t.Fatalf("valueLen of %x: %d, %d, %v", k, n, exact, ok)
			}
		}
		_, ea, _ := valueLen(ka)
		_, eb, _ := valueLen(kb)
		if ea < len(ka) && eb < len(kb) && bytes.Equal(ka[:ea], kb[:eb]) {
			return // hashes
		}
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("Compare is %d, of the entries %d: %x and %x", want, got, ka, kb)
		}
	})
}

func TestTheLongestEntryIsAKey(t *testing.T) {
	value := query.TextOf(strings.Repeat("\x00", 2*maxIndexed))
	key := indexPrefix(1 << 63)
	for range MaxIndexPaths {
		key = appendValue(key, value)
	}
	if n := len(key) + len(OID{}); n > command.MaxKey {
		t.Errorf("%d bytes, a key has at most %d", n, command.MaxKey)
	}
}

func FuzzValueLen(f *testing.F) {
	for _, v := range someValues {
		f.Add(appendValue(nil, query.Of([]byte(v))))
	}
	f.Add([]byte{tagText, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		if n, exact, ok := valueLen(p); ok && (n > len(p) || exact > n || exact <= 0) {
			t.Errorf("%x: %d, %d", p, n, exact)
		}
	})
}
