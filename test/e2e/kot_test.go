package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
)

const kotPassword = "0123456789-kot"

// newKOTCluster is newCluster with the KOT API on every node.
func newKOTCluster(t *testing.T, extra ...string) []*server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kot.password")
	if err := os.WriteFile(file, []byte(kotPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := make([]*server, 3)
	for i := range servers {
		servers[i] = newServer(t, fmt.Sprintf("n%d", i+1), 3)
		servers[i].join = servers[0].gossip
		servers[i].extra = append([]string{"--kot-password-file", file, "--log-level", "debug"}, extra...)
	}
	for _, s := range servers {
		s.start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	return servers
}

// followerOf returns a server that does not lead.
func followerOf(t testing.TB, servers []*server) *server {
	t.Helper()
	leader := leaderOf(t, servers)
	for _, s := range servers {
		if s != leader {
			return s
		}
	}
	t.Fatal("all lead")
	return nil
}

// kotClient posts forms with Basic auth and an empty user name, leaves out
// fields that are none, and takes null for missing.
type kotClient struct {
	t    *testing.T
	base string
}

// fields are pairs of name and value; a nil value is left out.
func (c kotClient) post(path string, fields ...any) (status int, body string) {
	c.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		if value, ok := fields[i+1].(string); ok {
			form.Set(fields[i].(string), value)
		}
	}
	return c.send(http.MethodPost, path, form.Encode())
}

func (c kotClient) send(method, path, body string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.SetBasicAuth("", kotPassword)
	res, err := web.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, string(text)
}

// want posts and checks the whole answer.
func (c kotClient) want(want, path string, fields ...any) {
	c.t.Helper()
	if status, body := c.post(path, fields...); status != 200 || body != want {
		c.t.Errorf("POST %s %q: got %d %q, want 200 %q", path, fields, status, body, want)
	}
}

// get returns a value, nil when it is missing.
func (c kotClient) get(db, key string, encryptionKey any) *string {
	c.t.Helper()
	status, body := c.post("/controller/get", "database_name", db, "key", key, "encryption_key", encryptionKey)
	if status != 200 {
		c.t.Fatalf("get: %d %s", status, body)
	}
	var value *string
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		c.t.Fatalf("get: %q: %v", body, err)
	}
	return value
}

func (c kotClient) object(method, path string, fields ...any) map[string]any {
	c.t.Helper()
	status, body := 0, ""
	if method == http.MethodGet {
		status, body = c.send(method, path, "")
	} else {
		status, body = c.post(path, fields...)
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(body), &object); status != 200 || err != nil {
		c.t.Fatalf("%s %s: %d %q %v", method, path, status, body, err)
	}
	return object
}

// A client as real ones are written passes a full round of every endpoint.
func TestAKOTClientWorksThroughAFollower(t *testing.T) {
	t.Parallel()
	servers := newKOTCluster(t)
	c := kotClient{t: t, base: "http://" + followerOf(t, servers).http}

	if got := c.object("GET", "/database/list"); len(got) != 0 {
		t.Errorf("a new cluster lists %v", got)
	}
	c.want("Data set successfully", "/controller/set", "database_name", "db1", "key", "k", "value", "42", "encryption_key", nil, "compress", nil)
	c.want("Data set successfully", "/controller/set", "database_name", "db1", "key", "none", "value", nil)
	c.want("Data set successfully", "/controller/set", "database_name", "db1", "key", "e", "value", "hidden", "encryption_key", "pass", "compress", "True")
	if v := c.get("db1", "k", nil); v == nil || *v != "42" {
		t.Errorf("get: %v", v)
	}
	if v := c.get("db1", "e", "pass"); v == nil || *v != "hidden" {
		t.Errorf("get with a key: %v", v)
	}
	for _, missing := range [][2]string{{"db1", "none"}, {"db1", "absent"}, {"db2", "k"}} {
		if v := c.get(missing[0], missing[1], nil); v != nil {
			t.Errorf("get %s: %q", missing, *v)
		}
	}
	if status, _ := c.post("/controller/get", "database_name", "db1", "key", "e", "encryption_key", "wrong"); status != 500 {
		t.Errorf("a wrong key: %d", status)
	}
	c.want("{\"k\":\"42\"}\n", "/controller/get_all", "database_name", "db1", "encryption_key", nil)
	c.want("{\"e\":\"hidden\"}\n", "/controller/get_all", "database_name", "db1", "encryption_key", "pass")
	c.want("Data deleted successfully", "/controller/delete", "database_name", "db1", "key", "k")

	for level, sentence := range map[string]string{"debug": "Debug", "info": "Info", "warning": "Warning", "error": "Error", "exception": "Exception"} {
		c.want(sentence+" message logged successfully", "/controller/"+level, "message", "text of "+level)
		for key, record := range c.object("POST", "/controller/get_all", "database_name", level) {
			if list, ok := record.([]any); !ok || len(list) != 2 || list[1] != "text of "+level || !strings.HasPrefix(key, level+"_writer-") {
				t.Errorf("%s: %s reads back as %v", level, key, record)
			}
		}
	}
	c.want("true\n", "/execute", "query", "SET db1 x y")
	c.want("\"y\"\n", "/execute", "query", "GET db1 x")
	if status, body := c.send("GET", "/informations", ""); status != 200 || !strings.Contains(body, `"database_name_lenght":null`) {
		t.Errorf("informations: %d %s", status, body)
	}

	c.want("Database renamed successfully", "/database/rename", "database_name", "db1", "new_database_name", "db3")
	if v := c.get("db3", "e", "pass"); v == nil || *v != "hidden" {
		t.Errorf("get after rename: %v", v)
	}
	c.want("Database popped successfully", "/database/pop", "database_name", "db3")
	c.want("{}\n", "/controller/get_all", "database_name", "db3")
	c.want("Database deleted successfully", "/database/delete", "database_name", "db3")
	list := c.object("GET", "/database/list")
	if _, listed := list["db3"]; listed || len(list) != 6 { // db2 and five of the log
		t.Errorf("lists %v", list)
	}
	if status, body := c.send("GET", "/database/pop_all", ""); status != 200 || body != "All database popped successfully" {
		t.Errorf("pop_all: %d %s", status, body)
	}
	c.want("All database deleted successfully", "/database/delete_all")
	if got := c.object("GET", "/database/list"); len(got) != 0 {
		t.Errorf("after delete_all: %v", got)
	}
}

func TestNoSecretOfKOTReachesADisk(t *testing.T) {
	t.Parallel()
	servers := newKOTCluster(t)
	const key, plain = "encryption-key-to-look-for", "plaintext-to-look-for"
	for i, s := range servers {
		c := kotClient{t: t, base: "http://" + s.http}
		for j := range 50 {
			c.want("Data set successfully", "/controller/set", "database_name", "db", "key", fmt.Sprint(i, j), "value", plain, "encryption_key", key)
		}
		c.want("Data set successfully", "/controller/set", "database_name", "db", "key", "long", "value", strings.Repeat(plain, 50_000), "encryption_key", key)
		c.want("true\n", "/execute", "query", "SET db word "+plain+" "+key)
		c.post("/controller/get", "database_name", "db", "key", "word", "encryption_key", "x"+key)
		c.post("/controller/get", "database_name", plain, "encryption_key", key) // a field is missing
		c.post("/execute", "query", "SETT db word "+plain+" "+key)
		if v := c.get("db", "word", key); v == nil || *v != plain {
			t.Errorf("get: %v", v)
		}
	}
	for _, s := range servers {
		s.terminate()
		if strings.Contains(s.log.String(), key) || strings.Contains(s.log.String(), plain) || strings.Contains(s.log.String(), kotPassword) {
			t.Errorf("the log of %s holds a secret", s.id)
		}
		files := 0
		err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			p, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for _, secret := range []string{key, plain, kotPassword} {
				if bytes.Contains(p, []byte(secret)) {
					t.Errorf("%s holds %q", path, secret)
				}
			}
			return nil
		})
		if err != nil || files < 5 {
			t.Errorf("looked into %d files, %v", files, err)
		}
	}
}

func TestTheListenerOfKOTServesNothingElse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kot.password")
	if err := os.WriteFile(file, []byte(kotPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, "n1", 1)
	addr := freeport.Addr(t)
	s.extra = []string{"--kot-password-file", file, "--kot-addr", addr, "--kot-restricted", "set, get", "--kot-rate-limit", "5 per hour, 1 per minute"}
	s.start()
	s.waitReady(patience)
	c := kotClient{t: t, base: "http://" + addr}
	for _, path := range []string{"/metrics", "/cluster/status", "/readyz", "/bucket/key", "/", "/controller/nothing"} {
		if status, _ := c.send("GET", path, ""); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, body := c.post("/controller/set", "database_name", "d", "key", "k", "value", "v"); status != 403 || len(body) != 75 {
		t.Errorf("restricted: %d %q", status, body)
	}
	if status, body := c.post("/execute", "query", "SET d k v"); status != 403 || len(body) != 75 {
		t.Errorf("restricted by way of execute: %d %q", status, body)
	}
	if status, _ := c.post("/controller/get_all", "database_name", "d"); status != 200 {
		t.Errorf("the first in a minute: %d", status)
	}
	status, body := c.post("/controller/get_all", "database_name", "d")
	if status != 429 || !strings.Contains(body, "<p>1 per 1 minute</p>") {
		t.Errorf("the second in a minute: %d %q", status, body)
	}
	// The counters are the node's, whatever the port.
	if status, _ := (kotClient{t: t, base: "http://" + s.http}).post("/controller/get_all", "database_name", "d"); status != 429 {
		t.Errorf("the third, through the other port: %d", status)
	}
}

func TestRenamingALargeDatabase(t *testing.T) {
	beside(t)
	servers := newKOTCluster(t)
	c := kotClient{t: t, base: "http://" + followerOf(t, servers).http}
	keys := size(2_000, 1_000_000)
	var wg sync.WaitGroup
	const lanes = 64
	for lane := range lanes {
		wg.Go(func() {
			for i := lane; i < keys; i += lanes {
				if status, body := c.post("/controller/set", "database_name", "large", "key", fmt.Sprint(i), "value", "value"); status != 200 {
					t.Errorf("set: %d %s", status, body)
					return
				}
			}
		})
	}
	wg.Wait()
	began := time.Now()
	c.want("Database renamed successfully", "/database/rename", "database_name", "large", "new_database_name", "renamed")
	t.Logf("a database of %d keys renamed in %v", keys, time.Since(began))
	if n := len(c.object("POST", "/controller/get_all", "database_name", "renamed")); n != keys {
		t.Errorf("%d keys after the rename, want %d", n, keys)
	}
	began = time.Now()
	c.want("Database popped successfully", "/database/pop", "database_name", "renamed")
	t.Logf("and emptied in %v", time.Since(began))
	c.want("{}\n", "/controller/get_all", "database_name", "renamed")
}
