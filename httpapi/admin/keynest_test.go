package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

const (
	annsPassword = "fox trot 42 hedges"
	ann          = `{"username":"ann","email":"Ann@Example.com","password":"` + annsPassword + `","first_name":"Ann"}`
)

func newVaultWorld(t *testing.T, change ...func(*vault.Config)) *world {
	w := newWorld(t)
	config := vault.Config{Keyring: keyring(t), PasswordCost: seal.Cost{Passes: 1, KiB: 64}}
	for _, c := range change {
		c(&config)
	}
	w.config.Vault = vault.New(config)
	return w
}

// keynest sends a request of the operator's about KeyNest.
func (w *world) keynest(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	return w.send(method, keynestBase+path, body, headers...)
}

// needs checks the status and returns the body without its newline.
func (w *world) needs(code int, method, path, body string, headers ...string) string {
	w.t.Helper()
	rec := w.keynest(method, path, body, headers...)
	if rec.Code != code {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, rec.Code, rec.Body, code)
	}
	return strings.TrimSuffix(rec.Body.String(), "\n")
}

// login is what the KeyNest API does; it returns the kind of what went wrong.
func (w *world) login(email, password string) error {
	w.t.Helper()
	var c vault.Candidate
	if _, err := w.config.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		c, err = w.config.Vault.FindUser(tx, email)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.config.Vault.Verify(w.t.Context(), c, password); err != nil {
		return err
	}
	_, err := w.config.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		_, _, err := w.config.Vault.Login(tx, c, vault.Client{Draw: vault.NewDraw()})
		return err
	})
	return err
}

func TestKeyNestIsManagedByTheOperatorOnly(t *testing.T) {
	w := newVaultWorld(t)
	paths := keynestPaths()
	paths["/audit/export"] = verbs{"GET": nil}
	paths["/audit/heads"] = verbs{"GET": nil}
	for path, verbs := range paths {
		path = keynestBase + strings.ReplaceAll(path, "{user}", "ann@example.com")
		for method := range verbs {
			w.failed(401, "unauthenticated", method, path)
			w.failed(401, "unauthenticated", method, path, "Authorization: Bearer wrong")
		}
		w.failed(405, "invalid", "TRACE", path, asRoot)
	}
	w.config.Vault = nil
	for path, verbs := range paths {
		for method := range verbs {
			w.failed(404, "not_found", method, keynestBase+strings.ReplaceAll(path, "{user}", "a@b.example"), asRoot)
		}
	}
	w.config.Root = nil
	w.failed(403, "forbidden", "GET", keynestBase+"/audit/heads", asRoot)
}

func TestUsersAreCreatedShownAndDisabled(t *testing.T) {
	w := newVaultWorld(t, func(c *vault.Config) { c.ClosedRegistration = true })
	made := w.needs(201, "POST", "/users", ann)
	want := `{"id":1,"email":"ann@example.com","username":"ann","first_name":"Ann","last_name":"","active":true,"joined":"2023-11-14T22:13:20Z",` +
		`"organizations":[{"id":1,"name":"Ann's Organization","role":"admin","joined":"2023-11-14T22:13:20Z"}]}`
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	if got := w.needs(200, "GET", "/users/ANN@example.com", ""); got != made {
		t.Errorf("shown: %s", got)
	}
	if err := w.login("ann@example.com", annsPassword); err != nil {
		t.Errorf("login: %v", err)
	}
	if got := w.needs(200, "GET", "/users/ann@example.com?consistency=stale", ""); !strings.Contains(got, `"last_login":"2023-11-14T22:13:20Z"`) {
		t.Errorf("after a login: %s", got)
	}
	for range 2 {
		w.needs(204, "POST", "/users/ann@example.com/disable", "")
	}
	if err := w.login("ann@example.com", annsPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("login to a disabled account: %v", err)
	}
	if got := w.needs(200, "GET", "/users/ann@example.com", ""); !strings.Contains(got, `"active":false`) {
		t.Errorf("disabled: %s", got)
	}
	w.needs(204, "POST", "/users/ann@example.com/enable", "")
	if err := w.login("ann@example.com", annsPassword); err != nil {
		t.Errorf("login after enable: %v", err)
	}
	slash := "a/b%c@example.com"
	w.needs(201, "POST", "/users", `{"username":"bob","email":"`+slash+`","password":"`+annsPassword+`"}`)
	if got := w.needs(200, "GET", "/users/"+url.PathEscape(slash), ""); !strings.Contains(got, `"email":"`+slash+`"`) {
		t.Errorf("an address with a slash: %s", got)
	}
	for _, verb := range []string{"/disable", "/enable"} {
		w.needs(404, "POST", "/users/eve@example.com"+verb, "")
	}
	w.needs(404, "GET", "/users/eve@example.com", "")
	w.needs(404, "PUT", "/users/eve@example.com/password", `{"password":"`+annsPassword+`"}`)
}

func TestUsersThatAreRefused(t *testing.T) {
	w := newVaultWorld(t)
	w.needs(201, "POST", "/users", ann)
	for _, tt := range []struct {
		code       int
		body, says string
	}{
		{409, ann, "email: User with this email already exists.; username: Username already exists."},
		{400, `{"username":"b","email":"b@example.com","password":"12345678"}`, "password: This password is too common. This password is entirely numeric.; username: Ensure this field has at least 3 characters."},
		{400, `{}`, "email: This field may not be blank."},
		{400, `{"user":"bob"}`, "unknown field"},
	} {
		if got := w.needs(tt.code, "POST", "/users", tt.body); !strings.Contains(got, tt.says) || strings.Contains(got, annsPassword) {
			t.Errorf("%s: %s, want %q", tt.body, got, tt.says)
		}
	}
	if got := w.needs(400, "PUT", "/users/ann@example.com/password", `{"password":"short"}`); !strings.Contains(got, "password: Ensure this field has at least 8 characters.") {
		t.Errorf("a short password: %s", got)
	}
	w.config.Vault = vault.New(vault.Config{})
	if got := w.needs(503, "POST", "/users", `{"username":"bob","email":"bob@example.com","password":"`+annsPassword+`"}`); !strings.Contains(got, "keyring") {
		t.Errorf("without a keyring: %s", got)
	}
}

func TestAPasswordIsReset(t *testing.T) {
	w := newVaultWorld(t)
	w.needs(201, "POST", "/users", ann)
	w.needs(204, "PUT", "/users/ann@example.com/password", `{"password":"quite another 42"}`)
	if err := w.login("ann@example.com", annsPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	if err := w.login("ann@example.com", "quite another 42"); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

func TestAUserIsCreatedOnceForOneIdempotencyKey(t *testing.T) {
	w := newVaultWorld(t)
	const again = "Idempotency-Key: 0123456789abcdef"
	w.store.LoseNext(1)
	w.needs(504, "POST", "/users", ann, again)
	first := w.needs(201, "POST", "/users", ann, again)
	if second := w.needs(201, "POST", "/users", ann, again); first != second || !strings.Contains(first, `"id":1,`) {
		t.Errorf("%s, then %s", first, second)
	}
	w.needs(409, "POST", "/users", ann)
	w.needs(409, "POST", "/users", strings.Replace(ann, annsPassword, annsPassword+"!", 1), again)
}

// The identity of a request is stored in clear, so it must not be one by which a
// password, or the value of a setting, can be tried.
func TestTheIdentityOfARequestDoesNotTellASecret(t *testing.T) {
	id := func(key, body string) string {
		r := httptest.NewRequest("PUT", restBase+"/databases/shop/settings/mail", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Idempotency-Key", "0123456789abcdef")
		c := &call{r: r, body: []byte(body)}
		once, err := c.once(0)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(once.ID)
	}
	first, again := id("root", ann), id("root", ann)
	if first != again || first == id("other", ann) || first == id("root", ann+" ") {
		t.Error("the identity does not depend on key and body")
	}
}

func TestTheAuditLogIsExported(t *testing.T) {
	w := newVaultWorld(t)
	w.needs(201, "POST", "/users", ann)
	w.needs(204, "POST", "/users/ann@example.com/disable", "")
	for _, tt := range []struct {
		query, contentType, file string
		entries                  int
	}{
		{"", "application/x-ndjson", "audit.jsonl", 3}, {"?format=csv", "text/csv; charset=utf-8", "audit.csv", 3},
		{"?organization=1", "application/x-ndjson", "audit.jsonl", 1}, {"?account=Ann@example.com&format=jsonl", "application/x-ndjson", "audit.jsonl", 2},
	} {
		rec := w.keynest("GET", "/audit/export"+tt.query, "")
		h := rec.Header()
		if rec.Code != 200 || h.Get("Content-Type") != tt.contentType || h.Get("Content-Disposition") != `attachment; filename="`+tt.file+`"` ||
			h.Get("Cache-Control") != "no-store" || h.Get("Covey-Version") != "2" {
			t.Errorf("%s: %d %v", tt.query, rec.Code, h)
		}
		r, err := vault.VerifyAudit(rec.Body)
		if err != nil || r.Entries != tt.entries || len(r.Faults) > 0 {
			t.Errorf("%s: %+v, %v", tt.query, r, err)
		}
	}
	var heads struct {
		Heads []vault.AuditHead `json:"audit_heads"`
	}
	if err := json.Unmarshal([]byte(w.needs(200, "GET", "/audit/heads", "")), &heads); err != nil || len(heads.Heads) != 2 ||
		heads.Heads[0].Chain != "o1" || heads.Heads[1].Chain != "u1" || heads.Heads[1].Number != 2 {
		t.Errorf("heads %+v, %v", heads, err)
	}
	if rec := w.keynest("HEAD", "/audit/export", ""); rec.Code != 200 || rec.Body.Len() > 0 {
		t.Errorf("HEAD: %d %s", rec.Code, rec.Body)
	}
	for query, code := range map[string]int{
		"?format=xml": 400, "?organization=0": 400, "?organization=x": 400, "?organization=1&account=ann@example.com": 400,
		"?organization=7": 404, "?account=eve@example.com": 404, "?consistency=soon": 400,
	} {
		w.needs(code, "GET", "/audit/export"+query, "")
	}
}

// A long log goes out in pieces, and what breaks off in the middle breaks the
// connection.
func TestALongAuditLogIsExportedInPieces(t *testing.T) {
	w := newVaultWorld(t)
	w.needs(201, "POST", "/users", ann)
	if _, err := w.config.DB.Update(t.Context(), func(tx *kv.Tx) error {
		for range 8 { // some 1.5 MiB
			for _, active := range []bool{false, true} {
				if _, err := w.config.Vault.SetActive(tx, "ann@example.com", active, vault.Client{IP: strings.Repeat("1", 100_000)}); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(New(w.config))
	defer s.Close()
	get := func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+keynestBase+"/audit/export", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+rootKey)
		return http.DefaultClient.Do(req)
	}
	resp, err := get()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r, err := vault.VerifyAudit(resp.Body)
	if err != nil || r.Entries != 18 || len(r.Faults) > 0 || resp.ContentLength != -1 {
		t.Errorf("%+v, %v, length %d", r, err, resp.ContentLength)
	}
	if rec := w.keynest("HEAD", "/audit/export", ""); rec.Code != 200 || rec.Body.Len() > 0 {
		t.Errorf("HEAD: %d, %d bytes", rec.Code, rec.Body.Len())
	}
	if _, err := w.config.DB.Update(t.Context(), func(tx *kv.Tx) error {
		for rec, err := range tx.ScanBack([]byte("va"), []byte("vb")) { // the last entry
			if err != nil {
				return err
			}
			tx.Set(rec.Key, []byte("damaged"), 0)
			break
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	broken, err := get()
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Body.Close()
	if r, err := vault.VerifyAudit(broken.Body); err == nil {
		t.Errorf("an export that broke off reads to its end: %+v", r.Entries)
	}
}
