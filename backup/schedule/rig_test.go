package schedule

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/backup/depot"
	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/store"
)

const every = time.Hour

// state is a small state stream and its header.
func state(t testing.TB) (header backup.Header, stream []byte) {
	t.Helper()
	db, err := store.Open(store.Options{Dir: "s", FS: store.MemFS(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := fsm.Open(db, fsm.Options{Ring: 8})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		c := command.Command{ID: command.ID{byte(i), 1}, Ops: []command.Op{{Kind: command.Set, Key: []byte{'k', byte(i)}, Value: []byte("value")}}}
		if _, err := m.Apply([]fsm.Entry{{Index: uint64(10 + i), Data: command.AppendEntry(nil, 1700000000000, c.Append(nil))}}); err != nil {
			t.Fatal(err)
		}
	}
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	header = backup.Describe(v.State)
	header.Cluster = strings.Repeat("ab", 16)
	var b bytes.Buffer
	if err := v.WriteData(&b); err != nil {
		t.Fatal(err)
	}
	v.Release()
	m.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return header, b.Bytes()
}

// world is a cluster with a ledger and a depot, of which one node leads.
type world struct {
	t      testing.TB
	header backup.Header
	stream []byte
	dir    string
	leader atomic.Pointer[string]
	takes  time.Duration // to write a backup

	mu     sync.Mutex
	run    Run
	made   []string // names of what was begun
	fail   error    // of the source
	refuse error    // of the ledger's Done
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.header, w.stream = state(t)
	return w
}

func (w *world) lead(node string) { w.leader.Store(&node) }

// Backup implements Source.
func (w *world) Backup(ctx context.Context, _ bool, to func(backup.Header) (io.Writer, error)) error {
	h := w.header
	h.Created = time.Now().UTC().Truncate(time.Second)
	out, err := to(h)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.made = append(w.made, backup.NameOf(h, false).String())
	fail := w.fail
	w.mu.Unlock()
	return backup.Write(out, h, func(s io.Writer) error {
		if _, err := s.Write(w.stream[:50]); err != nil {
			return err
		}
		if w.takes > 0 {
			timer := time.NewTimer(w.takes)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if fail != nil {
			return fail
		}
		_, err := s.Write(w.stream[50:])
		return err
	})
}

// Last implements Ledger.
func (w *world) Last(context.Context) (Run, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.run, nil
}

// Done implements Ledger.
func (w *world) Done(_ context.Context, r Run) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	if r.Slot <= w.run.Slot {
		return errs.E(errs.Conflict, "slot %d is served", w.run.Slot)
	}
	w.run = r
	return nil
}

// Failed implements Ledger.
func (w *world) Failed(_ context.Context, at int64, why string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.run.Failures++
	w.run.FailedAt, w.run.Error = at, why
	return nil
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) last() Run {
	r, _ := w.Last(context.Background())
	return r
}

func (w *world) begun() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.made)
}

func (w *world) depot() depot.Depot {
	w.t.Helper()
	d, err := depot.Open("file://"+w.dir, depot.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) config(node string) Config {
	return Config{
		Every: every, Keep: 3, Depot: w.depot(), Source: w, Ledger: w, Node: node,
		Leads: func() bool { l := w.leader.Load(); return l != nil && *l == node },
		Log:   slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}
}

// start runs a node's schedule until the test ends, or stop is called.
func (w *world) start(cfg Config) (r *Runner, stop func()) {
	w.t.Helper()
	r = New(cfg)
	if limit := int64(maxShift / time.Second); r.shift < 0 || r.shift >= limit {
		w.t.Errorf("shifted by %d s", r.shift)
	}
	r.shift = 1800 // whatever the folder is called
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	stop = func() { cancel(); wg.Wait() }
	w.t.Cleanup(stop)
	return r, stop
}

// kept lists the depot.
func (w *world) kept() []Kept {
	w.t.Helper()
	all, err := List(context.Background(), w.depot())
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func text(all []Kept) string {
	var b strings.Builder
	for _, k := range all {
		fmt.Fprintf(&b, "%s verified=%v\n", k.Created.Format(time.RFC3339), k.Verified)
	}
	return b.String()
}
