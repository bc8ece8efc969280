package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/bench"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// cleanupTime bounds the deletion of the bench's bucket at the end.
const cleanupTime = 15 * time.Second

// benchFlags are the flags of one bench verb.
type benchFlags struct {
	conn    connection
	cfg     bench.Config
	through string
}

func (a *app) newBench() *cobra.Command {
	return newGroup("bench", "Measure a cluster in a closed loop",
		a.newBenchOp(bench.Set, "Write values", 10_000),
		a.newBenchOp(bench.Get, "Read values", 10_000),
		a.newBenchOp(bench.Incr, "Add to counters", 1))
}

func (a *app) newBenchOp(op bench.Op, short string, keys int) *cobra.Command {
	f := benchFlags{cfg: bench.Config{Op: op}}
	cmd := &cobra.Command{
		Use: string(op), Short: short, Args: takes(0, 0),
		Long: short + ` with a number of clients, each with one connection and one request under way,
in a bucket that is made for it and deleted afterwards.

With the root key the nodes are found by themselves, and --through chooses among
them; without it the requests go to all of --endpoint. Latencies are in
microseconds, and so is SERVER CPU: what an operation took of the CPUs of all
these nodes, from their metrics.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.bench(cmd.Context(), f) },
	}
	f.conn.flags(cmd.Flags(), false)
	fs := cmd.Flags()
	fs.IntVarP(&f.cfg.Clients, "clients", "c", 64, "how many")
	fs.DurationVar(&f.cfg.Duration, "duration", 10*time.Second, "of the measurement")
	fs.Int64Var(&f.cfg.Count, "count", 0, "measure so many operations instead of a duration")
	fs.DurationVar(&f.cfg.Warmup, "warmup", time.Second, "before the measurement")
	fs.IntVar(&f.cfg.ValueSize, "value-size", 128, "`bytes` of a value")
	fs.IntVar(&f.cfg.Keys, "keys", keys, "how many different keys")
	fs.StringVar(&f.through, "through", "all", "which nodes get the requests: leader, followers or all")
	config.CallOnly(fs, "clients", "duration", "count", "warmup", "value-size", "keys", "through")
	return cmd
}

func (a *app) bench(ctx context.Context, f benchFlags) (err error) {
	if _, err := a.outputFormat(); err != nil {
		return err
	}
	c, err := f.conn.open(a)
	if err != nil {
		return err
	}
	defer c.Close()
	nodes, err := f.nodes(ctx, c)
	if err != nil {
		return err
	}
	if f.cfg.Targets, err = f.targets(nodes, f.through); err != nil {
		return err
	}
	if f.cfg.CPU, err = f.cpu(nodes); err != nil {
		return err
	}
	if f.conn.consistency == "stale" {
		f.cfg.Consistency = "stale"
	}
	if f.cfg.Bucket, err = c.CreateBucket(ctx, client.Settings{}); err != nil {
		return err
	}
	b := c.Bucket(f.cfg.Bucket, "")
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		err = errors.Join(err, b.Drop(end))
	}()
	if f.cfg.Op == bench.Get {
		if err := preload(ctx, b, f.cfg); err != nil {
			return err
		}
	}
	f.cfg.Progress = a.progress(f.cfg.Duration, f.cfg.Count)
	res, err := bench.Run(ctx, f.cfg)
	if res != nil {
		err = errors.Join(err, a.write(benchResult(res, f.through)))
	}
	return err
}

// benchNode is one node to measure.
type benchNode struct {
	url    *url.URL
	leader bool
}

// nodes finds the nodes that are up, or without the root key takes the
// endpoints.
func (f *benchFlags) nodes(ctx context.Context, c *client.Client) ([]benchNode, error) {
	var nodes []benchNode
	first, err := url.Parse(c.Endpoints()[0])
	if err != nil {
		return nil, err
	}
	s, err := c.Status(ctx)
	switch {
	case err == nil:
		for _, m := range s.Members {
			if m.Alive && m.HTTPAddr != "" {
				nodes = append(nodes, benchNode{url: &url.URL{Scheme: first.Scheme, Host: m.HTTPAddr}, leader: m.Leader})
			}
		}
		return nodes, nil
	case !errors.Is(err, client.ErrDenied):
		return nil, err
	case f.through != "all":
		return nil, rootKeyAdvice(fmt.Errorf("--through %s: %w", f.through, err))
	}
	for _, e := range c.Endpoints() {
		u, err := url.Parse(e)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, benchNode{url: u})
	}
	return nodes, nil
}

// targets chooses among nodes.
func (f *benchFlags) targets(nodes []benchNode, through string) ([]bench.Target, error) {
	if !slices.Contains([]string{"leader", "followers", "all"}, through) {
		return nil, usagef("--through %q is none of leader, followers, all", through)
	}
	conf, err := f.conn.tls()
	if err != nil {
		return nil, err
	}
	var out []bench.Target
	for _, n := range nodes {
		if through == "leader" && !n.leader || through == "followers" && n.leader {
			continue
		}
		t := bench.Target{Addr: n.url.Host}
		if n.url.Port() == "" {
			t.Addr = net.JoinHostPort(n.url.Hostname(), map[string]string{"http": "80", "https": "443"}[n.url.Scheme])
		}
		if n.url.Scheme == "https" {
			if t.TLS = conf.Clone(); t.TLS == nil {
				t.TLS = defaultTLS()
			}
		}
		out = append(out, t)
	}
	if len(out) == 0 {
		return nil, &unavailableError{fmt.Sprintf("there is no node for --through %s", through)}
	}
	return out, nil
}

// cpu returns a function that sums the CPU time of all nodes.
func (f *benchFlags) cpu(nodes []benchNode) (func(context.Context) (float64, error), error) {
	conf, err := f.conn.tls()
	if err != nil {
		return nil, err
	}
	clients := make([]*client.Client, len(nodes))
	for i, n := range nodes {
		if clients[i], err = client.New(client.Config{Endpoints: []string{n.url.String()}, TLS: conf}); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) (float64, error) {
		total := 0.0
		for _, c := range clients {
			text, err := c.Metrics(ctx)
			c.Close() // no idle connection during the measurement
			if err != nil {
				return 0, err
			}
			v, err := bench.CPUSeconds(text)
			if err != nil {
				return 0, err
			}
			total += v
		}
		return total, nil
	}, nil
}

// preload writes every key that will be read, in a few large transactions.
func preload(ctx context.Context, b *client.Bucket, cfg bench.Config) error {
	// A transaction holds up to 1000 operations and a body up to 16 MiB.
	batch := max(1, min(1000, 8<<20/(cfg.ValueSize+64)))
	value := string(bench.Value(cfg.ValueSize))
	for from := 0; from < cfg.Keys; from += batch {
		ops := make([]client.Op, min(batch, cfg.Keys-from))
		for i := range ops {
			ops[i] = client.Op{Key: bench.Key(from + i), Value: value}
		}
		if err := b.Txn(ctx, ops); err != nil {
			return err
		}
	}
	return nil
}

// progress tells how far a measurement is: each second in place on a terminal,
// else a line in ten seconds.
func (a *app) progress(total time.Duration, count int64) func(int64, time.Duration) {
	calls := 0
	return func(ops int64, elapsed time.Duration) {
		calls++
		left := (total - elapsed).Round(time.Second)
		if count > 0 && ops > 0 {
			left = time.Duration(float64(elapsed) * float64(count-ops) / float64(ops)).Round(time.Second)
		}
		line := fmt.Sprintf("%d done, %.0f/s, %v left", ops, float64(ops)/elapsed.Seconds(), max(left, 0))
		switch {
		case a.env.StderrTerminal:
			fmt.Fprintf(a.env.Stderr, "\r\x1b[K%s\r", line)
		case calls%10 == 0:
			fmt.Fprintln(a.env.Stderr, line)
		}
	}
}

func benchResult(r *bench.Result, through string) output.Result {
	cpu := "-"
	if r.ServerCPU != nil {
		cpu = fmt.Sprintf("%.1f", *r.ServerCPU)
	}
	var kinds []string
	for kind := range r.Errors {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	failed := "0"
	if len(kinds) > 0 {
		for i, kind := range kinds {
			kinds[i] = fmt.Sprintf("%d %s", r.Errors[kind], kind)
		}
		failed = strings.Join(kinds, ", ")
	}
	num := func(n int64) string { return strconv.FormatInt(n, 10) }
	return output.Result{
		Columns: []string{"OP", "CLIENTS", "THROUGH", "OPS/S", "P50", "P90", "P99", "P99.9", "MAX", "SERVER CPU", "OPS", "ERRORS"},
		Rows: []output.Row{{Cells: []string{
			string(r.Op), strconv.Itoa(r.Clients), through, fmt.Sprintf("%.0f", r.PerSecond),
			num(r.P50), num(r.P90), num(r.P99), num(r.P999), num(r.Max), cpu, num(r.Ops), failed,
		}}},
		Doc: struct {
			Through string `json:"through"`
			*bench.Result
		}{through, r},
	}
}
