package bucket

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
)

func hashOf(b byte) []byte { return bytes.Repeat([]byte{b}, auth.HashSize) }

// goldenPolicies are the rows of testdata/policy1.txt by name.
func goldenPolicies() map[string]policy {
	salt := auth.Salt([]byte("0123456789abcdef"))
	return map[string]policy{
		"none":    {ttl: DefaultTTL, created: 1_700_000_000_000, salt: salt},
		"never":   {created: 1, salt: salt},
		"secret":  {ttl: 1, created: 1, salt: salt, secret: hashOf(1)},
		"write":   {ttl: 1, created: 1, salt: salt, write: hashOf(2)},
		"read":    {ttl: 1, created: 1, salt: salt, read: hashOf(3)},
		"signing": {ttl: 1, created: 1, salt: salt, signing: []byte("sealed")},
		"all":     {ttl: MaxTTL, created: 1, salt: salt, secret: hashOf(1), write: hashOf(2), read: hashOf(3), signing: []byte("sealed")},
	}
}

// The rows are stored: lines may be added to the file, never changed.
func TestGoldenPolicies(t *testing.T) {
	file, err := os.ReadFile("testdata/policy1.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := goldenPolicies()
	for line := range strings.Lines(string(file)) {
		name, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		row, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		var p policy
		if err := p.decode(row); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(known[name], p, cmp.AllowUnexported(policy{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got := p.append(nil); !bytes.Equal(got, row) {
			t.Errorf("%s encodes as %x", name, got)
		}
		delete(known, name)
	}
	for name, p := range known {
		t.Errorf("not in the file: %s %x", name, p.append(nil))
	}
}

func TestPolicyOfANewerFormatIsRefused(t *testing.T) {
	row := (&policy{}).append(nil)
	row[0]++
	var p policy
	if err := p.decode(row); !errs.Is(err, errs.Internal) || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("got %v, want an error that names format 2", err)
	}
}

func FuzzDecodePolicy(f *testing.F) {
	for _, p := range goldenPolicies() {
		f.Add(p.append(nil))
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		var p policy
		if err := p.decode(row); err != nil {
			return
		}
		if got := p.append(nil); !bytes.Equal(got, row) {
			t.Errorf("%x decodes to what encodes as %x", row, got)
		}
	})
}

func TestDecodingAPolicyAllocatesNothing(t *testing.T) {
	whole := goldenPolicies()["all"]
	row := whole.append(nil)
	var p policy
	if n := testing.AllocsPerRun(100, func() { _ = p.decode(row) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// isNumber decides independently: JSON grammar by the standard library, range
// by big numbers.
func isNumber(text string) bool {
	if text == "" || strings.TrimSpace(text) != text || !json.Valid([]byte(text)) || !strings.ContainsRune("-0123456789", rune(text[0])) {
		return false
	}
	if !strings.ContainsAny(text, ".eE") {
		n, ok := new(big.Int).SetString(text, 10)
		return ok && n.IsInt64()
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

func TestNumberDetection(t *testing.T) {
	likely := rapid.StringMatching(`[ +-]?[0-9]{0,3}(\.[0-9]{0,3})?([eE][+-]?[0-9]{0,4})?[ \n]?`)
	long := rapid.StringMatching(`-?[1-9][0-9]{16,20}`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(likely, long, rapid.String()).Draw(t, "text")
		v := Text([]byte(text))
		if got, want := v.IsNumber(), isNumber(text); got != want {
			t.Fatalf("%q is a number: %v, want %v", text, got, want)
		}
		back, err := decodeValue(v.stored())
		if err != nil || string(back.Bytes()) != text || back.IsNumber() != v.IsNumber() || back.IsJSON() != v.IsJSON() {
			t.Fatalf("%q comes back as %q (%v)", text, back.Bytes(), err)
		}
		if v.IsJSON() && !json.Valid(v.Bytes()) {
			t.Fatalf("%q is listed as JSON", text)
		}
	})
}

func FuzzStoredValues(f *testing.F) {
	f.Add([]byte("12"))
	f.Add([]byte("\x00text"))
	f.Add([]byte("\x02"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if v, err := decodeValue(p); err == nil && !bytes.Equal(v.stored(), p) {
			t.Errorf("%x decodes to what is stored as %x", p, v.stored())
		}
		v := Text(p)
		if back, err := decodeValue(v.stored()); err != nil || !bytes.Equal(back.bytes, p) || back.kind != v.kind {
			t.Errorf("%x comes back as %x, %v", p, back.bytes, err)
		}
	})
}

func TestJSONValues(t *testing.T) {
	for _, c := range []struct {
		in, bytes    string
		json, number bool
	}{
		{`"coconut"`, "coconut", false, false},
		{`""`, "", false, false},
		{`"a\nb\u00e9"`, "a\nbé", false, false},
		{`"12"`, "12", true, true},
		{`"{}"`, "{}", false, false},
		{`101`, "101", true, true},
		{` -1.50 `, "-1.50", true, true},
		{`12345678901234567890`, "12345678901234567890", true, false},
		{`1e999`, "1e999", true, false},
		{`true`, "true", true, false},
		{`null`, "null", true, false},
		{"{ \"a\" : [ 1, \"<b>\" ] ,\n\"c\":{}}", `{"a":[1,"<b>"],"c":{}}`, true, false},
		{"[\"\xff\"]", "[\"\uFFFD\"]", true, false},
	} {
		v, err := JSON([]byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
		}
		if string(v.Bytes()) != c.bytes || v.IsJSON() != c.json || v.IsNumber() != c.number {
			t.Errorf("%s: %q JSON %v number %v, want %q %v %v", c.in, v.Bytes(), v.IsJSON(), v.IsNumber(), c.bytes, c.json, c.number)
		}
		back, err := decodeValue(v.stored())
		if err != nil || !bytes.Equal(back.bytes, v.bytes) || back.kind != v.kind {
			t.Errorf("%s comes back as %q, %v", c.in, back.bytes, err)
		}
	}
	for _, bad := range []string{"", " ", "{", "nul", `"a`, "1 2", "01", "+1", "\u00a01", "[1,]"} {
		if v, err := JSON([]byte(bad)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %q, %v, want invalid", bad, v.Bytes(), err)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a": [1, "x"]}`))
	f.Add([]byte(`"12"`))
	f.Fuzz(func(t *testing.T, p []byte) {
		v, err := JSON(p)
		if (err == nil) != json.Valid(p) {
			t.Errorf("%q: %v, valid JSON: %v", p, err, json.Valid(p))
		}
		if err == nil && v.IsJSON() && !json.Valid(v.Bytes()) {
			t.Errorf("%q is kept as %q, which is no JSON", p, v.Bytes())
		}
	})
}

func TestIDs(t *testing.T) {
	form := regexp.MustCompile(`^[1-9A-HJ-NP-Za-km-z]{21,22}$`)
	seen := map[string]bool{}
	for range 20_000 {
		id := NewID()
		if !form.MatchString(id) || !ValidName(id) || seen[id] {
			t.Fatalf("id %q (seen %v)", id, seen[id])
		}
		seen[id] = true
	}
}

func TestBase58(t *testing.T) {
	for in, want := range map[string]string{"": "", "\x00": "1", "\x00\x00\x01": "112", "\x39": "z", "\x3a": "21", "hello world": "StV1DL6CwTryKyV"} {
		if got := encodeBase58([]byte(in)); got != want {
			t.Errorf("Base58 of %q = %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")
		n, text := new(big.Int), encodeBase58(p)
		for _, c := range text {
			n.Add(n.Mul(n, big.NewInt(58)), big.NewInt(int64(strings.IndexRune(base58, c))))
		}
		zeros := len(text) - len(strings.TrimLeft(text, "1"))
		if got := append(make([]byte, zeros), n.Bytes()...); !bytes.Equal(got, p) {
			t.Fatalf("%x reads back as %x", p, got)
		}
	})
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"12345678": true, "a_b-C-d_e": true, strings.Repeat("x", 80): true, "--------": true,
		"1234567": false, strings.Repeat("x", 81): false, "a.b.c.d.e": false, "with blank": false, "größe-xy": false, "": false,
		"controller": false, "database": false, "informations": false, "realtime": false, "appdeploy": false, "Database": true,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestStoreKeysKeepTheOrderOfKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 0, 8)
		a, b := raw.Draw(t, "a"), raw.Draw(t, "b")
		id := rapid.SampledFrom([]string{"bucket-a", "bucket-a-", "bucket-b"})
		ia, ib := id.Draw(t, "ida"), id.Draw(t, "idb")
		ka, kb := dataKey(ia, a), dataKey(ib, b)
		want := strings.Compare(ia, ib)
		if want == 0 {
			want = bytes.Compare(a, b)
		}
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("order of (%s %x) and (%s %x) is %d, want %d", ia, a, ib, b, got, want)
		}
		lo, hi := dataSpan(ia, b)
		if got := bytes.Compare(lo, ka) <= 0 && bytes.Compare(ka, hi) < 0; got != bytes.HasPrefix(a, b) {
			t.Fatalf("%x is in the span of prefix %x: %v", a, b, got)
		}
	})
	if id, ok := policyID(policyKey("bucket-a")); id != "bucket-a" || !ok {
		t.Errorf("policyID = %q, %v", id, ok)
	}
	if _, ok := policyID(dataKey("bucket-a", []byte("k"))); ok {
		t.Error("a data key reads as a policy key")
	}
}
