package vault

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/layer/vault/dotenv"
)

func TestParseReferences(t *testing.T) {
	long := strings.Repeat("K", maxKey)
	for _, tt := range []struct {
		value string
		want  []part
	}{
		{"", nil},
		{"plain", []part{{text: "plain"}}},
		{"${A}", []part{{key: "A"}}},
		{"x${A}${b_1}y", []part{{text: "x"}, {key: "A"}, {key: "b_1"}, {text: "y"}}},
		{"${prod-1.A}", []part{{environment: "prod-1", key: "A"}}},
		{"${A}}", []part{{key: "A"}, {text: "}"}}},
		{"$${A}", []part{{text: "${A}"}}},
		{"a$${A}${A}", []part{{text: "a"}, {text: "${A}"}, {key: "A"}}},
		{"$$${A}", []part{{text: "$"}, {text: "${A}"}}},
		{"$A $ $$ ${ ${} ${1A} ${A B} ${A-b} ${x.} ${.A} ${x.y.A} ${A:-d} ${é} ${A", []part{
			{text: "$A $ $$ ${ ${} ${1A} ${A B} ${A-b} ${x.} ${.A} ${x.y.A} ${A:-d} ${é} ${A"},
		}},
		{"${A${B}${C.D${", []part{{text: "${A"}, {key: "B"}, {text: "${C.D${"}}},
		{"${${A}}", []part{{text: "${"}, {key: "A"}, {text: "}"}}},
		{"${" + long + "}", []part{{key: long}}},
		{"${" + long + "K}", []part{{text: "${" + long + "K}"}}},
		{"${" + long[:100] + "." + long + "}", []part{{environment: long[:100], key: long}}},
		{"${" + long[:101] + ".A}", []part{{text: "${" + long[:101] + ".A}"}}},
	} {
		got := parseReferences(tt.value, 100)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(part{})); diff != "" {
			t.Errorf("%.60q (-want +got):\n%s", tt.value, diff)
		}
	}
	if got := parseReferences(strings.Repeat("${A}", 100), 10); len(got) > 12 {
		t.Errorf("%d parts of at most 10 and the rest", len(got))
	}
}

// Values in which many references begin and none ends: the longer the text that
// is gone over for each of them, the longer a list of such values takes.
func BenchmarkParseNoReference(b *testing.B) {
	for name, value := range map[string]string{
		"nested": strings.Repeat("${", MaxValue/2), "long": strings.Repeat("${"+strings.Repeat("a", maxKey), MaxValue/(maxKey+2)),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(MaxValue)
			for b.Loop() {
				parseReferences(value, maxReferences)
			}
		})
	}
}

// What is no reference stays to the byte, but for the escapes.
func FuzzParseReferences(f *testing.F) {
	for _, seed := range []string{"", "${A}", "$${A}", "$$${A}", "${p.A}x${", "${$${A}", "$$$${A}", "${a-b.C}\x00$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var b strings.Builder
		for _, p := range parseReferences(value, len(value)+1) {
			switch {
			case p.key == "":
				b.WriteString(p.text)
			case p.text != "" || !dotenv.ValidKey(p.key):
				t.Errorf("the part %+v", p)
			case p.environment != "":
				b.WriteString("${" + p.environment + "." + p.key + "}")
			default:
				b.WriteString("${" + p.key + "}")
			}
		}
		if want := strings.ReplaceAll(value, "$${", "${"); b.String() != want {
			t.Errorf("%q has parts of %q", value, b.String())
		}
	})
}
