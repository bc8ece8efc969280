package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// webKey is what a key for pages looks like.
var webKey = regexp.MustCompile(`\b[0-9a-f]{24}\b`)

// The client for JavaScript that the servers hand out does all that it promises
// through a follower, realtime, media and errors included; and every node
// describes what came of it.
func TestTheScriptWorksThroughAFollower(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node")
	}
	servers := newRestCluster(t, 3)
	s := followerOf(t, servers)
	schema := filepath.Join(t.TempDir(), "items.json")
	if err := os.WriteFile(schema, []byte(`{"fields":[
		{"name":"name","fieldtype":"text","required":true},
		{"name":"letters","fieldtype":"collection","collection":"letters","relation":"child"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, answer, err := s.rest("POST", "/rest/letters", `[]`); err != nil || code != 201 {
		t.Fatalf("letters: %d %s (%v)", code, answer, err)
	}
	s.covey(t, "", "collection", "schema", "set", "items", schema)
	key := webKey.FindString(s.covey(t, "", "restdb", "key", "create", "--web", "--path", "**", "--methods", "GET,POST,PUT,PATCH,DELETE",
		"--origin", "*", "--realtime", "POST:items,PUT:items,DELETE:items", "--channels", "news"))

	script, err := filepath.Abs("../../httpapi/restdb/testdata/client.js")
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(node, "--experimental-eventsource", "--no-warnings", script)
	run.Env = append(os.Environ(), "COVEY_URL=http://"+s.http, "COVEY_KEY="+key)
	var says bytes.Buffer
	run.Stdout, run.Stderr = &says, &says
	if err := run.Run(); err != nil || !strings.HasSuffix(says.String(), "all is well\n") {
		t.Fatalf("%v\n%s", err, says.String())
	}

	for _, s := range servers {
		code, answer, err := s.rest("GET", "/rest/_meta", "")
		var all struct {
			Collections []struct {
				Name  string
				Count int
			}
		}
		if err != nil || code != 200 || json.Unmarshal([]byte(answer), &all) != nil {
			t.Fatalf("_meta: %d %s (%v)", code, answer, err)
		}
		var names []string
		for _, c := range all.Collections {
			names = append(names, c.Name)
			if c.Name == "letters" && c.Count != 1 {
				t.Errorf("%d letters, want 1", c.Count)
			}
		}
		want := []string{"email_inbound", "email_outbound", "email_unsubscribed", "items", "letters", "system_jobs", "system_log", "users"}
		if !slices.Equal(names, want) {
			t.Errorf("collections %v, want %v", names, want)
		}
		if code, answer, err := s.rest("GET", "/rest/_swagger.json", ""); err != nil || code != 200 || !strings.Contains(answer, `"/rest/items/{id}/letters"`) {
			t.Errorf("_swagger.json: %d %.200s (%v)", code, answer, err)
		}
	}
}
