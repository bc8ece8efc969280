package command

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

func TestParseNumber(t *testing.T) {
	for _, c := range []struct {
		text string
		kind string // int, float, or "" for no number
	}{
		{"0", "int"}, {"-0", "int"}, {"101", "int"}, {"-1", "int"},
		{"9223372036854775807", "int"}, {"-9223372036854775808", "int"},
		{"9223372036854775808", ""}, {"-9223372036854775809", ""}, {"100000000000000000000", ""},
		{"1.0", "float"}, {"-0.0", "float"}, {"1e3", "float"}, {"1E+3", "float"}, {"1e-3", "float"}, {"0.1e1", "float"},
		{"1e308", "float"}, {"1e309", ""}, {"-1e309", ""}, {"1e-400", "float"},
		{"9223372036854775808.0", "float"}, {"1e20", "float"}, {"0e0", "float"},
		{"", ""}, {"007", ""}, {"-", ""}, {"--1", ""}, {"-01", ""}, {"+1", ""}, {"1e", ""}, {"1e+", ""}, {"1.", ""}, {".5", ""}, {"-.5", ""},
		{" 1", ""}, {"1 ", ""}, {"1\n", ""}, {"1,2", ""}, {"1_000", ""}, {"0x10", ""}, {"Inf", ""}, {"NaN", ""}, {"infinity", ""}, {"1e1.5", ""},
		{"１", ""}, {"null", ""}, {`"1"`, ""}, {"1\x00", ""},
		{"0." + strings.Repeat("0", 397) + "1", "float"},
		{"0." + strings.Repeat("0", 398) + "1", ""}, // over the length that is looked at
	} {
		n, ok := ParseNumber([]byte(c.text))
		if got := kindOf(n, ok); got != c.kind {
			t.Errorf("%.30q is %q, want %q", c.text, got, c.kind)
		}
	}
}

func kindOf(n Number, ok bool) string {
	switch {
	case !ok:
		return ""
	case n.IsInt():
		return "int"
	}
	return "float"
}

func TestNumberAdd(t *testing.T) {
	for _, c := range []struct{ a, b, sum string }{
		{"0", "1", "1"}, {"1", "-1", "0"}, {"5", "0", "5"},
		{"9223372036854775806", "1", "9223372036854775807"},
		{"9223372036854775807", "1", ""}, {"9223372036854775807", "9223372036854775807", ""},
		{"9223372036854775807", "-9223372036854775808", "-1"},
		{"-9223372036854775808", "-1", ""}, {"-9223372036854775808", "-9223372036854775808", ""},
		{"-9223372036854775808", "0", "-9223372036854775808"},
		{"0", "1.01", "1.01"}, {"0.1", "0.2", "0.30000000000000004"}, {"1.5", "1.5", "3"}, {"1.5", "-1.5", "0"}, {"-1.5", "1", "-0.5"},
		{"999999999999999999", "0.0", "1e+18"}, {"1e17", "0", "100000000000000000"}, {"-1e18", "0", "-1e+18"}, {"1e20", "0", "1e+20"},
		{"9223372036854775807", "1.0", "9.223372036854776e+18"},
		{"0.000001", "0", "0.000001"}, {"0.0000001", "0", "1e-07"}, {"-0.0", "0", "0"}, {"-0.0", "-0.0", "0"},
		{"1.7976931348623157e308", "1.7976931348623157e308", ""}, {"-1.7976931348623157e308", "-1e308", ""},
		{"1.7976931348623157e308", "1", "1.7976931348623157e+308"}, {"5e-324", "0", "5e-324"},
	} {
		sum, err := number(c.a).Add(number(c.b))
		switch {
		case c.sum == "" && !errs.Is(err, errs.Invalid):
			t.Errorf("%s + %s = %v, %v, want it refused", c.a, c.b, sum, err)
		case c.sum != "" && (err != nil || sum.String() != c.sum):
			t.Errorf("%s + %s = %v, %v, want %s", c.a, c.b, sum, err, c.sum)
		}
	}
}

func TestNumberNeg(t *testing.T) {
	for _, c := range []struct{ n, neg string }{{"1", "-1"}, {"-1", "1"}, {"0", "0"}, {"1.5", "-1.5"}, {"-9223372036854775808", ""}} {
		got, err := number(c.n).Neg()
		if (err != nil) != (c.neg == "") || err == nil && got.String() != c.neg {
			t.Errorf("-(%s) = %v, %v, want %s", c.n, got, err, c.neg)
		}
	}
}

// FuzzParseNumber holds ParseNumber against encoding/json for the grammar and
// against strconv for the value.
func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"0", "-0", "-0.0", "1e5", "9223372036854775808", "1e309", "4.9e-324", "007", "1.", "+1", "1E-7"} {
		f.Add(s, "1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		n, ok := ParseNumber([]byte(a))
		if want := wantNumber(a); kindOf(n, ok) != want {
			t.Fatalf("%q is %q, want %q", a, kindOf(n, ok), want)
		}
		if !ok {
			return
		}
		// Its text reads back as the same value, and as its own text.
		back, ok := ParseNumber(n.Append(nil))
		if !ok || back.float64() != n.float64() || back.String() != n.String() {
			t.Fatalf("%q has the text %v, which reads as %v", a, n, back)
		}
		if math.Abs(n.f) >= 1e18 && back.IsInt() {
			t.Fatalf("%v reads back as an integer", n)
		}
		if m, ok := ParseNumber([]byte(b)); ok {
			checkSum(t, n, m)
		}
	})
}

// wantNumber says what text is, by other means.
func wantNumber(text string) string {
	if len(text) > maxNumberText || text == "" || !json.Valid([]byte(text)) || !strings.ContainsRune("-0123456789", rune(text[0])) || strings.TrimSpace(text) != text {
		return ""
	}
	if strings.ContainsAny(text, ".eE") {
		if _, err := strconv.ParseFloat(text, 64); errors.Is(err, strconv.ErrRange) {
			return ""
		}
		return "float"
	}
	i, _ := new(big.Int).SetString(text, 10)
	if !i.IsInt64() {
		return ""
	}
	return "int"
}

func checkSum(t *testing.T, n, m Number) {
	sum, err := n.Add(m)
	other, err2 := m.Add(n)
	if (err == nil) != (err2 == nil) || sum != other {
		t.Fatalf("%v + %v = %v, %v, the other way round %v, %v", n, m, sum, err, other, err2)
	}
	if n.IsInt() && m.IsInt() {
		want := new(big.Int).Add(big.NewInt(n.i), big.NewInt(m.i))
		if want.IsInt64() != (err == nil) || err == nil && sum != Int(want.Int64()) {
			t.Fatalf("%v + %v = %v, %v, want %v", n, m, sum, err, want)
		}
		return
	}
	if err == nil && (sum.IsInt() || math.IsInf(sum.f, 0) || math.IsNaN(sum.f)) {
		t.Fatalf("%v + %v = %v", n, m, sum)
	}
}
