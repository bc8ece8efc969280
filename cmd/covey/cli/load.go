package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
)

func (a *app) newDBLoad() *cobra.Command {
	var v databaseVerb
	var l load
	cmd := &cobra.Command{
		Use: "load DATABASE FILE", Short: "Write all keys of a JSON object into a database; - reads standard input", Args: takes(2, 2),
		Long: `Write all keys of a JSON object into a database; - reads standard input. Other
keys of the database stay as they are. A value that is no string becomes its
compact JSON text. After a failure the same call goes over all keys again, which
does no harm.`,
	}
	v.encrypted(cmd)
	compressFlag(cmd, &l.options)
	cmd.Flags().IntVar(&l.parallel, "parallel", 16, "writes under way at a time, 1 to 256")
	config.CallOnly(cmd.Flags(), "parallel")
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.Databases, args []string) error {
		if l.parallel < 1 || l.parallel > 256 {
			return usagef("--parallel %d is not between 1 and 256", l.parallel)
		}
		l.name, l.db, l.options.EncryptionKey = args[1], d.Database(args[0]), v.encryptionKey
		from, size := a.env.Stdin, int64(0)
		if args[1] != "-" {
			f, err := os.Open(args[1])
			if err != nil {
				return err
			}
			defer f.Close()
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
				size = info.Size()
			}
			from = f
		}
		l.meter = a.meter("keys", size)
		err := l.run(cmd.Context(), from)
		l.meter.stop()
		return a.loaded(&l, err)
	})
}

// loaded tells how a load ended.
func (a *app) loaded(l *load, err error) error {
	done := int(l.meter.count.Load())
	if n := l.converted.Load(); n > 0 {
		a.note("%d values are no strings; their JSON text was kept", n)
	}
	switch {
	case errors.Is(err, context.Canceled):
		a.note("%d keys were loaded", done)
		return err
	case err == nil && l.refused == 0:
		if a.env.StderrTerminal {
			a.note("%d keys loaded", done)
		}
		return nil
	case err == nil && done > 0:
		return &partlyError{done: done, all: done + l.refused, err: l.first}
	case err == nil:
		return l.first
	case done > 0:
		return &partlyError{done: done, err: err}
	}
	return err
}

// load writes entries with several calls at a time.
type load struct {
	name      string // of the file
	db        *client.Database
	options   client.SetOptions
	parallel  int
	meter     *meter
	converted atomic.Int64 // values that were no strings

	mu      sync.Mutex
	refused int   // entries that would be refused for ever
	first   error // why the first one was
}

// run ends at the first failure, after the calls under way; but what is wrong
// with one entry keeps no other from being written.
func (l *load) run(ctx context.Context, from io.Reader) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// A key always goes the same way, so that of two entries with one key the
	// last one stays.
	lanes := make([]chan client.Item, l.parallel)
	var wg sync.WaitGroup
	for i := range lanes {
		lanes[i] = make(chan client.Item, 1)
		wg.Go(func() {
			for item := range lanes[i] {
				if ctx.Err() != nil {
					continue // the rest is not wanted any more
				}
				if err := l.set(ctx, item); errors.Is(err, client.ErrInvalid) {
					l.refuse(err)
				} else if err != nil {
					stop(err)
				}
			}
		})
	}
	err := l.deal(ctx, from, lanes)
	for _, lane := range lanes {
		close(lane)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// deal reads the entries and hands them out.
func (l *load) deal(ctx context.Context, from io.Reader, lanes []chan client.Item) error {
	for item, err := range client.Entries(from) {
		if err != nil {
			return fmt.Errorf("read %s: %w", l.name, err)
		}
		h := fnv.New32a()
		_, _ = io.WriteString(h, item.Key) // a hash takes everything
		select {
		case lanes[h.Sum32()%uint32(len(lanes))] <- item:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (l *load) refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
	if l.first == nil {
		l.first = err
	}
}

func (l *load) set(ctx context.Context, item client.Item) error {
	var value string
	if json.Unmarshal(item.Value, &value) != nil || string(item.Value) == "null" {
		var b bytes.Buffer
		if err := json.Compact(&b, item.Value); err != nil {
			return err
		}
		value = b.String()
		l.converted.Add(1)
	}
	if err := l.db.Set(ctx, item.Key, value, l.options); err != nil {
		return err
	}
	l.meter.add(1, int64(len(item.Key)+len(item.Value)+6)) // with the quotes, colon and comma
	return nil
}
