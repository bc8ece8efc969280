package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

const testRestKey = "0123456789abcdef0123456789abcdef01234"

func TestDocumentsAreServedAndTheirIndexesBuilt(t *testing.T) {
	cfg := single(t)
	cfg.RestDB.Key = testRestKey
	s, _ := start(t, cfg)
	ask := func(code int, method, path, key, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", key)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text strings.Builder
		if err := resp.Write(&text); err != nil || resp.StatusCode != code {
			t.Fatalf("%s %s: %d, want %d\n%s", method, path, resp.StatusCode, code, text.String())
		}
		return text.String()
	}
	const root = "Bearer " + testRootKey
	ask(201, "POST", "/rest/items", testRestKey, `[{"a":1},{"a":2}]`)
	ask(401, "POST", "/rest/items", testRootKey, `{"a":1}`)
	ask(401, "GET", "/cluster/restdb/databases", "Bearer "+testRestKey, "")
	const indexes = "/cluster/restdb/databases/default/collections/items/indexes"
	ask(201, "POST", indexes, root, `{"paths":["a"]}`)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for !strings.Contains(ask(200, "GET", indexes, root, ""), `"state":"ready"`) {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("the index is not ready after 20 seconds")
		}
	}
	if text := ask(200, "GET", "/rest/items?explain=true&q=%7B%22a%22:1%7D", testRestKey, ""); !strings.Contains(text, `"plan":"index"`) {
		t.Errorf("the index is not used: %s", text)
	}
}

func TestCollectionsAreTheOperatorsAlone(t *testing.T) {
	cfg := single(t)
	cfg.RestDB = RestDB{Key: testRestKey, AutoCreate: "off", RateLimit: "2 per hour"}
	s, _ := start(t, cfg)
	for _, want := range []int{404, 404, 429} {
		code, text := call(t, http.DefaultClient, "POST", s.URL()+"/rest/items?apikey="+testRestKey, `{"a":1}`)
		var doc struct {
			Status  int
			Message string
		}
		if err := json.Unmarshal([]byte(text), &doc); err != nil || code != want || doc.Status != want || doc.Message == "" {
			t.Errorf("got %d %s, want %d", code, text, want)
		}
	}
}

func TestRestDBSettingsAreChecked(t *testing.T) {
	for says, r := range map[string]RestDB{
		"--restdb-key-file":    {Key: "short"},
		"without blanks":       {Key: "a key with blanks in it"},
		"--restdb-rate-limit":  {RateLimit: "often"},
		"--restdb-auto-create": {AutoCreate: "maybe"},
	} {
		cfg := single(t)
		cfg.RestDB = r
		if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), says) || r.Key != "" && strings.Contains(err.Error(), r.Key) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
