package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// product is a document as JSON: one in a thousand has the same group, about
// one the same price.
func product(i int) string {
	return fmt.Sprintf(`{"sku":"sku-%07d","group":"g%d","price":%d,"name":"product number %d","tags":["t%d","t%d"],"created":"2026-%02d-%02dT10:00:00.000Z"}`,
		i, i%1000, rand.IntN(1_000_000), i, i%50, i%70, i%12+1, i%28+1)
}

// readSeconds returns how long the server has worked on reads of an API, and on
// how many.
func (s *server) readSeconds(t *testing.T, api string) (sum, count float64) {
	t.Helper()
	for line := range strings.Lines(s.must("GET", "/metrics", "")) {
		fmt.Sscanf(line, `covey_http_request_seconds_sum{api="`+api+`",class="read"} %g`, &sum)
		fmt.Sscanf(line, `covey_http_request_seconds_count{api="`+api+`",class="read"} %g`, &count)
	}
	return sum, count
}

// Many documents are imported, indexed and found. The times are printed; what
// is checked is that the answers are right and that the indexes are used.
func TestManyDocuments(t *testing.T) {
	beside(t)
	servers := newRestCluster(t, 3)
	s := servers[1]
	documents := size(5_000, 1_000_000)
	path := filepath.Join(t.TempDir(), "products.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range documents {
		fmt.Fprintln(w, product(i))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	s.covey(t, "", "collection", "create", "products")
	began := time.Now()
	s.covey(t, "", "collection", "import", "products", path)
	t.Logf("%d documents imported in %v", documents, time.Since(began))
	began = time.Now()
	for _, field := range []string{"group", "price"} {
		s.covey(t, "", "collection", "index", "create", "products", field, "--wait")
	}
	t.Logf("two indexes built in %v", time.Since(began))

	for _, tt := range []struct {
		what  string
		query func() (q, rest string)
		least int // of documents in an answer
	}{
		{"equality, one in a thousand, max 20", func() (string, string) {
			return fmt.Sprintf(`{"group":"g%d"}`, rand.IntN(1000)), "&max=20"
		}, min(20, documents/1000)},
		{"equality, about one", func() (string, string) { return fmt.Sprintf(`{"price":%d}`, rand.IntN(1_000_000)), "" }, 0},
		{"range of one in a thousand, sort, max 20", func() (string, string) {
			lo := rand.IntN(999_000)
			return fmt.Sprintf(`{"price":{"$gte":%d,"$lt":%d}}`, lo, lo+1000), "&sort=price&max=20"
		}, 0},
		{"range of one in a hundred, sort, max 20", func() (string, string) {
			lo := rand.IntN(990_000)
			return fmt.Sprintf(`{"price":{"$gte":%d,"$lt":%d}}`, lo, lo+10_000), "&sort=price&max=20"
		}, 1},
	} {
		before, n := s.readSeconds(t, "restdb")
		for i := range 200 {
			q, rest := tt.query()
			path := "/rest/products?q=" + url.QueryEscape(q) + rest
			code, body, err := s.rest("GET", path, "")
			if err != nil || code != 200 || strings.Count(body, `"_id"`) < tt.least {
				t.Fatalf("%s: %s: %d %.300s %v", tt.what, q, code, body, err)
			}
			if i > 0 {
				continue
			}
			if _, plan, err := s.rest("GET", path+"&explain=true", ""); err != nil || !strings.Contains(plan, `"plan":"index"`) {
				t.Errorf("%s: %s does not use an index: %s %v", tt.what, q, plan, err)
			}
		}
		after, m := s.readSeconds(t, "restdb")
		if m < n+200 {
			t.Fatalf("of 200 reads %v are counted", m-n)
		}
		t.Logf("%s: %.2f ms in the server", tt.what, (after-before)/(m-n)*1000)
	}

	bucket := s.must("POST", "/", "")
	leader := leaderOf(t, servers)
	for range size(1, 3) {
		keys := leader.load(t, func(i int) (int, string, error) {
			return leader.do("PUT", fmt.Sprintf("/%s/k%d-%d", bucket, i, rand.Uint64()), product(i), nil)
		}, 200)
		inserts := leader.load(t, func(i int) (int, string, error) { return leader.rest("POST", "/rest/products", product(i)) }, 201)
		t.Logf("keys set %.0f/s, documents with two indexes inserted %.0f/s, ratio %.2f", keys, inserts, inserts/keys)
	}
}

// load makes calls from 64 clients for a time, all of which must be answered
// with want, and returns how many a second there were.
func (s *server) load(t *testing.T, call func(i int) (int, string, error), want int) float64 {
	t.Helper()
	lasts := time.Duration(size(300, 6000)) * time.Millisecond
	var n atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(lasts)
	for range 64 {
		wg.Go(func() {
			for time.Now().Before(end) {
				if code, body, err := call(int(n.Add(1))); err != nil || code != want {
					t.Errorf("%s: %d %.200s %v", s.id, code, body, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / lasts.Seconds()
}
