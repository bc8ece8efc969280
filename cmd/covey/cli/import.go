package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// What goes into one call of an import, and what one line may be.
const (
	batchLines = 500
	batchBytes = 1 << 20
	maxLine    = 12 << 20 // a document of the largest size, with room for blanks
)

// Of lines that are refused the first ones are shown, and too many mean that
// the file is another one than the user thinks.
const (
	shownRefusals = 10
	maxRefusals   = 1000
)

func (a *app) newCollectionImport() *cobra.Command {
	var v restVerb
	imp := &importing{a: a}
	cmd := &cobra.Command{
		Use: "import COLLECTION FILE", Short: "Store the documents of a file of JSON lines; - reads standard input", Args: takes(2, 2),
		Long: `Store the documents of a file of JSON lines, one object a line; - reads standard
input. The collection is created if it is not there.

After a failure or an interrupt the same command goes on with what is missing: a
document whose _id is there already is left out, and a line without an _id gets
one that is made of the file's time of change, its beginning and the number of
the line, so the same line of the same file always gets the same. Lines from
standard input without an _id get a new one each time.

A line that is refused is told by its number; all others are stored.`,
	}
	cmd.Flags().IntVar(&imp.parallel, "parallel", 4, "calls under way at a time, 1 to 64, with up to 500 documents each")
	config.CallOnly(cmd.Flags(), "parallel")
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		if imp.parallel < 1 || imp.parallel > 64 {
			return usagef("--parallel %d is not between 1 and 64", imp.parallel)
		}
		from, size := a.env.Stdin, int64(0)
		ids, err := freshIDs()
		if args[1] != "-" {
			f, openErr := os.Open(args[1])
			if openErr != nil {
				return openErr
			}
			defer f.Close()
			from = f
			ids, size, err = fileIDs(f)
		}
		if err != nil {
			return err
		}
		imp.name, imp.ids, imp.c = args[1], ids, d.Collection(args[0])
		if err := imp.prepare(cmd.Context(), d); err != nil {
			return err
		}
		imp.meter = a.meter("documents", size)
		err = imp.run(cmd.Context(), from)
		imp.meter.stop()
		return imp.report(err)
	})
}

// importing is one import under way.
type importing struct {
	a        *app
	name     string // of the file
	c        *client.Collection
	ids      lineIDs
	parallel int
	meter    *meter

	inserted, skipped atomic.Int64

	mu      sync.Mutex
	refused int
	first   error // why the first one was
}

// document is one line, with its _id.
type document struct {
	line int // from 1
	text []byte
	size int // in the file
}

// prepare makes sure that the collection is there, so that later refusals are
// about documents.
func (i *importing) prepare(ctx context.Context, d *client.RestDatabase) error {
	_, err := i.c.Info(ctx)
	if !errors.Is(err, client.ErrNotFound) {
		return err
	}
	if err := d.CreateCollection(ctx, i.c.Name()); !errors.Is(err, client.ErrConflict) {
		return err // nil, or no such database
	}
	return nil
}

// run ends at the first failure, after the calls under way; what is wrong with
// one line keeps no other from being stored.
func (i *importing) run(ctx context.Context, from io.Reader) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	batches := make(chan []document)
	var wg sync.WaitGroup
	for range i.parallel {
		wg.Go(func() {
			for b := range batches {
				if ctx.Err() == nil {
					if err := i.insert(ctx, b); err != nil {
						stop(err)
					}
				}
			}
		})
	}
	err := i.deal(ctx, from, batches)
	close(batches)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// deal reads the lines and hands them out in batches.
func (i *importing) deal(ctx context.Context, from io.Reader, batches chan<- []document) error {
	var batch []document
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		select {
		case batches <- batch:
			batch, size = nil, 0
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	number := 0
	for lines.Scan() {
		number++
		text := lines.Bytes()
		if number == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		doc, err := i.read(number, text)
		switch {
		case err != nil:
			if err := i.refuse(number, err); err != nil {
				return err
			}
			continue
		case doc.text == nil:
			continue
		}
		if len(batch) == batchLines || size > 0 && size+len(doc.text) > batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, size = append(batch, doc), size+len(doc.text)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return errors.Join(flush(), fmt.Errorf("%s: line %d is longer than %s", i.name, number+1, byteText(maxLine)))
	} else if err != nil {
		return errors.Join(flush(), fmt.Errorf("%s: after line %d: %w", i.name, number, err))
	}
	return flush()
}

// read checks a line and gives its document an _id if it has none. An empty
// line is no document.
func (i *importing) read(number int, text []byte) (document, error) {
	size := len(text) + 1
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return document{}, nil
	}
	if !utf8.Valid(text) {
		return document{}, errors.New("it is not text in UTF-8")
	}
	var members map[string]json.RawMessage
	if text[0] != '{' {
		return document{}, errors.New("it is no JSON object")
	}
	if err := json.Unmarshal(text, &members); err != nil {
		return document{}, fmt.Errorf("it is no JSON object: %w", err)
	}
	if _, ok := members["_id"]; ok {
		return document{number, bytes.Clone(text), size}, nil
	}
	if number > math.MaxUint32 {
		return document{}, errors.New("there are too many lines before it for an _id of its own")
	}
	own := append(make([]byte, 0, len(text)+len(`"_id":"",`)+24), `{"_id":"`...)
	own = append(append(own, i.ids.of(uint32(number))...), '"')
	if len(members) > 0 {
		own = append(own, ',')
	}
	return document{number, append(own, text[1:]...), size}, nil
}

// insert stores a batch. One that is refused is tried in halves, until it is
// known which of its lines are meant.
func (i *importing) insert(ctx context.Context, batch []document) error {
	var body bytes.Buffer
	size := 0
	for n, d := range batch {
		body.WriteByte("[,"[min(n, 1)])
		body.Write(d.text)
		size += d.size
	}
	body.WriteByte(']')
	done, err := i.c.Insert(ctx, body.Bytes())
	switch {
	case err == nil:
		i.inserted.Add(int64(done.Inserted))
		i.skipped.Add(int64(done.Skipped))
		i.meter.add(int64(len(batch)), int64(size))
		return nil
	case !errors.Is(err, client.ErrInvalid) && !errors.Is(err, client.ErrConflict):
		return err
	case len(batch) == 1:
		return i.refuse(batch[0].line, err)
	}
	half := len(batch) / 2
	if err := i.insert(ctx, batch[:half]); err != nil {
		return err
	}
	return i.insert(ctx, batch[half:])
}

// refuse takes note of a line that can never be stored as it is.
func (i *importing) refuse(line int, err error) error {
	err = fmt.Errorf("line %d: %w", line, err)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refused++; i.refused == 1 {
		i.first = err
	}
	switch {
	case i.refused > maxRefusals:
		return fmt.Errorf("more than %d lines are refused, is %s what you mean?", maxRefusals, i.name)
	case i.refused <= shownRefusals:
		i.a.note("%s", output.Clean(err.Error()))
	case i.refused == shownRefusals+1:
		i.a.note("more lines are refused, they are counted")
	}
	return nil
}

// report tells how an import ended.
func (i *importing) report(err error) error {
	inserted, skipped := int(i.inserted.Load()), int(i.skipped.Load())
	text := fmt.Sprintf("%d documents imported", inserted)
	if skipped > 0 {
		text += fmt.Sprintf(", %d were there already", skipped)
	}
	done := inserted + skipped
	if err != nil {
		if i.name != "-" {
			text += "; the same command goes on with the rest"
		}
		i.a.note("%s", text)
		if done > 0 && !errors.Is(err, context.Canceled) {
			return &partlyError{done: done, err: err}
		}
		return err
	}
	if skipped > 0 || i.refused > 0 || i.a.env.StderrTerminal {
		i.a.note("%s", text)
	}
	switch {
	case i.refused > 0 && done > 0:
		return &partlyError{done: done, all: done + i.refused, err: i.first}
	case i.refused > 0:
		return i.first
	}
	return nil
}
