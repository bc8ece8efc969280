package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coveydb/covey/internal/seal"
)

// The master key is rotated and everything is sealed anew while clients read
// and write: none notices. Afterwards the old key is of no use to anybody, and a
// node that has no other one says so.
func TestTheMasterKeyIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	servers := newKeyNestCluster(t, 3)
	old := filepath.Join(t.TempDir(), "old.json")
	copyFile(t, servers[0].ring(), old)
	oldKey := primaryOf(t, old)

	load := newLoad(t, servers, size(6, 100), size(50, 100)) // environments cost: a password is hashed for each
	between := int64(size(100, 200))
	end := load.start()
	more(t, &load.count, between)

	// A key is brought to all nodes before the first of them seals with it.
	s := servers[1]
	out, err := exec.Command(binary, "keyring", "master", "add", servers[0].ring()).Output() // needs no cluster
	if err != nil {
		t.Fatal(err)
	}
	newKey := strings.TrimSpace(string(out))
	spread(t, servers)
	s.waitKey(newKey, "held by all", func(k masterKey) bool { return len(k.Nodes) == 3 })
	s.covey(t, "", "keyring", "master", "promote", servers[0].ring(), newKey)
	spread(t, servers)
	s.waitKey(newKey, "sealed with by all", func(k masterKey) bool { return len(k.PrimaryOn) == 3 })
	s.covey(t, "", "keyring", "master", "rewrap", "--wait")
	more(t, &load.count, between)

	s.waitKey(oldKey, "of no use", func(k masterKey) bool { return k.Sealed == 0 && k.Droppable })
	s.covey(t, "", "keyring", "master", "drop", servers[0].ring(), oldKey, "--yes")
	spread(t, servers)
	s.waitKey(oldKey, "gone", func(k masterKey) bool { return k.Nodes == nil })
	more(t, &load.count, between)
	end()

	for _, s := range servers { // what was only in memory is gone
		s.kill()
	}
	for _, s := range servers {
		s.start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	load.check()
	t.Logf("%d requests beside the rotation", load.count.Load())
	behind(t, servers, old, newKey, load.accounts[0])
}

// behind starts a node that has the old keyring alone.
func behind(t *testing.T, servers []*server, old, newKey string, a *owner) {
	t.Helper()
	late := newKeyNestServer(t, "n4", 0)
	late.join = servers[2].gossip
	copyFile(t, old, late.ring())
	late.start()
	late.waitReady(patience)
	bucket := late.must("POST", "/", "")
	late.must("PUT", "/"+bucket+"/k", "v")
	if got := late.must("GET", "/"+bucket+"/k", ""); got != "v" {
		t.Errorf("a key reads %q", got)
	}
	a.want(late, 200, "GET", "/api/environments/", nil) // holds no secret
	for _, path := range []string{
		fmt.Sprintf("/api/environments/%d/variables/", a.environment), fmt.Sprintf("/api/environments/%d/export/", a.environment),
	} {
		r := a.want(late, 503, "GET", path, nil)
		if !strings.Contains(r.string("details"), newKey) || r.string("code") != "UNAVAILABLE" {
			t.Errorf("%s does not tell that %s is missing: %s", path, newKey, r.text)
		}
	}
	(&account{t: t}).want(late, 503, "POST", "/api/auth/login/", fields{"email": a.email, "password": keynestPassword})
	late.waitFor("telling what it lacks", patience, func() error {
		if !strings.Contains(late.log.String(), newKey) {
			return errors.New("the log does not name " + newKey)
		}
		return nil
	})
	servers[0].waitKey(newKey, "missing on n4", func(k masterKey) bool { return slices.Equal(k.Missing, []string{"n4"}) })
	a.want(servers[0], 200, "GET", fmt.Sprintf("/api/environments/%d/variables/", a.environment), nil)
}

// masterKey is what a cluster tells of one of its master keys.
type masterKey struct {
	ID        string   `json:"id"`
	Nodes     []string `json:"nodes"`
	Missing   []string `json:"missing"`
	PrimaryOn []string `json:"primary_on"`
	Sealed    int      `json:"sealed"`
	Droppable bool     `json:"droppable"`
}

// waitKey waits until something holds for a master key. One that is not known is
// the zero value.
func (s *server) waitKey(id, what string, holds func(masterKey) bool) {
	s.t.Helper()
	s.waitFor("a node of a cluster in which "+id+" is "+what, patience, func() error {
		code, body, err := s.do("GET", "/cluster/keyring", "", map[string]string{"Authorization": "Bearer " + rootKey})
		if err != nil || code != 200 {
			return fmt.Errorf("%d %s %v", code, body, err)
		}
		var status struct {
			Keys []masterKey `json:"keys"`
		}
		if err := json.Unmarshal([]byte(body), &status); err != nil {
			return err
		}
		var key masterKey
		if i := slices.IndexFunc(status.Keys, func(k masterKey) bool { return k.ID == id }); i >= 0 {
			key = status.Keys[i]
		}
		if !holds(key) {
			return errors.New(body)
		}
		return nil
	})
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	p, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, p, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func primaryOf(t testing.TB, ring string) string {
	t.Helper()
	k, err := seal.Load(ring)
	if err != nil {
		t.Fatal(err)
	}
	return k.Primary()
}

// spread brings the first server's keyring file to the others.
func spread(t testing.TB, servers []*server) {
	t.Helper()
	for _, s := range servers[1:] {
		s.takeRing(servers[0])
	}
}

// owner is an account with an environment.
type owner struct {
	*account
	environment int
	ids         []int    // of its variables
	values      []string // in the order of ids
}

// load is clients that read and write variables, keys and tokens all the time.
type load struct {
	t        *testing.T
	servers  []*server
	bucket   string
	accounts []*owner
	count    atomic.Int64
	logins   chan struct{} // held by one that logs in: a node takes no crowd
}

func newLoad(t *testing.T, servers []*server, environments, variables int) *load {
	t.Helper()
	l := &load{t: t, servers: servers, bucket: servers[0].must("POST", "/", ""), logins: make(chan struct{}, size(2, 8))}
	for i := range environments {
		s := servers[i%3]
		o := &owner{account: register(t, s, fmt.Sprint("user_", i)), values: make([]string, variables)}
		_, o.environment = o.account.environment(s, "acme")
		at := fmt.Sprintf("/api/environments/%d/", o.environment)
		o.want(s, 200, "POST", at+"import/", fields{"data": dotenv(variables, "first")})
		var list struct {
			Results []struct {
				ID int `json:"id"`
			} `json:"results"`
		}
		text := o.want(s, 200, "GET", at+"variables/", nil).text
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Results) != variables {
			t.Fatalf("%d of %d variables, %v", len(list.Results), variables, err)
		}
		for i, v := range list.Results {
			o.ids, o.values[i] = append(o.ids, v.ID), "first"
		}
		l.accounts = append(l.accounts, o)
	}
	return l
}

// start lets the clients work until end is called, which waits for them.
func (l *load) start() (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, o := range l.accounts {
		wg.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if !l.step(o, n) {
					return
				}
				l.count.Add(1)
				breathe()
			}
		})
	}
	end = sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
	l.t.Cleanup(end)
	return end
}

// step makes one request. All must succeed.
func (l *load) step(o *owner, n int) bool {
	s, at := l.servers[n%3], n%len(o.ids)
	path := fmt.Sprintf("/api/variables/%d/", o.ids[at])
	var r answer
	var err error
	switch n % 7 {
	case 0, 1:
		value := fmt.Sprint("value ", n)
		if r, err = o.try(s, "PATCH", path, fields{"value": value}); err == nil && r.status == 200 {
			o.values[at] = value
		}
	case 2, 3:
		r, err = o.try(s, "GET", path, nil)
		if got := r.string("decrypted_value"); r.status == 200 && got != o.values[at] {
			l.t.Errorf("variable %d is %q, want %q", o.ids[at], got, o.values[at])
		}
	case 4:
		r, err = o.try(s, "GET", fmt.Sprintf("/api/environments/%d/export/", o.environment), nil)
	case 5:
		l.logins <- struct{}{}
		r, err = (&account{t: l.t}).try(s, "POST", "/api/auth/login/", fields{"email": o.email, "password": keynestPassword})
		<-l.logins
		if r.status == 200 && r.string("token") != o.token {
			l.t.Error("a login gave another token")
		}
	case 6:
		r.status, r.text, err = s.do("PUT", "/"+l.bucket+"/"+o.email, "v", nil)
	}
	if err != nil || r.status != 200 {
		l.t.Errorf("request %d through %s: %d %s %v", n, s.id, r.status, r.text, err)
		return false
	}
	return true
}

// check compares all values with what was written, through all nodes.
func (l *load) check() {
	l.t.Helper()
	for i, o := range l.accounts {
		values := o.exported(l.servers[i%3], o.environment)
		for k, want := range o.values {
			if got := values[fmt.Sprintf("KEY_%04d", k)]; got != want {
				l.t.Errorf("KEY_%04d of %s is %q, want %q", k, o.email, got, want)
			}
		}
		got := (&account{t: l.t}).want(l.servers[(i+1)%3], 200, "POST", "/api/auth/login/",
			fields{"email": o.email, "password": keynestPassword})
		if got.string("token") != o.token {
			l.t.Errorf("%s has another token", o.email)
		}
	}
}
