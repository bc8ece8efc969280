package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
)

// Names of the files in the demo's folder, beside one folder and one log a node.
const (
	rootKeyFile = "root.key"
	restKeyFile = "restdb.key"
	keyringFile = "keyring.json"
)

// bucketID is the demo's bucket. Its fixed name lets lines pasted yesterday
// work today.
const bucketID = "demo-bucket"

// startTimeout bounds how long the cluster may take until it serves.
const startTimeout = 60 * time.Second

// Config describes a demo cluster.
type Config struct {
	Nodes     int           // 1 to 9
	DataDir   string        // kept; "" = a temporary folder that is deleted at the end
	Exe       string        // the covey binary
	Args      []string      // further flags for every node
	FirstPort int           // of the first node's HTTP; 0 = ports that the system picks
	Restart   time.Duration // pause before a dead node starts again; 0 = 5 s

	Out      io.Writer // everything a person should see
	Terminal bool      // Out is a terminal: the status line is redrawn in place
}

// demo is a cluster under way. Only the goroutine of Run touches it.
type demo struct {
	cfg        Config
	dir        string
	nodes      []*child
	pids       map[string]int // of the running processes, by node id
	client     *client.Client
	screen     screen
	newKey     string // the root key, if this start made it
	newRestKey string // that of the RestDB API, likewise
}

// Run starts the cluster and shows its status until ctx ends; then it stops
// the nodes gracefully. An error means that the cluster never came up.
func Run(ctx context.Context, cfg Config) (err error) {
	if cfg.Nodes < 1 || cfg.Nodes > 9 {
		return fmt.Errorf("%d nodes: must be 1 to 9", cfg.Nodes)
	}
	if cfg.Restart <= 0 {
		cfg.Restart = 5 * time.Second
	}
	d := &demo{cfg: cfg, pids: map[string]int{}, screen: screen{out: cfg.Out, terminal: cfg.Terminal}}
	if err := d.prepareFolder(); err != nil {
		return err
	}
	if cfg.DataDir == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	at, err := chooseAddresses(cfg.Nodes, cfg.FirstPort)
	if err != nil {
		return err
	}
	d.nodes = children(&d.cfg, d.dir, at)
	if err := d.connect(); err != nil {
		return err
	}
	defer d.client.Close()

	work, stop := context.WithCancel(ctx)
	events := make(chan event)
	var wg sync.WaitGroup
	for _, c := range d.nodes {
		wg.Go(func() { c.run(work, events) })
	}
	err = d.serve(work, events)
	d.screen.message("Stopping %d nodes ...", len(d.nodes))
	stop()
	wg.Wait()
	if ctx.Err() != nil {
		err = nil // asked to stop
	}
	if err == nil && cfg.DataDir != "" {
		d.screen.message("The data is kept in %s.", d.dir)
	}
	return err
}

// prepareFolder makes the folder with the keys and the keyring, or accepts
// the one of an earlier run.
func (d *demo) prepareFolder() error {
	dir := d.cfg.DataDir
	if dir == "" {
		tmp, err := os.MkdirTemp("", "covey-demo-")
		if err != nil {
			return err
		}
		dir = tmp
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	d.dir = dir
	if _, err := os.Stat(filepath.Join(dir, fmt.Sprintf("n%d", d.cfg.Nodes+1))); err == nil {
		return fmt.Errorf("%s holds a cluster of more than %d nodes; give the same --nodes as before, or another --data-dir", dir, d.cfg.Nodes)
	}
	for _, k := range []struct {
		file string
		to   *string
	}{{rootKeyFile, &d.newKey}, {restKeyFile, &d.newRestKey}} {
		key := auth.GenerateKey()
		made, err := createOnce(filepath.Join(dir, k.file), key+"\n")
		if err != nil {
			return err
		}
		if made {
			*k.to = key
		}
	}
	if _, err := os.Stat(filepath.Join(dir, keyringFile)); err == nil {
		return nil
	}
	_, err = seal.Create(filepath.Join(dir, keyringFile))
	return err
}

// createOnce writes a secret file unless it exists.
func createOnce(path, text string) (made bool, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(text)
	return true, errors.Join(err, f.Close())
}

func (d *demo) connect() error {
	key, err := os.ReadFile(filepath.Join(d.dir, rootKeyFile))
	if err != nil {
		return err
	}
	urls := make([]string, len(d.nodes))
	for i, c := range d.nodes {
		urls[i] = c.url()
	}
	d.client, err = client.New(client.Config{
		Endpoints: urls, RootKey: strings.TrimSpace(string(key)), Timeout: 5 * time.Second, Unreachable: 500 * time.Millisecond,
	})
	return err
}

// serve is the life of the cluster, from the first start to the end of ctx.
func (d *demo) serve(ctx context.Context, events <-chan event) error {
	d.screen.message("Starting %d nodes ...", len(d.nodes))
	up := make(chan error, 1)
	bound, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	go func() { up <- d.waitUntilReady(bound) }()
	for waiting := true; waiting; {
		select {
		case e := <-events:
			if err := d.starting(e); err != nil {
				cancel()
				<-up
				return err
			}
		case err := <-up:
			if err != nil {
				return fmt.Errorf("the cluster did not come up within %v: %w; logs are in %s", startTimeout, err, d.dir)
			}
			waiting = false
		}
	}
	for len(d.pids) < len(d.nodes) { // a start that was not told yet
		select {
		case e := <-events:
			if err := d.starting(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.screen.print(d.welcome(ctx))
	d.watch(ctx, events)
	return ctx.Err()
}

// starting takes note of what happens before the cluster serves: a node that
// ends then has a reason that a restart does not cure.
func (d *demo) starting(e event) error {
	if !e.ended {
		d.pids[e.child.id] = e.pid
		return nil
	}
	why := e.child.lastLines(5)
	if why == "" {
		why = fmt.Sprint(e.err)
	}
	return fmt.Errorf("node %s ended before the cluster was up:\n%s", e.child.id, why)
}

// waitUntilReady returns when every node serves and the bucket is there.
func (d *demo) waitUntilReady(ctx context.Context) error {
	for _, c := range d.nodes {
		if err := waitReady(ctx, c.url()); err != nil {
			return fmt.Errorf("node %s: %w", c.id, err)
		}
	}
	_, err := d.client.Bucket(bucketID, "").List(ctx, client.ListQuery{Limit: 1})
	if errors.Is(err, client.ErrNotFound) {
		_, err = d.client.CreateBucket(ctx, client.Settings{ID: bucketID})
	}
	return err
}

func waitReady(ctx context.Context, url string) error {
	c, err := client.New(client.Config{Endpoints: []string{url}})
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := c.Ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(last, ctx.Err())
		case <-tick.C:
		}
	}
}

func (c *child) url() string { return "http://" + c.at.http }
