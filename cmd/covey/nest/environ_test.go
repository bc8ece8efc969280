package nest

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestVariablesGetIntoTheEnvironment(t *testing.T) {
	own := []string{"PATH=/bin", "A=own", "KEYNEST_TOKEN=" + secret, "EMPTY="}
	v := Variables{"A": "new", "B": "x=y\n z", "lower": ""}
	for _, tt := range []struct {
		name string
		i    Injection
		want []string
	}{
		{"all", Injection{}, []string{"PATH=/bin", "EMPTY=", "A=new", "B=x=y\n z", "lower="}},
		{"the caller wins", Injection{Keep: true}, []string{"PATH=/bin", "A=own", "EMPTY=", "B=x=y\n z", "lower="}},
		{"some", Injection{Only: []string{"B", "B"}}, []string{"PATH=/bin", "A=own", "EMPTY=", "B=x=y\n z"}},
		{"with a prefix", Injection{Only: []string{"A"}, Prefix: "TF_"}, []string{"PATH=/bin", "A=own", "EMPTY=", "TF_A=new"}},
		{"with the token", Injection{Only: []string{"lower"}, KeepToken: true}, append(slices.Clone(own), "lower=")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.i.Environ(own, v)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestWhatNoEnvironmentCanHoldIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name string
		i    Injection
		v    Variables
		says []string
	}{
		{"bad names", Injection{}, Variables{"1A": secret, "B-C": secret, "OK": secret, "": secret, "X=Y": secret}, []string{`""`, `"1A"`, `"B-C"`, `"X=Y"`}},
		{"a bad prefix", Injection{Prefix: "9"}, Variables{"A": secret}, []string{`"9A"`}},
		{"a NUL", Injection{}, Variables{"A": secret + "\x00", "B": secret}, []string{"of A,", "NUL"}},
		{"not there", Injection{Only: []string{"A", "Z", "Y"}}, Variables{"A": secret}, []string{"Z, Y"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.i.Environ(nil, tt.v)
			if err == nil || got != nil {
				t.Fatalf("%q, %v", got, err)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "OK") {
					t.Errorf("%v; want %q", err, want)
				}
			}
		})
	}
}

// Whatever was in the environment, each name of a variable is there once.
func TestEachVariableIsThereOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-C_][A-C0-9_]{0,2}`)
		own := rapid.SliceOf(rapid.Custom(func(t *rapid.T) string { return name.Draw(t, "name") + "=own" })).Draw(t, "own")
		v := Variables{}
		for _, n := range rapid.SliceOf(name).Draw(t, "variables") {
			v[n] = "new"
		}
		got, err := Injection{}.Environ(own, v)
		if err != nil {
			t.Fatal(err)
		}
		for n := range v {
			var found []string
			for _, kv := range got {
				if strings.HasPrefix(kv, n+"=") {
					found = append(found, kv)
				}
			}
			if len(found) != 1 || found[0] != n+"=new" {
				t.Fatalf("%s is there as %q", n, found)
			}
		}
	})
}

func TestAnExportThatIsNoneShowsNothing(t *testing.T) {
	for _, bad := range []string{"", secret, `{"A":"` + secret, `{"A":1,"` + secret + `":2}`, `["` + secret + `"]`} {
		if v, err := ParseVariables([]byte(bad)); err == nil || v != nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: %v, %v", bad, v, err)
		}
	}
	v, err := ParseVariables([]byte(`{"A":"1","B":""}`))
	if diff := cmp.Diff(Variables{"A": "1", "B": ""}, v); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
