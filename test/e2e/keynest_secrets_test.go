package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// secrets are drawn texts that must stay secret, and the hunt for them.
type secrets struct {
	hunt
	t       testing.TB
	servers []*server
}

// draw returns a new secret.
func (x *secrets) draw(name string) string {
	text := rand.Text()
	x.add(name, text)
	return text
}

// token makes a secret of a token that a server gave.
func (x *secrets) token(name, token string) {
	x.t.Helper()
	digits, err := hex.DecodeString(token)
	if err != nil || len(digits) != 20 {
		x.t.Fatalf("%s: a token of %d characters", name, len(token))
	}
	x.add(name, token)
	x.add(name+", its bytes", string(digits))
}

// refused sends what must be refused, without quoting what it holds.
func (x *secrets) refused(status int, method, path, body string, header map[string]string) {
	x.t.Helper()
	code, answer, err := x.servers[1].do(method, path, body, header)
	if err != nil || code != status {
		x.t.Errorf("%s %s with a fault: %d %s %v, want %d", method, path, code, answer, err, status)
	}
	x.in("a refusal of "+path, []byte(answer))
}

// upload is a form with one file.
func upload(t testing.TB, name, content string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// Values, passwords, tokens and keys that went in by every way there is are
// nowhere to be found beside the memory of the processes.
func TestNoSecretOfKeyNestReachesADisk(t *testing.T) {
	t.Parallel()
	servers := newKeyNestCluster(t, 3, "--log-level", "debug")
	x := &secrets{t: t, servers: servers}
	x.add("root key", rootKey)
	marker := x.draw("marker")
	bucket := servers[0].must("POST", "/", "")
	servers[1].must("PUT", "/"+bucket+"/marker", marker) // is in clear, for the hunt to find

	ada := x.account()
	x.variables(ada)
	x.webhooks(ada)
	x.services(ada)
	x.refusals(ada)
	x.otherAPIs()
	places := []string{"raft", "state, opened"}
	if *full { // it takes half a minute
		snapshot(t, servers, bucket)
		places = append(places, "snapshots, opened")
	}

	for i, s := range servers {
		x.in(s.id+" metrics", []byte(s.must("GET", "/metrics", "")))
		if err := x.process(s); err != nil {
			t.Error(err)
		}
		if i == 1 {
			x.breakOff(s, ada)
		} else {
			s.terminate()
		}
	}
	for i, s := range servers {
		x.in(s.id+" log", []byte(s.log.String()))
		if err := x.files(s.id+" temporary files", s.temp()); err != nil {
			t.Error(err)
		}
		n, err := x.node(s)
		if err != nil || *full && n == 0 {
			t.Errorf("%s has %d snapshots, %v", s.id, n, err)
		}
		for _, place := range places {
			// A node that was killed may not have written its state down yet.
			sure := *full || i != 1 || place == "raft"
			if where := "marker in " + s.id + " " + place; sure && !x.found[where] {
				t.Errorf("no %s, though it was stored in clear", where)
			} else {
				delete(x.found, where)
			}
			delete(x.found, "marker in "+s.id+" state") // unless compressed
			delete(x.found, "marker in "+s.id+" snapshots")
		}
	}
	for _, where := range slices.Sorted(maps.Keys(x.found)) {
		t.Errorf("found: %s", where)
	}
	t.Logf("looked into %d MiB", x.looked>>20)
}

// account makes an account and gives it other passwords and tokens.
func (x *secrets) account() *account {
	s, password, changed := x.servers[2], x.draw("password"), x.draw("changed password")
	a := &account{t: x.t, email: "ada@example.com"}
	r := a.want(s, 201, "POST", "/api/auth/register/", fields{
		"username": "ada", "email": a.email, "password": password, "confirm_password": password,
	})
	a.token = r.string("token")
	x.token("token", a.token)
	r = a.want(s, 200, "POST", "/api/auth/password/", fields{
		"current_password": password, "new_password": changed, "confirm_new_password": changed,
	})
	a.token = r.string("token")
	x.token("token after the change", a.token)
	a.want(s, 200, "POST", "/api/auth/logout/", nil)
	a.token = ""
	a.token = a.want(x.servers[0], 200, "POST", "/api/auth/login/", fields{"email": a.email, "password": changed}).string("token")
	x.token("token of a login", a.token)
	for _, body := range []fields{
		{"email": a.email, "password": x.draw("wrong password")},
		{"email": "nobody@example.com", "password": x.draw("nobody's password")},
		{"email": a.email, "password": strings.Repeat(x.draw("long password"), 20)},
	} {
		(&account{t: x.t}).want(s, 401, "POST", "/api/auth/login/", body)
	}
	return a
}

// variables brings values in by all ways, and reads them.
func (x *secrets) variables(a *account) {
	a.t.Helper()
	_, environment := a.environment(x.servers[0], "acme")
	organization, _ := a.environment(x.servers[0], "other")
	at := fmt.Sprintf("/api/environments/%d/", environment)
	id := a.want(x.servers[0], 201, "POST", "/api/variables/", fields{
		"key": "MADE", "value": x.draw("value"), "environment": environment,
	}).number("id")
	one := fmt.Sprintf("/api/variables/%d/", id)
	a.want(x.servers[1], 200, "PATCH", one, fields{"value": x.draw("patched value")})
	a.want(x.servers[2], 200, "PUT", one, fields{"key": "PUT", "value": x.draw("put value"), "environment": environment})
	for format, data := range map[string]string{
		"env":  "A=" + x.draw("value of a file") + "\nexport B='" + x.draw("quoted value") + "'\n",
		"json": fmt.Sprintf(`{"C":%q,"D":{"in":[%q]}}`, x.draw("value of JSON"), x.draw("value inside JSON")),
		"yaml": "E: " + x.draw("value of YAML") + "\n",
	} {
		a.want(x.servers[1], 200, "POST", at+"import/", fields{"data": data, "format": format})
	}
	body, contentType := upload(a.t, "some.env", dotenv(900, x.draw("value of an upload")+strings.Repeat("x", 5_000)))
	code, answer, err := x.servers[2].do("POST", at+"import/", body,
		map[string]string{"Authorization": "token " + a.token, "Content-Type": contentType})
	if err != nil || code != 200 {
		a.t.Fatalf("upload: %d %s %v", code, answer, err)
	}
	project := a.want(x.servers[0], 200, "GET", at, nil).number("project")
	for i, path := range []string{
		one, at + "variables/", "/api/variables/", at + "export/", at + "export/?style=shell", at + "export/?format=json", at + "export/?format=yaml",
	} {
		a.want(x.servers[i%3], 200, "GET", path, nil)
	}
	a.want(x.servers[1], 200, "PATCH", fmt.Sprintf("/api/projects/%d/", project), fields{"organization": organization})
	if n := len(a.exported(x.servers[2], environment)); n != 906 {
		a.t.Errorf("%d variables after the move to another organization", n)
	}
	x.in("the audit log", []byte(a.want(x.servers[0], 200, "GET", "/api/audit-logs/export/?format=jsonl", nil).text))
}

// webhooks makes webhooks with secrets in their URLs, which are tried in vain.
func (x *secrets) webhooks(a *account) {
	a.t.Helper()
	organization, _ := a.environment(x.servers[0], "hooked")
	url := "https://hooks.invalid/" + x.draw("path of a webhook") + "?key=" + x.draw("query of a webhook")
	made := a.want(x.servers[1], 201, "POST", "/api/webhooks/", fields{"url": url, "events": []string{"*"}, "organization": organization})
	x.add("secret of a webhook", made.string("secret"))
	hook := "/api/webhooks/" + made.string("id") + "/"
	a.want(x.servers[2], 200, "PATCH", hook, fields{"secret": x.draw("own secret of a webhook")})
	a.want(x.servers[0], 202, "POST", hook+"test/", nil)
	var log answer
	x.servers[0].waitFor("a try to be logged", patience, func() error {
		if log = a.want(x.servers[0], 200, "GET", hook+"deliveries/1/", nil); log.number("attempts") == 0 {
			return fmt.Errorf("%s", log.text)
		}
		return nil
	})
	x.in("the log of a webhook", []byte(log.text))
	x.in("the audit log, with webhooks", []byte(a.want(x.servers[0], 200, "GET", "/api/audit-logs/export/?format=jsonl", nil).text))
}

// services makes service tokens, one to be repeated, and has them write, promote
// and take back what is secret.
func (x *secrets) services(a *account) {
	a.t.Helper()
	_, environment := a.environment(x.servers[0], "served")
	project := a.want(x.servers[0], 200, "GET", fmt.Sprintf("/api/environments/%d/", environment), nil).number("project")
	for _, where := range []fields{{"project": project}, {"environment": environment}} {
		where["name"], where["read_only"] = "ci", false
		body, err := json.Marshal(where)
		if err != nil {
			a.t.Fatal(err)
		}
		code, answer, err := x.servers[1].do("POST", "/api/service-tokens/", string(body), map[string]string{
			"Authorization": "Token " + a.token, "Content-Type": "application/json", "Idempotency-Key": "service-token-" + rand.Text(),
		})
		var made struct{ Token string }
		if err != nil || code != 201 || json.Unmarshal([]byte(answer), &made) != nil {
			a.t.Fatalf("a service token: %d %v", code, err)
		}
		x.token("service token", strings.TrimPrefix(made.Token, "svc_"))
		ci := &account{t: a.t, token: made.Token}
		id := ci.want(x.servers[2], 201, "POST", "/api/variables/", fields{
			"key": "K_" + rand.Text(), "value": x.draw("value of a service token"), "environment": environment,
		}).number("id")
		one := fmt.Sprintf("/api/variables/%d/", id)
		ci.want(x.servers[0], 200, "PATCH", one, fields{"value": x.draw("later value") + "${MISSING}"})
		ci.want(x.servers[1], 200, "GET", one+"?resolve=true", nil)
		ci.want(x.servers[1], 200, "POST", one+"rollback/", fields{"version": 1})
	}
	_, other := a.environment(x.servers[2], "promoted")
	a.want(x.servers[2], 200, "POST", fmt.Sprintf("/api/environments/%d/promote/", environment), fields{"to": other})
	a.want(x.servers[0], 200, "GET", fmt.Sprintf("/api/environments/%d/diff/?with=%d&values=true", environment, other), nil)
}

// refusals sends secrets in requests that have some fault.
func (x *secrets) refusals(a *account) {
	header := map[string]string{"Authorization": "Token " + a.token, "Content-Type": "application/json"}
	_, environment := a.environment(x.servers[1], "refusals")
	at := fmt.Sprintf("/api/environments/%d/import/", environment)
	a.want(x.servers[0], 201, "POST", "/api/variables/", fields{"key": "TAKEN", "environment": environment})
	x.refused(400, "POST", "/api/variables/", `{"key":"K","value":"`+x.draw("value in bad JSON"), header)
	x.refused(400, "POST", "/api/variables/", fmt.Sprintf(`{"key":"k k","environment":%d,"value":%q}`, environment, x.draw("value of a bad key")), header)
	x.refused(409, "POST", "/api/variables/", fmt.Sprintf(`{"key":"TAKEN","environment":%d,"value":%q}`, environment, x.draw("value of a taken key")), header)
	x.refused(400, "POST", "/api/variables/", fmt.Sprintf(`{"key":"K","environment":%d,"value":[%q]}`, environment, x.draw("value in a list")), header)
	x.refused(400, "POST", "/api/auth/register/", fmt.Sprintf(`{"username":"x y","email":"-","password":%q}`, x.draw("refused password")),
		map[string]string{"Content-Type": "application/json"})
	x.refused(400, "POST", at, fmt.Sprintf(`{"format":"json","data":"{\"a b\": \"%s\"}"}`, x.draw("value of an import with a bad key")), header)
	x.refused(400, "POST", at, fmt.Sprintf(`{"format":"yaml","data":"a: [%s"}`, x.draw("value in bad YAML")), header)
	x.refused(401, "GET", "/api/projects/", "", map[string]string{"Authorization": "Token " + x.draw("wrong token")})
	x.refused(401, "GET", "/api/projects/", "", map[string]string{"Authorization": "Token a " + x.draw("token with a blank")})
	header["Content-Type"] = "text/plain"
	x.refused(415, "POST", at, x.draw("value of another type"), header)

	lines := a.want(x.servers[1], 200, "POST", at, fields{"data": "no line " + x.draw("value without a key") +
		"\nQ=\"" + x.draw("value in an open quote") + "\nR='r' " + x.draw("value behind a quote") + "\n"})
	if lines.number("summary", "failed") != 3 {
		x.t.Errorf("lines with faults: %s", lines.text)
	}
	x.in("failed_imports", []byte(lines.text))
}

// otherAPIs gives secrets to the other APIs that seal some.
func (x *secrets) otherAPIs() {
	x.t.Helper()
	s := x.servers[2]
	code, bucket, err := s.do("POST", "/", fmt.Sprintf(`{"secret_key":%q,"signing_key":%q}`, x.draw("secret key"), x.draw("signing key")),
		map[string]string{"Content-Type": "application/json"})
	if err != nil || code != 200 {
		x.t.Fatalf("a bucket with a signing key: %d %s %v", code, bucket, err)
	}
	out := s.covey(x.t, "", "restdb", "webhook", "add", "https://hooks.example.com/"+x.draw("URL of a webhook"), "--collections", "orders")
	secret, _, _ := strings.Cut(out, "\t")
	x.add("secret of a webhook", secret)
	x.add("secret of a webhook, the rest", strings.TrimPrefix(secret, "whsec_"))
	s.covey(x.t, x.draw("client secret"), "restdb", "settings", "set", "jwt.client_secret", "--file", "-")
}

// snapshot makes the log grow until every node has made a snapshot.
func snapshot(t *testing.T, servers []*server, bucket string) {
	t.Helper()
	filler := strings.Repeat("filler ", 15<<10/7)
	for n := range 9 { // 15 MB each: a node makes one after 128 MiB
		var b strings.Builder
		b.WriteString(`{"txn":[`)
		for i := range 1000 {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"set":"filler-%d","value":%q}`, i, filler)
		}
		b.WriteString(`]}`)
		if code, body, err := servers[n%3].do("POST", "/"+bucket, b.String(), nil); err != nil || code != 200 {
			t.Fatalf("fill: %d %s %v", code, body, err)
		}
	}
	for _, s := range servers {
		s.waitFor("done with a snapshot", patience, func() error {
			made, err := filepath.Glob(filepath.Join(s.dir, "snapshots", "*", "meta.json"))
			if err == nil && len(made) == 0 {
				err = os.ErrNotExist
			}
			return err
		})
	}
}

// breakOff kills a node in the middle of an upload.
func (x *secrets) breakOff(s *server, a *account) {
	x.t.Helper()
	body, contentType := upload(x.t, "large.env", dotenv(1_000, strings.Repeat(x.draw("value of a broken upload")+"-", 300)))
	c, err := net.Dial("tcp", s.http)
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	request := fmt.Sprintf("POST /api/environments/1/import/ HTTP/1.1\r\nHost: %s\r\nAuthorization: Token %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		s.http, a.token, contentType, len(body))
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		x.t.Fatal(err)
	}
	if _, err := c.Write([]byte(request + body[:len(body)-1000])); err != nil {
		x.t.Fatalf("upload: %v", err)
	}
	s.kill()
}
