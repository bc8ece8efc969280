package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/vault"
	"github.com/prometheus/client_golang/prometheus"
)

// hunted is a node's APIs with everything that can be logged, and the secrets
// and data that must not be.
type hunted struct {
	t       *testing.T
	h       *APIs
	log     bytes.Buffer
	secrets map[string]string // by name
}

const (
	huntedRoot = "root-key-that-is-hunted"
	huntedRest = "restdb-key-that-is-hunted-0123"
	huntedKOT  = "kot-password-that-is-hunted"
)

func newHunted(t *testing.T) *hunted {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	ring, err := seal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	root := auth.NewRootKey(huntedRoot)
	buckets, err := bucket.New(bucket.Config{Root: root, Keyring: ring})
	if err != nil {
		t.Fatal(err)
	}
	store := kvtest.New(t)
	readings := vault.NewRecorder(store.DB)
	t.Cleanup(readings.Close)
	h := &hunted{t: t, secrets: map[string]string{"the root key": huntedRoot, "RestDB's key": huntedRest, "KOT's password": huntedKOT}}
	h.h = New(Config{
		Cluster: fakeCluster{}, DB: store.DB, Buckets: buckets, Root: root, Feed: feed.New(store),
		Collections: collection.New(collection.Config{Keyring: ring, DefaultKey: auth.NewRootKey(huntedRest)}),
		Vault:       vault.New(vault.Config{Keyring: ring}), Readings: readings, Registry: prometheus.NewRegistry(),
		KOT:    KOT{Password: auth.NewRootKey(huntedKOT)},
		Access: web.Access{All: true, Slow: time.Nanosecond},
		Log:    slog.New(slog.NewJSONHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	return h
}

// do sends a request; header is "Name: value" or "".
func (h *hunted) do(want int, method, target, header, body string) string {
	h.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.h.ServeHTTP(w, r)
	if w.Code != want {
		h.t.Errorf("%s %s: %d %s, want %d", method, target, w.Code, w.Body, want)
	}
	return w.Body.String()
}

// field is a text in an answer, which from now on is a secret.
func (h *hunted) field(name, answer string, path ...string) string {
	h.t.Helper()
	var doc any
	if err := json.Unmarshal([]byte(answer), &doc); err != nil {
		h.t.Fatalf("%s: %v in %s", name, err, answer)
	}
	for _, p := range path {
		m, _ := doc.(map[string]any)
		doc = m[p]
	}
	text, _ := doc.(string)
	if text == "" {
		h.t.Fatalf("%s: there is no %v in %s", name, path, answer)
	}
	h.secrets[name] = text
	return text
}

func TestTheLogHoldsNoSecretsAndNoData(t *testing.T) {
	h := newHunted(t)
	for name, text := range map[string]string{
		"a bucket's secret": "bucket-secret-hunted", "a key": "key-name-hunted", "a value": "value-hunted", "a password": "Passw0rd-hunted-7",
		"a collection": "collectionhunted", "a variable": "VARIABLE_HUNTED", "a refused credential": "refused-hunted", "a database": "database-hunted",
	} {
		h.secrets[name] = text
	}
	id := h.do(200, "POST", "/", "", "secret_key=bucket-secret-hunted&signing_key=bucket-secret-hunted")
	h.secrets["a bucket's id"] = id
	const secret = "Authorization: Bearer bucket-secret-hunted"
	h.do(200, "PUT", "/"+id+"/key-name-hunted", secret, "value-hunted")
	h.do(200, "GET", "/"+id+"/key-name-hunted?key=bucket-secret-hunted", "", "")
	answer := h.do(200, "POST", "/"+id+"/tokens/", secret, "permissions=read&prefix=key")
	token := strings.TrimPrefix(strings.TrimSpace(answer), "access_token=")
	h.secrets["a bucket's token"] = token
	h.do(200, "GET", "/"+id+"/key-name-hunted?access_token="+url.QueryEscape(token), "", "")
	h.do(401, "GET", "/"+id+"/?key=refused-hunted", "", "")
	h.do(404, "GET", "/"+id+"x/key-name-hunted", "Authorization: Bearer refused-hunted", "")

	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(":"+huntedKOT))
	h.do(200, "POST", "/controller/set", basic, "database_name=database-hunted&key=key-name-hunted&value=value-hunted")
	h.do(401, "POST", "/controller/get", "Authorization: Basic OnJlZnVzZWQtaHVudGVk", "database_name=database-hunted&key=key-name-hunted")

	h.do(201, "POST", "/rest/collectionhunted", "x-apikey: "+huntedRest, `{"name":"value-hunted"}`)
	h.do(200, "GET", "/rest/collectionhunted?apikey="+huntedRest+"&q="+url.QueryEscape(`{"name":"value-hunted"}`), "", "")
	h.do(401, "GET", "/rest/collectionhunted/refused-hunted?apikey=refused-hunted", "", "")

	account := `{"email":"hunted@example.com","username":"ada","password":"Passw0rd-hunted-7"}`
	login := h.do(201, "POST", "/api/auth/register/", "", account)
	user := h.field("a user's token", login, "token")
	h.do(200, "GET", "/api/auth/profile/", "Authorization: Token "+user, "")
	h.do(401, "GET", "/api/variables/VARIABLE_HUNTED/", "Authorization: Token refused-hunted", "")
	h.do(401, "POST", "/api/auth/login/", "", `{"email":"hunted@example.com","password":"refused-hunted"}`)

	h.do(200, "GET", "/cluster/status", "Authorization: Bearer "+huntedRoot, "")
	h.do(401, "GET", "/cluster/status", "Authorization: Bearer refused-hunted", "")
	h.do(404, "GET", "/cluster/restdb/databases/database-hunted/keys", "Authorization: Bearer "+huntedRoot, "")

	text := h.log.String()
	for name, secret := range h.secrets {
		for form, look := range map[string]string{"": secret, ", escaped": url.QueryEscape(secret), ", in base64": base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text, look) {
				t.Errorf("the log holds %s%s", name, form)
			}
		}
	}
	if lines := strings.Count(text, "slow request"); lines != 19 {
		t.Errorf("%d of 19 requests are in the log", lines)
	}
	for _, want := range []string{`"path":"/{}/{}"`, `"path":"/controller/set"`, `"path":"/rest/{}"`, `"path":"/api/auth/register/"`, `"path":"/cluster/restdb/databases/{}/keys"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
