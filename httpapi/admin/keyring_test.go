package admin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/vault"
)

// safe is a world whose layers share a keyring, on the nodes n1, which answers,
// and n2.
type safe struct {
	*world
	path string
	ring *seal.Keyring
	old  string // its first key

	bucket, token     string // with a signing key, and a token of it
	hook              string
	user, environment uint64
}

func newSafe(t *testing.T) *safe {
	t.Helper()
	s := &safe{world: newWorld(t), path: filepath.Join(t.TempDir(), "keyring.json")}
	var err error
	if s.ring, err = seal.Create(s.path); err != nil {
		t.Fatal(err)
	}
	s.old = s.ring.Primary()
	s.use(s.ring)
	s.cluster.status = cluster.Status{ID: "n1", Leader: "n1", Members: []cluster.Member{{ID: "n2"}, {ID: "n1"}}}
	s.announce("n2", s.ring)
	return s
}

// use gives n1 a keyring.
func (s *safe) use(ring *seal.Keyring) {
	s.t.Helper()
	var err error
	s.config.Buckets, err = bucket.New(bucket.Config{Root: auth.NewRootKey(rootKey), Keyring: ring})
	if err != nil {
		s.t.Fatal(err)
	}
	s.config.Collections = collection.New(collection.Config{Keyring: ring})
	s.config.Vault = vault.New(vault.Config{Keyring: ring})
	s.config.Sealed = &sealed.Inventory{
		Keyring: ring, Rows: slices.Concat(s.config.Buckets.Sealed(), s.config.Collections.Sealed(), s.config.Vault.Sealed()),
	}
}

func (s *safe) announce(node string, ring *seal.Keyring) {
	s.t.Helper()
	if err := (&sealed.Inventory{Keyring: ring}).Announce(s.t.Context(), s.config.DB, node); err != nil {
		s.t.Fatal(err)
	}
}

// rotate makes a new key the primary one on n1.
func (s *safe) rotate() string {
	s.t.Helper()
	id, err := seal.Rotate(s.path)
	if err == nil {
		_, err = s.ring.Reload()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *safe) update(fn func(tx *kv.Tx) error) {
	s.t.Helper()
	if _, err := s.config.DB.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *safe) view(fn func(tx *kv.Tx) error) error {
	_, err := s.config.DB.View(s.t.Context(), kv.Consistency{}, fn)
	return err
}

// fill makes one of everything that a keyring seals.
func (s *safe) fill() {
	s.t.Helper()
	s.must(204, "PUT", "/databases/default/settings/jwt.client_secret", `{"value":"a client secret of some length"}`)
	s.must(204, "PUT", "/databases/default/settings/properties.app.key", `{"value":"a key that tokens are signed with"}`)
	s.hook = s.addHook(`{"url":"https://example.com/hook"}`).ID

	draft, err := s.config.Buckets.Draft("", bucket.Fields{Signing: &auth.Credential{Value: "signing"}, Secret: &auth.Credential{Value: "secret"}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.bucket = draft.ID
	s.update(func(tx *kv.Tx) error { return s.config.Buckets.Create(tx, auth.Credential{}, draft) })
	if err := s.view(func(tx *kv.Tx) error {
		b, err := s.config.Buckets.Open(tx, s.bucket, auth.Credential{Value: "secret"}, bucket.Mint)
		if err == nil {
			s.token, err = b.Mint(bucket.Grant{Permissions: bucket.PermEnumerate})
		}
		return err
	}); err != nil {
		s.t.Fatal(err)
	}

	n, err := s.config.Vault.Prepare(s.t.Context(), vault.Registration{Username: "ann", Email: "ann@example.com", Password: "correct horse battery"})
	if err != nil {
		s.t.Fatal(err)
	}
	draw := vault.NewDraw()
	s.update(func(tx *kv.Tx) error {
		session, org, _, err := s.config.Vault.Register(tx, n, vault.Client{Draw: draw})
		if err != nil {
			return err
		}
		s.user = session.User().ID
		name, value, kind := "NAME", "a value of a variable", "production"
		p, err := session.CreateProject(vault.ProjectFields{Whole: true, Name: &name, Organization: &org.ID})
		if err != nil {
			return err
		}
		e, err := session.CreateEnvironment(vault.EnvironmentFields{Whole: true, Name: &name, Project: &p.ID, Type: &kind})
		if err != nil {
			return err
		}
		s.environment = e.ID
		_, err = session.CreateVariable(vault.VariableFields{Whole: true, Key: &name, Value: &value, Environment: &e.ID})
		return err
	})
}

// login returns the token of ann and the value of her variable.
func (s *safe) login() (token, value string, err error) {
	s.t.Helper()
	var c vault.Candidate
	if err := s.view(func(tx *kv.Tx) (err error) { c, err = s.config.Vault.FindUser(tx, "ann@example.com"); return err }); err != nil {
		return "", "", err
	}
	draw := vault.NewDraw()
	_, err = s.config.DB.Update(s.t.Context(), func(tx *kv.Tx) error {
		session, t, err := s.config.Vault.Login(tx, c, vault.Client{Draw: draw})
		if err != nil {
			return err
		}
		token = t
		all, err := session.EnvironmentVariables(s.environment)
		if err == nil && len(all) == 1 {
			value = all[0].Value
		}
		return err
	})
	return token, value, err
}

// opens returns what does not open of all that fill made.
func (s *safe) opens() map[string]error {
	s.t.Helper()
	faults := make(map[string]error)
	_, _, faults["login"] = s.login()
	faults["hook"] = s.view(func(tx *kv.Tx) error {
		_, err := s.config.Collections.WebhookSecret(tx, collection.DefaultDatabase, s.hook)
		if info, err := s.config.Collections.Webhook(tx, collection.DefaultDatabase, s.hook); err == nil && info.URL == "" {
			faults["URL"] = errors.New(info.URLError)
		}
		return err
	})
	faults["bucket"] = s.view(func(tx *kv.Tx) error {
		_, err := s.config.Buckets.Open(tx, s.bucket, auth.Credential{Value: s.token}, bucket.List)
		return err
	})
	docs := collection.New(collection.Config{Keyring: s.config.Sealed.Keyring, DefaultKey: auth.NewRootKey("k")})
	r, err := collection.ParseTokenRequest([]byte(`{"secret":"app.key"}`))
	if err != nil {
		s.t.Fatal(err)
	}
	_, faults["property"] = docs.IssueJWT(s.t.Context(), s.config.DB, collection.Caller{Key: auth.Credential{Value: "k"}, Method: "POST"}, r)
	for what, err := range faults {
		if err == nil {
			delete(faults, what)
		}
	}
	return faults
}

// status asks for the state of the keyring.
func (s *safe) status(query string) (st keyringStatus) {
	s.t.Helper()
	rec := s.send("GET", keyringBase+query, "")
	if err := json.Unmarshal(rec.Body.Bytes(), &st); err != nil || rec.Code != 200 {
		s.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return st
}

func (st keyringStatus) key(id string) keyringKey {
	if i := slices.IndexFunc(st.Keys, func(k keyringKey) bool { return k.ID == id }); i >= 0 {
		return st.Keys[i]
	}
	return keyringKey{}
}

func TestEverythingIsSealedAnewThenTheOldKeyIsDropped(t *testing.T) {
	s := newSafe(t)
	s.fill()
	token, _, err := s.login()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int64{
		"KeyNest data keys": 1, "KeyNest tokens": 1, "RestDB settings": 2, "bucket signing keys": 1, "webhook URLs": 1, "webhook secrets": 1,
	}
	want := keyringStatus{Node: "n1", Keys: []keyringKey{{
		ID: s.old, Nodes: []string{"n1", "n2"}, PrimaryOn: []string{"n1", "n2"}, Sealed: 7, Kinds: kinds, InUse: "it seals on n1, n2",
	}}}
	if diff := cmp.Diff(want, s.status("")); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	if k := s.status("?counts=false").key(s.old); k.Sealed != 0 || k.Droppable || !strings.Contains(k.InUse, "not counted") || len(k.Nodes) != 2 {
		t.Errorf("without counts: %+v", k)
	}

	next := s.rotate()
	if text := s.refused(412, "", "n2"); !strings.Contains(text, "does not hold the master key "+next) {
		t.Errorf("n2 lacks the new key: %s", text)
	}
	s.announce("n2", s.ring)
	if k := s.status("").key(s.old); k.Droppable || k.InUse != "7 secrets are sealed with it" {
		t.Errorf("after the rotation: %+v", k)
	}
	rec := s.send("POST", keyringBase+"/rewrap", "")
	var begun rewrapInfo
	if err := json.Unmarshal(rec.Body.Bytes(), &begun); err != nil || rec.Code != 201 || begun.Key != next || begun.Total != 7 || begun.Finished != nil {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if st := s.status(""); st.key(s.old).Droppable || st.Rewrap == nil || st.Rewrap.Finished != nil || st.Rewrap.Waits != "" {
		t.Errorf("under way: %+v", st)
	}
	r := sealed.Rewrapper{DB: s.config.DB, Inventory: s.config.Sealed, Log: slog.New(slog.DiscardHandler)}
	for more := true; more; {
		s.store.ConflictNext(1)
		if more, err = r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if faults := s.opens(); len(faults) > 0 {
			t.Errorf("meanwhile: %v", faults)
		}
	}
	st := s.status("")
	if w := st.Rewrap; w.Finished == nil || w.Done != 7 || w.Changed != 7 || w.Failed != 0 || !st.key(s.old).Droppable || !cmp.Equal(st.key(next).Kinds, kinds) {
		t.Errorf("at the end: %+v, %+v", w, st)
	}
	s.nothingUnder(s.old)
	if err := seal.Drop(s.path, s.old); err != nil {
		t.Fatal(err)
	}
	alone, err := seal.Load(s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.use(alone) // layers that remember nothing
	if faults := s.opens(); len(faults) > 0 {
		t.Errorf("without the old key: %v", faults)
	}
	if again, value, err := s.login(); err != nil || again != token || value != "a value of a variable" {
		t.Errorf("the token is %q, the value %q, %v", again, value, err)
	}
}

// refused asks for a re-wrapping that is refused, and returns the answer.
func (s *safe) refused(code int, body, node string) string {
	s.t.Helper()
	rec := s.send("POST", keyringBase+"/rewrap", body)
	text := rec.Body.String()
	if rec.Code != code || !strings.Contains(text, node) {
		s.t.Errorf("%d %s, want %d and %s", rec.Code, text, code, node)
	}
	return text
}

// nothingUnder checks that no record holds anything that a key has sealed, also of
// a kind that nobody has told the inventory of.
func (s *safe) nothingUnder(id string) {
	s.t.Helper()
	mark := base64.StdEncoding.EncodeToString(append([]byte{1, byte(len(id))}, id...))[:12]
	if err := s.view(func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			// What nodes announce names keys.
			if text := string(rec.Value); rec.Key[0] != 's' && (strings.Contains(text, id) || strings.Contains(text, mark)) {
				s.t.Errorf("%q is under the old key: %q", rec.Key, rec.Value)
			}
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
}

func TestANodeWithTheOldKeyringSaysWhatItLacks(t *testing.T) {
	s := newSafe(t)
	old, err := seal.Load(s.path)
	if err != nil {
		t.Fatal(err)
	}
	next := s.rotate()
	s.fill()
	s.announce("n2", s.ring)
	s.use(old)
	faults := s.opens()
	for _, what := range []string{"login", "hook", "URL", "bucket", "property"} {
		if err := faults[what]; err == nil || !strings.Contains(err.Error(), next) {
			t.Errorf("%s: %v, want an error that names %s", what, err, next)
		}
	}
	k := s.status("").key(next)
	if !cmp.Equal(k.Missing, []string{"n1"}) || !cmp.Equal(k.PrimaryOn, []string{"n2"}) || k.Sealed != 7 {
		t.Errorf("%+v", k)
	}
	s.refused(412, "", "n2 with "+next)
	s.announce("n2", old)
	s.refused(412, "", "7 secrets are sealed with master keys that node n1 lacks: "+next)
	s.announce("n2", s.ring)
	s.cluster.status.Leader = "n2"
	if rec := s.send("POST", keyringBase+"/rewrap", `{"force":true}`); rec.Code != 201 {
		t.Errorf("forced: %d %s", rec.Code, rec.Body)
	}
	if w := s.status("").Rewrap; w.Waits != "node n2 leads and does not seal with "+s.old {
		t.Errorf("%+v", w)
	}
	s.cluster.status.Leader = ""
	if w := s.status("?counts=false").Rewrap; w.Waits != "no node leads" {
		t.Errorf("%+v", w)
	}
}

func TestAMemberThatHasSaidNothingIsNotTrusted(t *testing.T) {
	s := newSafe(t)
	s.cluster.status.Members = append(s.cluster.status.Members, cluster.Member{ID: "n3"})
	if k := s.status("").key(s.old); !cmp.Equal(k.Missing, []string{"n3"}) {
		t.Errorf("%+v", k)
	}
	s.rotate()
	s.announce("n2", s.ring)
	if k := s.status("").key(s.old); k.Droppable || k.InUse != "nobody knows what n3 seals with" {
		t.Errorf("%+v", k)
	}
	s.refused(412, "", "n3")
	s.refused(400, `{"fource":true}`, "body")
	s.use(nil)
	s.refused(503, "", "no keyring")
	s.refused(503, `{"force":true}`, "no keyring")
}

func TestDamagedSecretsAreCounted(t *testing.T) {
	s := newSafe(t)
	s.fill()
	s.update(func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(s.config.Sealed.Rows[1].Lo, s.config.Sealed.Rows[1].Hi) { // settings
			if err != nil {
				return err
			}
			if strings.Contains(string(rec.Key), "app.key") {
				tx.Set(rec.Key, []byte("rubbish"), 0)
			}
		}
		return nil
	})
	if st := s.status(""); st.Damaged != 1 || st.key(s.old).Sealed != 6 {
		t.Errorf("%+v", st)
	}
}

func TestTheRootKeyGuardsTheKeyring(t *testing.T) {
	s := newSafe(t)
	for path := range keyringPaths() {
		s.failed(401, "unauthenticated", "GET", keyringBase+path)
		s.failed(405, "invalid", "DELETE", keyringBase+path, asRoot)
	}
	s.config.Sealed = nil
	s.failed(404, "not_found", "GET", keyringBase, asRoot)
	s.failed(404, "not_found", "POST", keyringBase+"/rewrap", asRoot)
}
