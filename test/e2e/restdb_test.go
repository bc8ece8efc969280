package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const restKey = "0123456789abcdef0123456789abcdef01234"

var restHeader = map[string]string{"x-apikey": restKey, "Content-Type": "application/json"}

// newRestCluster is newCluster with a full-access key for the RestDB API.
func newRestCluster(t *testing.T, size int) []*server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "restdb.key")
	if err := os.WriteFile(file, []byte(restKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := make([]*server, size)
	for i := range servers {
		servers[i] = newServer(t, fmt.Sprintf("n%d", i+1), size)
		servers[i].join = servers[0].gossip
		servers[i].extra = []string{"--restdb-key-file", file}
		servers[i].start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	return servers
}

// covey runs the command line against the server.
func (s *server) covey(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, append(args, "--endpoint", "http://"+s.http)...)
	cmd.Env = append(os.Environ(), "COVEY_ROOT_KEY="+rootKey)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("covey %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *server) rest(method, path, body string) (code int, answer string, err error) {
	return s.do(method, path, body, restHeader)
}

// Of many who insert the same unique value through different nodes at once,
// exactly one succeeds.
func TestOneOfManyUniqueInsertsWins(t *testing.T) {
	t.Parallel()
	servers := newRestCluster(t, 3)
	servers[0].covey(t, `{"fields":[{"name":"email","fieldtype":"email","required":true,"unique":true}]}`,
		"collection", "schema", "set", "people", "-")
	for round := range size(5, 50) {
		body := fmt.Sprintf(`{"email":"user%d@example.com"}`, round)
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for client := range 64 {
			wg.Go(func() {
				code, answer, err := servers[client%3].rest("POST", "/rest/people", body)
				switch {
				case err == nil && code == 201:
					won.Add(1)
				case err == nil && code == 400 && strings.Contains(answer, `"UNIQUE"`) && strings.Contains(answer, `"field":"email"`):
					lost.Add(1)
				default:
					t.Errorf("insert: %d %s %v", code, answer, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 63 {
			t.Errorf("round %d: %d were stored and %d refused, want 1 and 63", round, won.Load(), lost.Load())
		}
	}
}

// count returns how many documents of coll a query matches.
func (s *server) count(coll, q string) (int, error) {
	code, body, err := s.rest("GET", "/rest/"+coll+"?totals=true&count=true&q="+q, "")
	if err != nil {
		return 0, err
	}
	var doc struct {
		Totals struct {
			Count int `json:"count"`
		} `json:"totals"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || code != 200 {
		return 0, fmt.Errorf("%d %s: %w", code, body, err)
	}
	return doc.Totals.Count, nil
}

// A bulk insert is stored whole or not at all, whichever node dies meanwhile;
// one that was acknowledged is stored.
func TestABulkInsertIsAllOrNothing(t *testing.T) {
	t.Parallel()
	servers := newRestCluster(t, 3)
	if code, body, err := servers[0].rest("POST", "/rest/bulk", `{"batch":"first"}`); code != 201 || err != nil {
		t.Fatalf("create: %d %s %v", code, body, err)
	}
	const documents = 500
	stop := make(chan struct{})
	var next atomic.Int64
	var acknowledged sync.Map
	var wg sync.WaitGroup
	for lane := range 6 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				batch := fmt.Sprint("b", next.Add(1))
				body := "[" + strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"batch":%q,"text":%q},`, batch, strings.Repeat("x", 200)), documents), ",") + "]"
				if code, _, err := servers[lane%3].rest("POST", "/rest/bulk", body); err == nil && code == 201 {
					acknowledged.Store(batch, true)
				}
			}
		})
	}
	for range size(2, 6) {
		time.Sleep(time.Second)
		victim := servers[rand.N(3)]
		if rand.N(2) == 0 {
			victim = leaderOf(t, servers)
		}
		victim.kill()
		time.Sleep(time.Duration(rand.N(500)) * time.Millisecond)
		victim.start()
		victim.waitReady(patience)
	}
	close(stop)
	wg.Wait()
	h := url.QueryEscape(`{"$groupby":["batch"],"$aggregate":["COUNT:documents"]}`)
	code, body, err := servers[1].rest("GET", "/rest/bulk?h="+h, "")
	var groups map[string]map[string]int
	if err := errors.Join(err, json.Unmarshal([]byte(body), &groups)); code != 200 || err != nil {
		t.Fatalf("count: %d %.200s %v", code, body, err)
	}
	stored := 0
	for i := range next.Load() {
		batch := fmt.Sprint("b", i+1)
		n := groups[batch]["COUNT documents"]
		if _, sure := acknowledged.Load(batch); n != documents && (n != 0 || sure) {
			t.Errorf("batch %s: %d of %d documents, acknowledged: %v", batch, n, documents, sure)
		}
		stored += n
	}
	t.Logf("%d bulk inserts, %d documents stored", next.Load(), stored)
	if stored == 0 {
		t.Error("nothing was stored")
	}
}

// An index build goes on after the leader is killed, and what it makes is
// whole, beside writers.
func TestAnIndexBuildSurvivesTheLeader(t *testing.T) {
	t.Parallel()
	servers := newRestCluster(t, 3)
	documents := size(20_000, 300_000)
	const each = 1000
	for i := 0; i < documents; i += each {
		var b strings.Builder
		for n := i; n < i+each; n++ {
			fmt.Fprintf(&b, `,{"n":%d,"group":"g%d"}`, n, n%100)
		}
		if code, body, err := servers[0].rest("POST", "/rest/indexed", "["+b.String()[1:]+"]"); code != 201 || err != nil {
			t.Fatalf("fill: %d %.200s %v", code, body, err)
		}
	}
	servers[1].covey(t, "", "collection", "index", "create", "indexed", "group")
	stop := make(chan struct{})
	var written atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if code, _, err := servers[2].rest("POST", "/rest/indexed", `{"group":"late"}`); err == nil && code == 201 {
				written.Add(1)
			}
		}
	})
	leader := leaderOf(t, servers)
	leader.kill()
	time.Sleep(500 * time.Millisecond)
	leader.start()
	leader.waitReady(patience)
	leader.waitFor("done with the index", 60*time.Second, func() error {
		list, code := leader.tryCovey("collection", "index", "list", "indexed", "-o", "json")
		if code != 0 || !strings.Contains(list, `"ready"`) {
			return fmt.Errorf("index list: %s", list)
		}
		return nil
	})
	close(stop)
	wg.Wait()
	for _, s := range servers {
		_, plan, err := s.rest("GET", `/rest/indexed?explain=true&q={"group":"g7"}`, "")
		if err != nil || !strings.Contains(plan, `"group"`) {
			t.Errorf("%s does not use the index: %s %v", s.id, plan, err)
		}
		if n, err := s.count("indexed", `{"group":"g7"}`); err != nil || n != documents/100 {
			t.Errorf("%s finds %d documents of g7, %v, want %d", s.id, n, err, documents/100)
		}
		// Some inserts may have been applied without an answer.
		if n, err := s.count("indexed", `{"group":"late"}`); err != nil || int64(n) < written.Load() || int64(n) > written.Load()+5 {
			t.Errorf("%s finds %d late documents, %v, want %d", s.id, n, err, written.Load())
		}
	}
}
