package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newKeyWatch() *cobra.Command {
	var q client.WatchQuery
	cmd := &cobra.Command{
		Use: "watch BUCKET [PREFIX]", Short: "Follow the changes of keys, until interrupted", Args: takes(1, 2),
		Long: `Follow the changes of a bucket's keys, one line each as they are committed, until
interrupted. When a node goes away the watch goes on through the next endpoint,
without losing or repeating a change. With --since it begins behind a version,
such as a list's, or behind the id of an event.

A line "reset" means that changes were missed: they are kept for a while only.`,
	}
	fs := cmd.Flags()
	fs.StringVar(&q.Regex, "regex", "", "only keys that match this `pattern` (RE2)")
	fs.BoolVar(&q.Values, "values", false, "with the values")
	fs.StringVar(&q.Since, "since", "", "begin behind this `version` of the store, or behind this id of an event (default now)")
	config.CallOnly(fs, "regex", "values", "since")
	return a.bucketVerb(cmd, func(cmd *cobra.Command, b *client.Bucket, args []string) error {
		if len(args) > 0 {
			q.Prefix = args[0]
		}
		f, err := a.outputFormat()
		if err != nil {
			return err
		}
		if f != output.Table && f != output.Plain && f != output.JSONL {
			return usagef("a watch has no end, so -o %s cannot show it; take table, plain or jsonl", f)
		}
		for e, err := range b.Watch(cmd.Context(), q) {
			if err == nil {
				err = a.writeEvent(f, e, q.Values)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// eventDoc is an event in structured output.
type eventDoc struct {
	Event   string `json:"event"`
	ID      string `json:"id"`
	Key     string `json:"key,omitempty"`
	Version uint64 `json:"version"`
	Value   any    `json:"value,omitempty"`
	Created bool   `json:"created,omitempty"`
	Expires int64  `json:"expires,omitempty"` // unix milliseconds
	Reason  string `json:"reason,omitempty"`
}

// writeEvent writes one line, at once. A table of unknown length has columns of
// fixed width.
func (a *app) writeEvent(f output.Format, e client.WatchEvent, values bool) error {
	if f == output.JSONL {
		doc := eventDoc{Event: e.Kind, ID: e.ID, Key: e.Key, Version: e.Version, Created: e.Created, Reason: e.Reason}
		if e.Value != nil {
			doc.Value = e.Value
		}
		if !e.Expires.IsZero() {
			doc.Expires = e.Expires.UnixMilli()
		}
		return a.write(output.Result{Doc: doc})
	}
	switch e.Kind {
	case "reset":
		a.note("changes up to version %d were missed: %s", e.Version, e.Reason)
	case "ready":
		if f == output.Table {
			return a.line("%-7s  %-12s  %s", "EVENT", "VERSION", "KEY")
		}
		return nil
	}
	version := strconv.FormatUint(e.Version, 10)
	if f == output.Table {
		text := output.Clean(e.Key)
		if values && e.Value != nil {
			text += " = " + output.Clean(e.Text())
		}
		return a.line("%-7s  %-12s  %s", e.Kind, version, text)
	}
	cells := []string{e.Kind, version, e.Key}
	if values {
		cells = append(cells, e.Text())
	}
	return a.write(output.Result{Rows: []output.Row{{Cells: cells}}})
}

func (a *app) line(format string, args ...any) error {
	_, err := fmt.Fprintf(a.env.Stdout, format+"\n", args...)
	return err
}
