//go:build linux

package e2e

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/seal"
)

// status507 waits until a request is answered 507, and returns the reason.
func (s *server) status507(method, path, body string) (reason string) {
	s.t.Helper()
	s.waitFor("short of room", patience, func() error {
		req, err := http.NewRequest(method, "http://"+s.http+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		res, err := web.Do(req)
		if err != nil {
			return err
		}
		reason = res.Header.Get("Covey-Reason")
		if err := res.Body.Close(); err != nil || res.StatusCode != 507 {
			return fmt.Errorf("%s, %v", res.Status, err)
		}
		return nil
	})
	return reason
}

// takes waits until a write is taken.
func (s *server) takes(path, value string) {
	s.t.Helper()
	s.waitFor("taking writes", patience, func() error {
		code, text, err := s.do("PUT", path, value, nil)
		if err == nil && code != 200 {
			err = fmt.Errorf("%d %s", code, text)
		}
		return err
	})
}

// filling is a cluster on one disk, and what was acknowledged in it.
type filling struct {
	t       *testing.T
	disk    *smallDisk
	servers []*server
	bucket  string
	acked   map[string]string // keys of the bucket and their values
	user    *account
	number  int    // of an environment of the user
	env     string // its path
}

// Three nodes share a disk on which something else leaves ever less room.
func TestADiskThatFills(t *testing.T) {
	beside(t)
	const whole = 640 * mib
	f := &filling{t: t, disk: newSmallDisk(t, whole), acked: map[string]string{}}
	f.servers = startOn(t, 3, func(s *server) { s.dir = filepath.Join(f.disk.dir, s.id) })
	f.setUp()
	for i := range 40 {
		f.put(fmt.Sprint("before", i))
	}

	f.disk.leave(180 * mib) // below the watermark of a disk this small, 192 MiB
	reason := f.servers[0].status507("PUT", "/"+f.bucket+"/new", "x")
	for _, part := range []string{"leader n", "MiB free on the disk of its data folder", "needs 2", "make room"} {
		if !strings.Contains(reason, part) {
			t.Errorf("507 says %q, without %q", reason, part)
		}
	}
	t.Run("reads, deletes, logins and their records go on", func(*testing.T) { f.goesOn() })
	f.disk.resize(whole + 100*mib)
	f.resumes("after the disk has grown")

	f.disk.leave(110 * mib) // less than one more segment of each log needs
	f.servers[1].status507("PUT", "/"+f.bucket+"/new", "x")
	t.Run("a full one takes what only removes", func(*testing.T) { f.removes() })
	f.disk.empty()
	f.resumes("after others made room")
	for _, s := range f.servers {
		s.waitReady(patience)
		for key, want := range f.acked {
			if got := s.must("GET", "/"+f.bucket+"/"+key, ""); got != want {
				t.Errorf("%s: %s is %q, want %q", s.id, key, got, want)
			}
		}
	}
}

// startOn is newKeyNestCluster, with servers changed before they start.
func startOn(t *testing.T, size int, change func(*server)) []*server {
	t.Helper()
	servers := make([]*server, size)
	for i := range servers {
		servers[i] = newKeyNestServer(t, fmt.Sprintf("n%d", i+1), size)
		servers[i].join = servers[0].gossip
	}
	ring := servers[0].ring() // it stays there: the small disk is for data
	if _, err := seal.Create(ring); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		s.extra[1] = ring // behind --keyring-file
		change(s)
		s.start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	return servers
}

func (f *filling) setUp() {
	f.t.Helper()
	f.bucket = f.servers[0].must("POST", "/", "")
	f.user = register(f.t, f.servers[0], "ann")
	_, f.number = f.user.environment(f.servers[0], "prod")
	f.env = fmt.Sprintf("/api/environments/%d", f.number)
	for i := range 4 {
		f.variable(201, fmt.Sprint("KEY", i))
	}
}

func (f *filling) variable(status int, key string) int {
	f.t.Helper()
	return f.user.want(f.servers[1], status, "POST", "/api/variables/", fields{"key": key, "value": "value of " + key, "environment": f.number}).number("id")
}

func (f *filling) put(key string) {
	f.t.Helper()
	f.servers[len(f.acked)%3].must("PUT", "/"+f.bucket+"/"+key, key+"'s value")
	f.acked[key] = key + "'s value"
}

// resumes waits until writes are taken again.
func (f *filling) resumes(when string) {
	f.t.Helper()
	f.servers[2].takes("/"+f.bucket+"/"+strings.ReplaceAll(when, " ", "-"), when)
	f.acked[strings.ReplaceAll(when, " ", "-")] = when
	f.variable(201, strings.ToUpper(strings.ReplaceAll(when, " ", "_")))
}

func (f *filling) goesOn() {
	f.t.Helper()
	for i, s := range f.servers {
		key := fmt.Sprint("before", i)
		if got := s.must("GET", "/"+f.bucket+"/"+key, ""); got != f.acked[key] {
			f.t.Errorf("%s reads %q", s.id, got)
		}
		s.must("DELETE", "/"+f.bucket+"/"+key, "")
		delete(f.acked, key)
	}
	login := &account{t: f.t}
	r := login.want(f.servers[2], 200, "POST", "/api/auth/login/", fields{"email": f.user.email, "password": keynestPassword})
	if r.string("token") == "" {
		f.t.Errorf("no token in %s", r.text)
	}
	if got := f.user.want(f.servers[0], 200, "GET", f.env+"/export/?format=json", nil).string("KEY1"); got != "value of KEY1" {
		f.t.Errorf("export has %q", got)
	}
	f.variable(507, "MORE")
	list := f.user.want(f.servers[0], 200, "GET", f.env+"/variables/", nil)
	first, err := firstID(list)
	if err != nil {
		f.t.Fatal(err)
	}
	f.user.want(f.servers[1], 204, "DELETE", fmt.Sprintf("/api/variables/%d/", first), nil)
}

func (f *filling) removes() {
	f.t.Helper()
	for i := 10; i < 20; i++ {
		key := fmt.Sprint("before", i)
		f.servers[i%3].must("DELETE", "/"+f.bucket+"/"+key, "")
		delete(f.acked, key)
		if code, _, err := f.servers[(i+1)%3].do("GET", "/"+f.bucket+"/"+key, "", nil); err != nil || code != 404 {
			f.t.Errorf("a deleted key is %d, %v", code, err)
		}
	}
	if got := f.servers[0].must("GET", "/"+f.bucket+"/before39", ""); got != f.acked["before39"] {
		f.t.Errorf("read %q", got)
	}
}

// A leader whose disk is short of room hands the lead on; a follower that has
// none lags, and catches up by itself.
func TestOneFullDiskOfThree(t *testing.T) {
	beside(t)
	var disks []*smallDisk
	servers := startOn(t, 3, func(s *server) {
		disks = append(disks, newSmallDisk(t, 320*mib))
		s.dir = filepath.Join(disks[len(disks)-1].dir, "data")
	})
	bucket := servers[0].must("POST", "/", "")
	leader := leaderOf(t, servers)
	at := indexOf(servers, leader)
	follower := servers[(at+1)%3]
	disks[at].leave(170 * mib)
	follower.waitFor("led by another", patience, func() error {
		st, err := follower.status()
		if err == nil && (st.Leader == leader.id || st.Leader == "") {
			err = fmt.Errorf("%s leads", st.Leader)
		}
		return err
	})
	for i := range 30 {
		servers[i%3].must("PUT", fmt.Sprintf("/%s/moved%d", bucket, i), "v")
	}

	disks[at].leave(20 * mib) // no further segment fits
	leader.waitFor("crammed", patience, func() error { return leader.logs("disk is almost full") })
	for i := range 50 {
		follower.must("PUT", fmt.Sprintf("/%s/lag%d", bucket, i), "v")
	}
	if st, err := follower.status(); err != nil || st.Leader == leader.id {
		t.Errorf("the full node leads: %+v, %v", st, err)
	}
	disks[at].empty()
	leader.waitReady(patience)
	for i := range 50 {
		if got := leader.must("GET", fmt.Sprintf("/%s/lag%d?stale=1", bucket, i), ""); got != "v" {
			t.Errorf("lag%d is %q on the node that was full", i, got)
		}
	}
	select {
	case <-leader.exited:
		t.Error("the node with the full disk has stopped")
	default:
	}
}

func indexOf(servers []*server, s *server) int {
	for i, x := range servers {
		if x == s {
			return i
		}
	}
	return -1
}

// logs returns nil if the server has logged text.
func (s *server) logs(text string) error {
	if strings.Contains(s.log.String(), text) {
		return nil
	}
	return errors.New("nothing of it in the log: " + text)
}

// The disk of the leader hangs, and then answers again; later it fails an fsync.
func TestADiskThatStallsAndOneThatFails(t *testing.T) {
	beside(t)
	disks := map[string]*faultyDisk{}
	servers := make([]*server, 3)
	for i := range servers {
		servers[i] = newServer(t, fmt.Sprintf("n%d", i+1), 3)
		disks[servers[i].id] = newFaultyDisk(t)
		servers[i].dir = disks[servers[i].id].path("data")
		servers[i].join = servers[0].gossip
	}
	for _, s := range servers {
		s.start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	bucket := servers[0].must("POST", "/", "")
	servers[0].must("PUT", "/"+bucket+"/k", "before")
	t.Run("a stall", func(t *testing.T) { stalls(t, servers, disks, "/"+bucket+"/k") })
	t.Run("an fsync that fails", func(t *testing.T) { failsFsync(t, servers, disks, "/"+bucket+"/k") })
}

func allBut(servers []*server, not *server) (found []*server) {
	for _, s := range servers {
		if s != not {
			found = append(found, s)
		}
	}
	return found
}

func stalls(t *testing.T, servers []*server, disks map[string]*faultyDisk, path string) {
	old := leaderOf(t, servers)
	rest := allBut(servers, old)
	end := disks[old.id].stall()
	began := time.Now()
	go old.do("PUT", path, "stuck", nil)
	rest[0].waitFor("led by another", patience, func() error {
		st, err := rest[0].status()
		if err == nil && (st.Leader == old.id || st.Leader == "") {
			err = fmt.Errorf("%q leads", st.Leader)
		}
		return err
	})
	t.Logf("another leads %v after the disk began to hang", time.Since(began).Round(100*time.Millisecond))
	rest[0].takes(path, "during")
	st, err := rest[0].status()
	if err != nil {
		t.Fatal(err)
	}
	if disks[old.id].hung.Load() == 0 {
		t.Error("no fsync has hung")
	}
	if err := old.logs("a write to the log is stuck"); err != nil {
		t.Error(err)
	}
	old.waitFor("telling that it is stuck", patience, func() error {
		code, body, err := old.do("GET", "/readyz?verbose", "", nil)
		if err == nil && (code != 503 || !strings.Contains(body, "stuck")) {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
	time.Sleep(max(0, 15*time.Second-time.Since(began))) // with nobody to follow
	end()
	old.waitReady(patience)
	old.waitFor("over its stall", patience, func() error { return old.logs("disk stall is over") })
	after, err := rest[0].status()
	if err != nil || after.Term != st.Term {
		t.Errorf("term %d, %v; want %d still: the stalled node must not campaign", after.Term, err, st.Term)
	}
	if got := old.must("GET", path, ""); got != "during" {
		t.Errorf("the node that was stalled reads %q", got)
	}
}

func failsFsync(t *testing.T, servers []*server, disks map[string]*faultyDisk, path string) {
	bad := leaderOf(t, servers)
	rest := allBut(servers, bad)
	disks[bad.id].broken.Store(true)
	go bad.do("PUT", path, "lost", nil)
	select {
	case <-bad.exited:
	case <-time.After(patience):
		t.Fatal("the process goes on with a disk that fails fsyncs")
	}
	if code := bad.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("it ended with code %d, want 1", code)
	}
	if err := bad.logs("input/output error"); err != nil {
		t.Error(err)
	}
	rest[0].takes(path, "without it")
	disks[bad.id].heal()
	bad.start()
	bad.waitReady(patience)
	if got := bad.must("GET", path, ""); got != "without it" {
		t.Errorf("started again it reads %q", got)
	}
}

// firstID is the id of the first item of a list.
func firstID(list answer) (int, error) {
	items, _ := list.at([]string{"results"}).([]any)
	if len(items) == 0 {
		return 0, fmt.Errorf("no items in %s", list.text)
	}
	item, _ := items[0].(map[string]any)
	id, ok := item["id"].(float64)
	if !ok {
		return 0, fmt.Errorf("no id in %s", list.text)
	}
	return int(id), nil
}

// A node fills its disk by itself. What it has acknowledged is there, and deletes
// alone bring it back to taking writes.
func TestANodeThatFillsItsDiskIsFreedByDeletes(t *testing.T) {
	beside(t)
	disk := newSmallDisk(t, 420*mib)
	s := newServer(t, "n1", 1)
	s.dir = filepath.Join(disk.dir, "data")
	s.start()
	s.waitReady(patience)
	bucket := s.must("POST", "/", "")
	var acked [16]int // of each writer
	var wg sync.WaitGroup
	for w := range acked {
		wg.Go(func() {
			random := rand.NewChaCha8([32]byte{byte(w)})
			for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); acked[w]++ {
				value := make([]byte, 8000)
				random.Read(value)
				code, text, err := s.do("PUT", fmt.Sprintf("/%s/w%d-%d", bucket, w, acked[w]), hex.EncodeToString(value), nil)
				switch {
				case err == nil && code == 507:
					return
				case err != nil || code != 200:
					t.Errorf("write: %d %s %v", code, text, err)
					return
				}
			}
			t.Error("the disk was never full")
		})
	}
	wg.Wait()
	total := 0
	for w, n := range acked {
		total += n
		wg.Go(func() {
			for i := range n - 1 { // the last one stays, and has to be there at the end
				if code, text, err := s.do("DELETE", fmt.Sprintf("/%s/w%d-%d", bucket, w, i), "", nil); err != nil || code != 200 {
					t.Errorf("delete: %d %s %v", code, text, err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.takes("/"+bucket+"/again", "v")
	for w, n := range acked {
		if got := s.must("GET", fmt.Sprintf("/%s/w%d-%d", bucket, w, n-1), ""); len(got) != 16000 {
			t.Errorf("the last write of %d has %d bytes", w, len(got))
		}
	}
	t.Logf("%d writes filled the disk", total)
}
