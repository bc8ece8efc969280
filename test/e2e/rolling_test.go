package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer knows which nodes are ready, as a load balancer does: it asks each
// of them all the time, and believes the last answer.
type balancer struct {
	servers []*server
	ready   []atomic.Bool
}

func newBalancer(servers []*server) *balancer {
	return &balancer{servers, make([]atomic.Bool, len(servers))}
}

// run asks until ctx ends.
func (b *balancer) run(ctx context.Context) {
	var wg sync.WaitGroup
	for i, s := range b.servers {
		wg.Go(func() {
			probe := &http.Client{Timeout: 2 * time.Second}
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				res, err := probe.Get("http://" + s.http + "/readyz")
				b.ready[i].Store(err == nil && res.StatusCode == http.StatusOK)
				if err == nil {
					res.Body.Close()
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
}

// pick returns one of the ready nodes.
func (b *balancer) pick() *server {
	n := rand.IntN(len(b.servers))
	for i := range b.servers {
		if k := (n + i) % len(b.servers); b.ready[k].Load() {
			return b.servers[k]
		}
	}
	return nil
}

// onlyOnce is a body of which Go's client has no second copy: it repeats no such
// request by itself when a connection that it kept breaks.
type onlyOnce struct{ io.Reader }

func (onlyOnce) Close() error { return nil }

// send makes one request, once.
func send(c *http.Client, s *server, method, path, body string) (string, error) {
	req, err := http.NewRequest(method, "http://"+s.http+path, nil)
	if err != nil {
		return "", err
	}
	req.Body = onlyOnce{strings.NewReader(body)}
	if req.ContentLength = int64(len(body)); body == "" {
		req.ContentLength = -1
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	p, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s (%s)", res.StatusCode, p, res.Header.Get("Covey-Reason"))
	}
	return string(p), err
}

// customers are clients that keep their connections, ask ready nodes, and never
// ask twice.
type customers struct {
	t      *testing.T
	b      *balancer
	bucket string
	done   atomic.Int64
	failed atomic.Int64
}

// shop writes and reads a key of its own until ctx ends. What it reads, through
// any node, must be what it wrote last.
func (c *customers) shop(ctx context.Context, id int) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	path := fmt.Sprintf("/%s/key-%d", c.bucket, id)
	for i := 1; ctx.Err() == nil; i++ {
		want := fmt.Sprint(i)
		c.ask(client, "POST", path, want)
		if got := c.ask(client, "GET", path, ""); got != want && c.failed.Load() == 0 {
			c.t.Errorf("client %d wrote %s and read %q", id, want, got)
			return
		}
	}
}

func (c *customers) ask(client *http.Client, method, path, body string) string {
	s := c.b.pick()
	if s == nil {
		if c.failed.Add(1) < 10 {
			c.t.Error("no node is ready")
		}
		return ""
	}
	got, err := send(client, s, method, path, body)
	if err != nil {
		if c.failed.Add(1) < 10 {
			c.t.Errorf("%s %s through %s: %v", method, path, s.id, err)
		}
		return ""
	}
	c.done.Add(1)
	return got
}

// wait returns when n requests more have been answered.
func (c *customers) wait(n int64) {
	c.t.Helper()
	from := c.done.Load()
	c.b.servers[0].waitFor("asked more", 60*time.Second, func() error {
		if now := c.done.Load(); now < from+n && c.failed.Load() == 0 {
			return fmt.Errorf("%d requests since", now-from)
		}
		return nil
	})
}

func TestARollingRestartLosesNoRequest(t *testing.T) {
	servers := newCluster(t, 3)
	for _, s := range servers {
		s.extra = append(s.extra, "--drain-time", "1s")
	}
	for _, s := range servers { // they were started without
		s.terminate()
		s.start()
		s.waitReady(patience)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	c := &customers{t: t, b: newBalancer(servers), bucket: servers[0].must("POST", "/", "")}
	wg.Go(func() { c.b.run(ctx) })
	servers[0].waitFor("all ready", patience, func() error {
		for i := range servers {
			if !c.b.ready[i].Load() {
				return fmt.Errorf("%s is not", servers[i].id)
			}
		}
		return nil
	})
	for id := range 32 {
		wg.Go(func() { c.shop(ctx, id) })
	}
	for round := range size(1, 5) {
		// The leader goes first in every other round, so that the lead moves while
		// it is wanted most.
		order := servers
		if lead := leaderOf(t, servers); round%2 == 0 {
			order = append([]*server{lead}, others(servers, lead)...)
		}
		for _, s := range order {
			c.wait(200)
			s.terminate()
			c.wait(200)
			s.start()
			s.waitReady(patience)
		}
	}
	c.wait(200)
	cancel()
	wg.Wait()
	t.Logf("%d requests, %d failed", c.done.Load(), c.failed.Load())
	if c.failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", c.failed.Load(), c.done.Load()+c.failed.Load())
	}
}
