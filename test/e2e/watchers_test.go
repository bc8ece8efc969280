package e2e

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// idleWatchers opens n watches of bucket id, each of a prefix of its own that
// nothing is written to, from as many addresses as one client's share asks for.
func idleWatchers(b *testing.B, s *server, id string, n int) []net.Conn {
	b.Helper()
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	for part := range 16 {
		wg.Go(func() {
			for i := part; i < n; i += 16 {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/900))}}
				c, err := d.Dial("tcp", s.http)
				if err != nil {
					b.Error(err)
					return
				}
				conns[i] = c
				fmt.Fprintf(c, "GET /%s/?watch=true&prefix=user:%d: HTTP/1.1\r\nHost: x\r\n\r\n", id, i)
				r := bufio.NewReaderSize(c, 512)
				for line := ""; !strings.HasPrefix(line, "event: ready"); {
					if line, err = r.ReadString('\n'); err != nil {
						b.Errorf("watch %d: %v", i, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return conns
}

// gauges reads unlabelled series of /metrics.
func (s *server) gauges(names ...string) []float64 {
	s.t.Helper()
	values := make([]float64, len(names))
	for line := range strings.Lines(s.must("GET", "/metrics", "")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if i := slices.Index(names, name); i >= 0 {
			values[i], _ = strconv.ParseFloat(value, 64)
		}
	}
	return values
}

// setsFor writes keys for a while and returns how many sets a second were
// acknowledged, and how many microseconds of the server's processor each took.
func (s *server) setsFor(b *testing.B, id string, d time.Duration) (rate, cpu float64) {
	b.Helper()
	const writers = 32
	before := s.gauges("process_cpu_seconds_total")[0]
	var n atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; time.Since(began) < d; i++ {
				if code, _, err := s.do("PUT", fmt.Sprintf("/%s/x%d-%d", id, w, i%1000), "value", nil); err != nil || code != 200 {
					b.Errorf("set: %d %v", code, err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(began).Seconds()
	return float64(n.Load()) / took, (s.gauges("process_cpu_seconds_total")[0] - before) * 1e6 / float64(n.Load())
}

// BenchmarkIdleWatchers says what 10,000 idle watches cost a node: memory for
// each, and what they take from sets into the same bucket. Turns without any,
// with one and with all of them take place in the same run, in changing order.
func BenchmarkIdleWatchers(b *testing.B) {
	const watchers, turns, turn = 10_000, 5, 3 * time.Second
	s := newCluster(b, 1)[0]
	id := s.must("POST", "/", "")
	s.setsFor(b, id, turn) // warm
	memory := []string{"process_resident_memory_bytes", "go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes"}
	rates, cpus := map[int][]float64{}, map[int][]float64{}
	arms := []int{0, 1, watchers}
	for i := range turns {
		for j := range arms {
			n := arms[(i+j)%len(arms)]
			before := s.gauges(memory...)
			conns := idleWatchers(b, s, id, n)
			after := s.gauges(memory...)
			rate, cpu := s.setsFor(b, id, turn)
			rates[n], cpus[n] = append(rates[n], rate), append(cpus[n], cpu)
			fmt.Printf("turn %d, %5d watches: %.0f sets/s, %.0f µs of processor each; more than before: %.0f MiB resident, %.0f heap, %.0f stack\n",
				i, n, rate, cpu, (after[0]-before[0])/(1<<20), (after[1]-before[1])/(1<<20), (after[2]-before[2])/(1<<20))
			for _, c := range conns {
				c.Close()
			}
			s.waitFor("rid of its watches", patience, func() error {
				if n := s.gauges(`covey_http_streams{api="kvdb"}`)[0]; n != 0 {
					return fmt.Errorf("%v streams", n)
				}
				return nil
			})
		}
	}
	for _, n := range arms {
		b.ReportMetric(median(rates[n]), fmt.Sprintf("sets/s-with-%d", n))
		b.ReportMetric(median(cpus[n]), fmt.Sprintf("cpu-us/set-with-%d", n))
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
