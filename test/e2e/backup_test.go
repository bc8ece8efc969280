package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/client"
)

// acked is a write that was acknowledged.
type acked struct {
	key, value string
	version    uint64
}

// modelled are writers that write as fast as they can through all servers, each
// its own keys and one after the other, and remember what was acknowledged.
type modelled struct {
	mu     sync.Mutex
	writes []acked
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

func model(t *testing.T, servers []*server, bucket string, writers int) *modelled {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	m := &modelled{stop: cancel}
	for w := range writers {
		b := through(t, servers[w%len(servers)], servers).Bucket(bucket, "")
		m.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				x := acked{key: fmt.Sprintf("%d/%d", w, i%20), value: fmt.Sprint(w, "-", i)}
				var err error
				if x.version, err = b.Set(context.WithoutCancel(ctx), x.key, []byte(x.value), client.Write{}); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				m.mu.Lock()
				m.writes = append(m.writes, x)
				m.mu.Unlock()
			}
		})
	}
	return m
}

func (m *modelled) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.writes)
}

// more waits until so many more writes were acknowledged.
func (m *modelled) more(s *server, n int) {
	s.t.Helper()
	from := m.count()
	s.waitFor("written to", time.Minute, func() error {
		if got := m.count() - from; got < n {
			return fmt.Errorf("%d writes of %d", got, n)
		}
		return nil
	})
}

func (m *modelled) end() { m.stop(); m.wg.Wait() }

// at is the state at a version.
func (m *modelled) at(version uint64) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortFunc(m.writes, func(a, b acked) int { return int(int64(a.version) - int64(b.version)) })
	state := map[string]string{}
	for _, w := range m.writes {
		if w.version <= version {
			state[w.key] = w.value
		}
	}
	return state
}

// contents are all keys of a bucket as a server has them.
func contents(t *testing.T, s *server, bucket string) map[string]string {
	t.Helper()
	items, err := through(t, s, nil).Bucket(bucket, "").List(t.Context(), client.ListQuery{Values: true, Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, i := range items {
		got[i.Key] = i.Text()
	}
	return got
}

// tryCovey is covey with an exit code.
func (s *server) tryCovey(args ...string) (out string, code int) {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "root.key")
	if err := os.WriteFile(file, []byte(rootKey+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	stdout, stderr, code := covey(s.t, append(args, "--endpoint", "http://"+s.http, "--root-key-file", file)...)
	return stdout + stderr, code
}

func verified(t *testing.T, path string) backup.Summary {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := backup.Verify(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Backups are taken through every node while clients write. Each is restored
// into an empty cluster, which then has, key by key, what was acknowledged up to
// the backup's version and nothing else.
func TestABackupUnderLoadRestoresKeyByKey(t *testing.T) {
	t.Parallel()
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	m := model(t, servers, bucket, 8)
	dir := t.TempDir()
	var files []string
	for i, s := range servers {
		m.more(s, size(200, 2000))
		files = append(files, filepath.Join(dir, fmt.Sprintf("%d.covey", i)))
		before := m.count()
		s.covey(t, "", "backup", "create", files[i])
		if v := verified(t, files[i]).Header.Version; len(m.at(v)) == 0 || v < uint64(before) {
			t.Errorf("backup %d is of version %d, %d writes had been acknowledged", i, v, before)
		}
	}
	m.more(servers[0], 100)
	m.end()
	fresh := newCluster(t, 3)
	for i, file := range files {
		s := verified(t, file)
		args := []string{"restore", file}
		if i > 0 {
			args = append(args, "--yes") // the last one is still there
		}
		fresh[i].covey(t, "", args...) // through any node: it goes to the leader
		want := m.at(s.Header.Version)
		for _, f := range fresh {
			if diff := cmp.Diff(want, contents(t, f, bucket)); diff != "" {
				t.Errorf("backup %d of version %d on %s: %s", i, s.Header.Version, f.id, diff)
			}
		}
	}
	t.Logf("%d writes; a backup of %d keys", m.count(), len(m.at(verified(t, files[2]).Header.Version)))
	flippedBytes(t, files[0], fresh)
}

// flippedBytes damages a backup here and there, which must be found out by all
// who read it, and must change nothing.
func flippedBytes(t *testing.T, file string, servers []*server) {
	t.Helper()
	p, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	step := size(13, 1) // no divisor of 8: all bits of a byte have their turn
	for i := rand.IntN(step); i < len(p); i += step {
		q := bytes.Clone(p)
		q[i] ^= 1 << (i % 8)
		if _, err := backup.Verify(bytes.NewReader(q)); err == nil {
			t.Fatalf("byte %d of %d flipped: it is taken", i, len(p))
		}
	}
	was, err := servers[0].status()
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []func([]byte) []byte{
		func(p []byte) []byte { p[len(p)/2] ^= 4; return p },
		func(p []byte) []byte { return p[:len(p)-1] },
		func(p []byte) []byte { return append(p, 0) },
	} {
		bad := filepath.Join(t.TempDir(), "bad.covey")
		if err := os.WriteFile(bad, cut(bytes.Clone(p)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"backup", "verify", bad}, {"restore", bad, "--yes"}} {
			if args[0] == "backup" {
				if _, _, code := covey(t, args...); code != 1 {
					t.Errorf("%v: exit code %d", args, code)
				}
				continue
			}
			if out, code := servers[0].tryCovey(args...); code != 1 {
				t.Errorf("%v: exit code %d %s", args, code, out)
			}
		}
		// Without the command line's own check the leader finds it too.
		body, err := os.ReadFile(bad)
		if err != nil {
			t.Fatal(err)
		}
		leader := leaderOf(t, servers)
		code, answer, err := leader.do("PUT", "/cluster/restore?confirm="+clusterID(t, leader), string(body), map[string]string{"Authorization": "Bearer " + rootKey})
		if err != nil || code != 400 {
			t.Errorf("PUT of a damaged backup: %d %s %v", code, answer, err)
		}
	}
	if now, err := servers[0].status(); err != nil || now.Version != was.Version {
		t.Errorf("version %d became %d, %v", was.Version, now.Version, err)
	}
}

func clusterID(t *testing.T, s *server) string {
	t.Helper()
	_, body, err := s.do("GET", "/cluster/restore", "", map[string]string{"Authorization": "Bearer " + rootKey})
	_, rest, ok := strings.Cut(body, `"cluster_id":"`)
	if err != nil || !ok {
		t.Fatalf("%s %v", body, err)
	}
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// newFullCluster is a cluster with all four APIs.
func newFullCluster(t *testing.T) []*server {
	t.Helper()
	dir := t.TempDir()
	rest, kot := filepath.Join(dir, "restdb.key"), filepath.Join(dir, "kot.password")
	for path, text := range map[string]string{rest: restKey, kot: kotPassword} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newKeyNestCluster(t, 3, "--restdb-key-file", rest, "--kot-password-file", kot)
}

// everything writes one thing through each API, and reads them all.
type everything struct {
	t           *testing.T
	servers     []*server
	bucket      string
	ada         *account
	environment int
	variable    int
	document    string
}

func newEverything(t *testing.T, servers []*server) *everything {
	t.Helper()
	e := &everything{t: t, servers: servers, bucket: servers[0].must("POST", "/", "")}
	e.ada = register(t, servers[0], "ada")
	_, e.environment = e.ada.environment(servers[0], "acme")
	e.variable = e.ada.want(servers[0], 201, "POST", "/api/variables/", fields{"key": "COLOR", "value": "none", "environment": e.environment}).number("id")
	_, answer, err := servers[0].rest("POST", "/rest/things", `{"color":"none"}`)
	_, rest, ok := strings.Cut(answer, `"_id":"`)
	if err != nil || !ok {
		t.Fatalf("%s %v", answer, err)
	}
	e.document, _, _ = strings.Cut(rest, `"`)
	kotClient{t, "http://" + servers[0].http}.post("/database/create", "database_name", "paint")
	return e
}

func (e *everything) set(color string) {
	e.t.Helper()
	s := e.servers[0]
	if code, answer, err := s.do("PUT", "/"+e.bucket+"/color", color, nil); err != nil || code != 200 {
		e.t.Fatalf("%d %s %v", code, answer, err)
	}
	e.ada.want(s, 200, "PATCH", fmt.Sprintf("/api/variables/%d/", e.variable), fields{"value": color})
	if code, answer, err := s.rest("PATCH", "/rest/things/"+e.document, `{"color":"`+color+`"}`); err != nil || code != 200 {
		e.t.Fatalf("%d %s %v", code, answer, err)
	}
	if code, answer := (kotClient{e.t, "http://" + s.http}).post("/controller/set", "database_name", "paint", "key", "color", "value", color); code != 200 {
		e.t.Fatalf("%d %s", code, answer)
	}
}

// shows is what a server reads through each API.
func (e *everything) shows(s *server) map[string]string {
	e.t.Helper()
	got := map[string]string{"kvdb": s.must("GET", "/"+e.bucket+"/color", "")}
	got["keynest"] = e.ada.exported(s, e.environment)["COLOR"]
	_, answer, err := s.rest("GET", "/rest/things/"+e.document, "")
	if err != nil {
		e.t.Fatal(err)
	}
	_, got["restdb"], _ = strings.Cut(answer, `"color":"`)
	got["restdb"], _, _ = strings.Cut(got["restdb"], `"`)
	if v := (kotClient{e.t, "http://" + s.http}).get("paint", "color", nil); v != nil {
		got["kot"] = *v
	}
	return got
}

// A running cluster is put back to a backup while clients write. All nodes show
// it through all APIs at once, whatever they had in memory; writes go on; a watch
// is told that its place is gone.
func TestARunningClusterIsPutBack(t *testing.T) {
	t.Parallel()
	servers := newFullCluster(t)
	e := newEverything(t, servers)
	e.set("red")
	file := filepath.Join(t.TempDir(), "red.covey")
	servers[1].covey(t, "", "backup", "create", file)
	e.set("blue")
	servers[0].covey(t, "", "collection", "create", "later")
	other := servers[0].must("POST", "/", "")
	for range 3 { // so that every cache holds it
		for _, s := range servers {
			want := map[string]string{"kvdb": "blue", "keynest": "blue", "restdb": "blue", "kot": "blue"}
			if diff := cmp.Diff(want, e.shows(s)); diff != "" {
				t.Fatal(s.id, diff)
			}
		}
	}
	watched := make(chan error, 1)
	go func() {
		for event, err := range through(t, servers[2], servers).Bucket(e.bucket, "").Watch(t.Context(), client.WatchQuery{}) {
			if err != nil || event.Kind == "reset" {
				watched <- err
				return
			}
		}
	}()
	m := &modelled{}
	stop := keepWriting(t, servers, e.bucket, m)
	m.more(servers[0], 50)
	if out, code := servers[0].tryCovey("restore", file); code != 2 || !strings.Contains(out, "replace all data") {
		t.Errorf("without --yes: %d %s", code, out)
	}
	servers[0].covey(t, "", "restore", file, "--yes")
	restored, err := servers[0].status()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		want := map[string]string{"kvdb": "red", "keynest": "red", "restdb": "red", "kot": "red"}
		if diff := cmp.Diff(want, e.shows(s)); diff != "" {
			t.Error(s.id, diff)
		}
		if code, body, err := s.do("GET", "/"+other+"/", "", nil); err != nil || code != 404 {
			t.Errorf("a bucket made after the backup is there: %d %s %v", code, body, err)
		}
	}
	m.more(servers[0], 50)
	stop()
	select {
	case err := <-watched:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the watch goes on as if nothing had been")
	}
	got := contents(t, servers[1], e.bucket)
	delete(got, "color")
	for key, version := range acknowledged(m) {
		if _, ok := got[key]; !ok && version > restored.Version {
			t.Errorf("%s, written at version %d after the restore, is gone", key, version)
		}
		delete(got, key)
	}
	if len(got) > 8 { // one of each writer may have had an unknown outcome
		t.Errorf("the bucket holds %d keys that nobody wrote", len(got))
	}
	for i, color := range []string{"green", "white"} {
		e.set(color)
		for _, s := range servers {
			want := map[string]string{"kvdb": color, "keynest": color, "restdb": color, "kot": color}
			if diff := cmp.Diff(want, e.shows(s)); diff != "" {
				t.Errorf("write %d after the restore: %s %s", i, s.id, diff)
			}
		}
	}
}

// keepWriting writes keys of their own, through all servers; what has an unknown
// outcome is left.
func keepWriting(t *testing.T, servers []*server, bucket string, m *modelled) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	for w := range 8 {
		s := servers[w%len(servers)]
		m.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("w%d-%d", w, i)
				code, answer, err := s.do("PUT", "/"+bucket+"/"+key, "x", nil)
				if err != nil || code != 200 && code != 504 {
					t.Errorf("%s: %d %s %v", key, code, answer, err)
					return
				}
				if code != 200 {
					continue
				}
				st, err := s.status() // no earlier than the write
				if err != nil {
					t.Error(err)
					return
				}
				m.mu.Lock()
				m.writes = append(m.writes, acked{key: key, version: st.Version})
				m.mu.Unlock()
			}
		})
	}
	m.stop = cancel
	return m.end
}

func acknowledged(m *modelled) map[string]uint64 {
	all := map[string]uint64{}
	for _, w := range m.writes {
		all[w.key] = w.version
	}
	return all
}

// The leader is killed at some moment of a restore, again and again. Then all
// nodes have what was before, or all have what the backup holds.
func TestAKilledLeaderLeavesOneStateEverywhere(t *testing.T) {
	t.Parallel()
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	b := through(t, servers[0], servers).Bucket(bucket, "")
	const pads = 640 // 20 pieces of a restore
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < pads; i += 8 {
				value := bytes.Repeat([]byte(strconv.Itoa(1_000_000_000+rand.IntN(1e9))), 1600)
				if _, err := b.Set(t.Context(), fmt.Sprint("pad", i), value[:16000], client.Write{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	file := filepath.Join(t.TempDir(), "b.covey")
	servers[0].covey(t, "", "backup", "create", file)
	seen := map[string]int{}
	const span = 900 * time.Millisecond // over which the kills are spread: a restore takes about as long
	turns := size(3, 6)
	for round := range size(turns, 40) {
		mark := strconv.Itoa(round)
		servers[0].waitFor("written to", patience, func() error {
			code, answer, err := servers[0].do("PUT", "/"+bucket+"/mark", mark, nil)
			if err == nil && code != 200 {
				err = fmt.Errorf("%d %s", code, answer)
			}
			return err
		})
		leader := leaderOf(t, servers)
		done := make(chan string, 1)
		go func() {
			out, code := leader.tryCovey("restore", file, "--yes")
			done <- fmt.Sprint(code, " ", out)
		}()
		turn := span / time.Duration(turns)
		time.Sleep(time.Duration(round%turns)*turn + rand.N(turn))
		leader.kill()
		told := <-done
		leader.start()
		states := map[string]bool{}
		for _, s := range servers {
			s.waitReady(patience)
			_, body, err := s.do("GET", "/"+bucket+"/mark", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(contentsOf(t, s, bucket)); n < pads {
				t.Errorf("round %d: %s holds %d keys", round, s.id, n)
			}
			states[map[bool]string{true: "old", false: "new"}[body == mark]] = true
		}
		if len(states) != 1 {
			t.Fatalf("round %d: the nodes have different states: %s", round, told)
		}
		for state := range maps.Keys(states) {
			seen[state]++
			if strings.HasPrefix(told, "0 ") && state == "old" {
				t.Errorf("round %d: reported as done, and it is not", round)
			}
			if state == "new" && strings.Contains(told, "nothing has changed") {
				t.Errorf("round %d: reported as not done, and it is: %s", round, told)
			}
		}
	}
	t.Logf("the states after the kills: %v", seen)
}

func contentsOf(t *testing.T, s *server, bucket string) []string {
	t.Helper()
	items, err := through(t, s, nil).Bucket(bucket, "").List(t.Context(), client.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, i := range items {
		keys = append(keys, i.Key)
	}
	return keys
}

// Secrets are sealed in a backup: a cluster with another keyring refuses it and
// names the keys.
func TestABackupWhoseSecretsNobodyCanOpenIsRefused(t *testing.T) {
	t.Parallel()
	s := newKeyNestCluster(t, 1)[0]
	ada := register(t, s, "ada")
	_, environment := ada.environment(s, "acme")
	ada.want(s, 201, "POST", "/api/variables/", fields{"key": "TOKEN", "value": "hush-hush", "environment": environment})
	dir := t.TempDir()
	file := filepath.Join(dir, "b.covey")
	s.covey(t, "", "backup", "create", file)
	if p, err := os.ReadFile(file); err != nil || bytes.Contains(p, []byte("hush-hush")) || bytes.Contains(p, []byte(rootKey)) {
		t.Errorf("the backup holds a secret in clear text, %v", err)
	}
	other := newKeyNestCluster(t, 1)[0]
	if out, code := other.tryCovey("restore", file); code != 5 || !strings.Contains(out, primaryOf(t, s.ring())) {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := other.tryCovey("restore", file, "--dry-run", "--force"); code != 0 || !strings.Contains(out, "nothing was changed") {
		t.Errorf("a dry run: %d %s", code, out)
	}
	if out, code := other.tryCovey("restore", file, "--force"); code != 0 {
		t.Errorf("with --force: %d %s", code, out)
	}
}
