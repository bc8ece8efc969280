package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkListVariables lists an environment of 500 variables, values and all,
// through a follower. Each list is also an entry of the audit log.
func BenchmarkListVariables(b *testing.B) {
	servers := newKeyNestCluster(b, 3)
	s := followerOf(b, servers)
	ada := register(b, s, "ada")
	_, environment := ada.environment(s, "acme")
	path := fmt.Sprintf("/api/environments/%d/", environment)
	ada.want(s, 200, "POST", path+"import/", fields{"data": dotenv(500, strings.Repeat("v", 100))})
	for b.Loop() {
		header := map[string]string{"Authorization": "Token " + ada.token}
		code, answer, err := s.do("GET", path+"variables/", "", header)
		if err != nil || code != 200 || strings.Count(answer, `"decrypted_value"`) != 500 {
			b.Fatalf("%d, %d bytes, %v", code, len(answer), err)
		}
	}
}

// BenchmarkReadsBesideLogins measures reads of keys with and without 200 login
// attempts a second on the same node, in turns, so that whatever else the
// machine does meets both. An operation is one turn of each.
func BenchmarkReadsBesideLogins(b *testing.B) {
	servers := newKeyNestCluster(b, 3)
	s := followerOf(b, servers)
	ada := register(b, s, "ada")
	bucket := s.must("POST", "/", "")
	s.must("PUT", "/"+bucket+"/k", "v")
	body, err := json.Marshal(fields{"email": ada.email, "password": keynestPassword})
	if err != nil {
		b.Fatal(err)
	}
	const turn = 2 * time.Second
	var alone, beside []time.Duration
	var done, refused, failed atomic.Int64
	login := func() {
		switch code, _, err := s.do("POST", "/api/auth/login/", string(body), map[string]string{"Content-Type": "application/json"}); {
		case err == nil && code == 200:
			done.Add(1)
		case err == nil && (code == 503 || code == 429):
			refused.Add(1)
		default:
			failed.Add(1)
		}
	}
	for b.Loop() {
		alone = append(alone, readEvery(b, s, "/"+bucket+"/k", turn)...)
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			attempt(5*time.Millisecond, stop, login)
		}()
		beside = append(beside, readEvery(b, s, "/"+bucket+"/k", turn)...)
		close(stop)
		<-ended // and with it the last login
	}
	a, w := percentile(alone, 99), percentile(beside, 99)
	b.ReportMetric(float64(a.Microseconds()), "p99-alone-µs")
	b.ReportMetric(float64(w.Microseconds()), "p99-beside-µs")
	b.ReportMetric(float64(percentile(alone, 50).Microseconds()), "p50-alone-µs")
	b.ReportMetric(float64(percentile(beside, 50).Microseconds()), "p50-beside-µs")
	b.ReportMetric(float64(w)/float64(a), "p99-ratio")
	perTurn := 1 / (float64(b.N) * turn.Seconds())
	b.ReportMetric(float64(done.Load())*perTurn, "logins/s")
	b.ReportMetric(float64(refused.Load())*perTurn, "refused/s")
	if failed.Load() > 0 {
		b.Errorf("%d logins were answered otherwise", failed.Load())
	}
}

// attempt starts do again and again, whether or not the ones before have
// ended, and returns when all have.
func attempt(every time.Duration, stop chan struct{}, do func()) {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			wg.Go(do)
		case <-stop:
			return
		}
	}
}

// readEvery reads a path 400 times a second for some time, and returns how
// long each took.
func readEvery(b *testing.B, s *server, path string, limit time.Duration) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	stop := make(chan struct{})
	end := time.AfterFunc(limit, func() { close(stop) })
	defer end.Stop()
	attempt(2500*time.Microsecond, stop, func() {
		began := time.Now()
		code, body, err := s.do("GET", path, "", nil)
		d := time.Since(began)
		if err != nil || code != 200 {
			b.Errorf("read: %d %s %v", code, body, err)
		}
		mu.Lock()
		took = append(took, d)
		mu.Unlock()
	})
	return took
}

func percentile(all []time.Duration, p int) time.Duration {
	slices.Sort(all)
	return all[min(len(all)*p/100, len(all)-1)]
}
