package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Op is what the clients do.
type Op string

// The three loads: writes of a value, reads of a value, additions to a counter.
const (
	Set  Op = "set"
	Get  Op = "get"
	Incr Op = "incr"
)

// Config describes one run.
type Config struct {
	Op          Op
	Targets     []Target // clients are spread over them in turn
	Bucket      string   // an existing bucket
	Key         string   // its credential; "" = none
	Clients     int
	Duration    time.Duration // of the measurement; ignored when Count is set
	Count       int64         // operations to measure; 0 = by time
	Warmup      time.Duration // before the measurement
	ValueSize   int           // bytes a value
	Keys        int           // how many different keys
	Consistency string        // of reads; "" = the service's default
	Timeout     time.Duration // of one request

	// CPU returns the seconds of CPU that all servers have used; nil = not measured.
	CPU func(context.Context) (float64, error)
	// Progress is called about once a second with the operations measured so far; nil = not.
	Progress func(ops int64, elapsed time.Duration)
}

// Result is what a run found. Latencies are microseconds.
type Result struct {
	Op        Op               `json:"op"`
	Clients   int              `json:"clients"`
	Targets   int              `json:"targets"`
	ValueSize int              `json:"value_size"`
	Ops       int64            `json:"ops"`
	Seconds   float64          `json:"seconds"`
	PerSecond float64          `json:"ops_per_second"`
	P50       int64            `json:"p50_us"`
	P90       int64            `json:"p90_us"`
	P99       int64            `json:"p99_us"`
	P999      int64            `json:"p999_us"`
	Max       int64            `json:"max_us"`
	Errors    map[string]int64 `json:"errors"`
	// ServerCPU is microseconds of CPU of all servers an operation, nil when unknown.
	ServerCPU *float64 `json:"server_cpu_us_per_op"`
}

// slowest is the largest latency that is told apart, in microseconds.
const slowest = 60_000_000

// retryPause is how long a client waits before it dials again.
const retryPause = 20 * time.Millisecond

func (c *Config) validate() error {
	switch {
	case c.Op != Set && c.Op != Get && c.Op != Incr:
		return fmt.Errorf("operation %q is none of set, get, incr", c.Op)
	case len(c.Targets) == 0:
		return errors.New("there is no node to send requests to")
	case c.Clients < 1 || c.Clients > 10_000:
		return fmt.Errorf("%d clients: must be 1 to 10000", c.Clients)
	case c.Keys < 1 || c.Keys > 100_000_000:
		return fmt.Errorf("%d keys: must be 1 to 100000000", c.Keys)
	case c.ValueSize < 0 || c.ValueSize > 16<<20:
		return fmt.Errorf("value size %d: must be 0 to 16777216 bytes", c.ValueSize)
	case c.Count <= 0 && c.Duration <= 0:
		return errors.New("neither a duration nor a count of operations is given")
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	return nil
}

// run is a run under way.
type run struct {
	cfg       Config
	measuring atomic.Bool
	taken     atomic.Int64 // measured operations begun, for Count
	done      atomic.Int64 // measured operations ended
	stop      context.CancelFunc
}

// Run does what cfg says. When ctx ends early the result of what was measured
// until then comes back together with ctx's error.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	r := &run{cfg: cfg, stop: stop}
	clients := make([]*client, cfg.Clients)
	var wg sync.WaitGroup
	for i := range clients {
		clients[i] = newClient(r, i)
		wg.Go(func() { clients[i].loop(work, ctx) })
	}
	wait(work, cfg.Warmup)
	before, cpuErr := r.cpu(ctx)
	start := time.Now()
	r.measuring.Store(true)
	r.watch(work, start)
	stop()
	elapsed := time.Since(start)
	wg.Wait()
	after, err := r.cpu(ctx)
	res := r.merge(clients, elapsed)
	if cfg.CPU != nil && cpuErr == nil && err == nil && res.Ops > 0 {
		cpu := (after - before) / float64(res.Ops) * 1e6
		res.ServerCPU = &cpu
	}
	return res, ctx.Err()
}

func (r *run) cpu(ctx context.Context) (float64, error) {
	if r.cfg.CPU == nil {
		return 0, nil
	}
	return r.cfg.CPU(ctx)
}

// watch returns when the measurement is over.
func (r *run) watch(ctx context.Context, start time.Time) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var end <-chan time.Time
	if r.cfg.Count <= 0 {
		t := time.NewTimer(r.cfg.Duration)
		defer t.Stop()
		end = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-tick.C:
			if r.cfg.Progress != nil {
				r.cfg.Progress(r.done.Load(), time.Since(start))
			}
		}
	}
}

func (r *run) merge(clients []*client, elapsed time.Duration) *Result {
	res := &Result{
		Op: r.cfg.Op, Clients: r.cfg.Clients, Targets: len(r.cfg.Targets), ValueSize: r.cfg.ValueSize,
		Seconds: elapsed.Seconds(), Errors: map[string]int64{},
	}
	all := newHistogram()
	for _, c := range clients {
		all.Merge(c.latency)
		for kind, n := range c.errors {
			res.Errors[kind] += n
		}
	}
	res.Ops = all.TotalCount()
	if elapsed > 0 {
		res.PerSecond = float64(res.Ops) / elapsed.Seconds()
	}
	res.P50, res.P90 = all.ValueAtQuantile(50), all.ValueAtQuantile(90)
	res.P99, res.P999, res.Max = all.ValueAtQuantile(99), all.ValueAtQuantile(99.9), all.Max()
	return res
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, slowest, 3) }

// client is one closed loop.
type client struct {
	r       *run
	id      int
	next    uint64 // numbers the requests; the key follows from it
	request request
	latency *hdrhistogram.Histogram
	errors  map[string]int64
	scratch []byte
	prefix  string
	suffix  string
}

func newClient(r *run, id int) *client {
	c := &client{r: r, id: id, next: uint64(id), latency: newHistogram(), errors: map[string]int64{}}
	c.prefix = "/" + url.PathEscape(r.cfg.Bucket) + "/k"
	c.request = request{key: r.cfg.Key, host: r.cfg.Targets[id%len(r.cfg.Targets)].Addr}
	switch r.cfg.Op {
	case Set:
		c.request.method, c.request.body = "PUT", Value(r.cfg.ValueSize)
	case Incr:
		c.request.method, c.request.body = "PATCH", []byte("+1")
	default:
		c.request.method = "GET"
		if r.cfg.Consistency != "" {
			c.suffix = "?consistency=" + url.QueryEscape(r.cfg.Consistency)
		}
	}
	return c
}

// loop sends requests until ctx ends, and lets the last one end; when abort
// ends, the connection is closed at once.
func (c *client) loop(ctx, abort context.Context) {
	target := c.r.cfg.Targets[c.id%len(c.r.cfg.Targets)]
	var w *wire
	defer func() {
		if w != nil {
			w.close()
		}
	}()
	for ctx.Err() == nil {
		if w == nil {
			var err error
			if w, err = dial(abort, target, c.r.cfg.Timeout); err != nil {
				w = nil
				c.fail(abort, kind(err))
				wait(ctx, retryPause)
				continue
			}
		}
		if !c.once(abort, w) {
			w.close()
			w = nil
		}
	}
}

// once does one operation and reports whether w can be used again.
func (c *client) once(abort context.Context, w *wire) bool {
	measured := c.r.measuring.Load()
	if measured && c.r.cfg.Count > 0 && c.r.taken.Add(1) > c.r.cfg.Count {
		c.r.stop()
		return true
	}
	c.request.path = c.path()
	begin := time.Now()
	status, keep, err := w.roundTrip(&c.request)
	switch {
	case err != nil:
		c.fail(abort, kind(err))
	case status != 200:
		c.fail(abort, "status "+strconv.Itoa(status))
	case measured:
		// Values beyond the range are counted as the slowest.
		_ = c.latency.RecordValue(min(max(time.Since(begin).Microseconds(), 1), slowest))
		c.r.done.Add(1)
	}
	return keep && err == nil
}

// path draws the next key; the same run draws the same keys again.
func (c *client) path() string {
	c.next += uint64(c.r.cfg.Clients)
	n := mix(c.next) % uint64(c.r.cfg.Keys)
	c.scratch = append(c.scratch[:0], c.prefix...)
	c.scratch = strconv.AppendUint(c.scratch, n, 10)
	return string(append(c.scratch, c.suffix...))
}

// mix scatters consecutive numbers evenly (the finalizer of splitmix64).
func mix(n uint64) uint64 {
	n *= 0x9E3779B97F4A7C15
	n = (n ^ n>>30) * 0xBF58476D1CE4E5B9
	n = (n ^ n>>27) * 0x94D049BB133111EB
	return n ^ n>>31
}

// fail counts an error; what the abort of the run breaks is none.
func (c *client) fail(abort context.Context, kind string) {
	if abort.Err() == nil && c.r.measuring.Load() {
		c.errors[kind]++
	}
}

// kind names an error coarsely, so that errors can be counted.
func kind(err error) string {
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "time-out"
	case errors.As(err, &op) && op.Op == "dial":
		return "unreachable"
	}
	return "connection lost"
}

// Key returns the name of key n of a run.
func Key(n int) string { return "k" + strconv.Itoa(n) }

// Value returns a value of size bytes that is text, no number, and does not
// compress to nothing.
func Value(size int) []byte {
	v := make([]byte, size)
	state := uint64(88172645463325252)
	for i := range v {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		v[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[state%64]
	}
	if size > 0 {
		v[0] = 'v'
	}
	return v
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
