package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/client"
)

// through returns a client that prefers one server, and knows all.
func through(t *testing.T, first *server, servers []*server) *client.Client {
	t.Helper()
	endpoints := []string{"http://" + first.http}
	for _, s := range servers {
		if s != first {
			endpoints = append(endpoints, "http://"+s.http)
		}
	}
	c, err := client.New(client.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// writeTagged sets keys w/0, w/1... one after the other, each to its number.
func writeTagged(ctx context.Context, b *client.Bucket, writer, n int) error {
	for i := range n {
		if _, err := b.Set(ctx, fmt.Sprintf("%d/%d", writer, i), []byte(strconv.Itoa(i)), client.Write{}); err != nil {
			return err
		}
	}
	return nil
}

// A watch goes through a follower; while clients write through all nodes that
// one is killed, and the watch goes on through another: every change comes once,
// in the order of the commits.
func TestAWatchOutlivesItsNode(t *testing.T) {
	t.Parallel()
	const writers = 3
	each := size(150, 2000)
	servers := newCluster(t, 3)
	id := servers[0].must("POST", "/", "")
	doomed := followerOf(t, servers)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	var begin, wg sync.WaitGroup
	begin.Add(1)
	for w := range writers {
		wg.Go(func() {
			begin.Wait()
			if err := writeTagged(ctx, through(t, servers[w], servers).Bucket(id, ""), w, each); err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
		})
	}
	next := make([]int, writers) // of each writer
	seen, last := 0, uint64(0)
	for e, err := range through(t, doomed, servers).Bucket(id, "").Watch(ctx, client.WatchQuery{Values: true}) {
		if err != nil {
			t.Fatalf("after %d changes: %v", seen, err)
		}
		if e.Kind == "ready" {
			begin.Done()
			continue
		}
		w, n := tag(t, e)
		if n != next[w] || e.Text() != strconv.Itoa(n) || !e.Created || e.Version <= last {
			t.Fatalf("%+v came after version %d, the next of writer %d is %d", e, last, w, next[w])
		}
		next[w]++
		last = e.Version
		if seen++; seen == writers*each/3 {
			doomed.kill()
		}
		if seen == writers*each {
			break
		}
	}
	wg.Wait()
}

// tag reads whose change an event tells of, and which.
func tag(t *testing.T, e client.WatchEvent) (writer, n int) {
	t.Helper()
	if _, err := fmt.Sscanf(e.Key, "%d/%d", &writer, &n); err != nil || e.Kind != "set" || writer < 0 || writer > 2 {
		t.Fatalf("got %+v", e)
	}
	return writer, n
}

// A node that stops does not wait for its watches, and tells them.
func TestWatchesDoNotHoldUpANodeThatStops(t *testing.T) {
	t.Parallel()
	s := newCluster(t, 1)[0]
	id := s.must("POST", "/", "")
	const watches = 50
	bodies := make(chan string, watches)
	for range watches {
		res, err := http.Get("http://" + s.http + "/" + id + "/?watch=true")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		go func() {
			p, _ := io.ReadAll(res.Body)
			bodies <- string(p)
		}()
	}
	s.terminate()
	for range watches {
		if body := <-bodies; !strings.Contains(body, "event: ready\n") || !strings.HasSuffix(body, "event: end\ndata: {\"reason\":\"this node stops, connect to another one\"}\n\n") {
			t.Errorf("a watch was told %q", body)
		}
	}
	if strings.Contains(s.log.String(), "broken off") {
		t.Error("requests were broken off")
	}
}
