package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/client"
)

func TestWhyIsAskedInFewWords(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		node string
		want client.Why
		ok   bool
	}{
		"everything":                 {nil, "", client.Why{}, true},
		"everything, and a node":     {nil, "n1", client.Why{Node: "n1"}, true},
		"the leader":                 {[]string{"leader"}, "", client.Why{About: "leader"}, true},
		"writes":                     {[]string{"writes"}, "", client.Why{About: "writes"}, true},
		"a voter":                    {[]string{"voter", "n4"}, "", client.Why{About: "voter", Node: "n4"}, true},
		"a voter by the flag":        {[]string{"voter"}, "n4", client.Why{About: "voter", Node: "n4"}, true},
		"what if a node stops":       {[]string{"stop", "n1"}, "", client.Why{About: "stop", Node: "n1"}, true},
		"no such question":           {[]string{"weather"}, "", client.Why{}, false},
		"a voter without a name":     {[]string{"voter"}, "", client.Why{}, false},
		"two names":                  {[]string{"stop", "n1"}, "n2", client.Why{}, false},
		"the leader needs no name":   {[]string{"leader", "n1"}, "", client.Why{}, false},
		"writes are not of one node": {[]string{"writes"}, "n1", client.Why{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := whyQuestion(tc.args, tc.node)
			if (err == nil) != tc.ok || tc.ok && got != tc.want {
				t.Errorf("got %+v, %v; want %+v, ok %v", got, err, tc.want, tc.ok)
			}
		})
	}
}

func TestAnswersOfSeveralNodesBecomeOne(t *testing.T) {
	ok := client.Finding{Subject: "leader", Severity: "ok", Text: "n1 leads"}
	bad := client.Finding{Subject: "leader", Severity: "failure", Text: "there is no leader"}
	cut := client.Finding{Subject: "network", Severity: "warning", Text: "n1 does not hear n3"}
	got := oneOfEach([]client.Finding{ok, cut, bad, cut, ok})
	if diff := cmp.Diff([]client.Finding{bad, cut, ok}, got); diff != "" {
		t.Error(diff)
	}
}
