package cli

import (
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// maxStdin bounds a value that is read from standard input.
const maxStdin = 32 << 20

func (a *app) newKey() *cobra.Command {
	return newGroup("key", "Read and write keys of a bucket",
		a.newKeyGet(), a.newKeySet(), a.newKeyIncr(), a.newKeyDel(), a.newKeyList(), a.newKeyWatch())
}

// bucketVerb is a verb on one bucket: run gets the open bucket and the
// arguments after its name.
func (a *app) bucketVerb(cmd *cobra.Command, run func(cmd *cobra.Command, b *client.Bucket, args []string) error) *cobra.Command {
	var conn connection
	conn.flags(cmd.Flags(), true)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := a.outputFormat(); err != nil {
			return err // before anything is changed
		}
		c, err := conn.open(a)
		if err != nil {
			return err
		}
		defer c.Close()
		key, err := conn.bucketKey(a)
		if err != nil {
			return err
		}
		return run(cmd, c.Bucket(args[0], key), args[1:])
	}
	return cmd
}

// valueDoc is a key's value in structured output. A value that is not UTF-8 is
// in base64.
type valueDoc struct {
	Key     string  `json:"key"`
	Value   *string `json:"value,omitempty"`
	Base64  []byte  `json:"value_base64,omitempty"`
	ETag    string  `json:"etag,omitempty"`
	Version uint64  `json:"version,omitempty"`
}

func (a *app) newKeyGet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get BUCKET KEY", Short: "Print the value of a key", Args: takes(2, 2),
		Long: "Print the value of a key. Piped, and with -o raw, exactly the stored bytes are written.",
	}
	return a.bucketVerb(cmd, func(cmd *cobra.Command, b *client.Bucket, args []string) error {
		v, err := b.Get(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		doc := valueDoc{Key: args[0], ETag: v.ETag, Version: v.Version}
		text := string(v.Data)
		if utf8.Valid(v.Data) {
			doc.Value = &text
		} else {
			doc.Base64 = v.Data
		}
		if f, err := a.outputFormat(); err == nil && (f == output.Plain || f == output.Raw) {
			_, err := a.env.Stdout.Write(v.Data)
			return err
		} else if f == output.Table && a.format == "" {
			_, err := fmt.Fprintln(a.env.Stdout, output.Clean(text))
			return err
		}
		return a.write(output.Result{
			Columns: []string{"KEY", "VALUE", "ETAG"},
			Rows:    []output.Row{{Cells: []string{args[0], text, v.ETag}}}, Doc: doc,
		})
	})
}

// writeFlags are the flags of verbs that write a key.
type writeFlags struct {
	ttl      string
	ifMatch  string
	ifAbsent bool
}

func (w *writeFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&w.ttl, "ttl", "", "`time` to live: seconds, or a duration such as 90s or 12h; 0 = for ever (default the bucket's)")
	fs.StringVar(&w.ifMatch, "if-match", "", "write only if the key has this `ETag`, or exists (*)")
	fs.BoolVar(&w.ifAbsent, "if-absent", false, "write only if the key does not exist")
	config.CallOnly(fs, "ttl", "if-match", "if-absent")
}

func (w *writeFlags) write() (client.Write, error) {
	ttl, err := parseTTL(w.ttl)
	if err != nil {
		return client.Write{}, err
	}
	if w.ifAbsent && w.ifMatch != "" {
		return client.Write{}, usagef("--if-absent and --if-match cannot both hold")
	}
	out := client.Write{TTL: ttl, IfMatch: w.ifMatch}
	if w.ifAbsent {
		out.IfNoneMatch = "*"
	}
	return out, nil
}

// parseTTL reads a TTL as the user writes it.
func parseTTL(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if n, nerr := strconv.ParseInt(text, 10, 64); nerr == nil {
		d, err = time.Duration(n)*time.Second, nil
		if n > int64(100*365*24*time.Hour/time.Second) {
			return 0, usagef("a time to live of %s seconds is longer than 100 years; 0 means for ever", text)
		}
	}
	switch {
	case err != nil || d < 0:
		return 0, usagef("%q is no time to live: give seconds, a duration such as 90s or 12h, or 0 for ever", text)
	case d == 0:
		return client.Forever, nil
	}
	return d, nil
}

func (a *app) newKeySet() *cobra.Command {
	var w writeFlags
	cmd := &cobra.Command{
		Use: "set BUCKET KEY [VALUE]", Short: "Write a key; without VALUE, or with -, the value is read from standard input", Args: takes(2, 3),
	}
	w.add(cmd)
	return a.bucketVerb(cmd, func(cmd *cobra.Command, b *client.Bucket, args []string) error {
		write, err := w.write()
		if err != nil {
			return err
		}
		var value []byte
		if len(args) == 2 && args[1] != "-" {
			value = []byte(args[1])
		} else if value, err = a.readStdin(len(args) == 2); err != nil {
			return err
		}
		version, err := b.Set(cmd.Context(), args[0], value, write)
		if err != nil {
			return err
		}
		return a.done(output.Row{
			Cells: []string{args[0], strconv.FormatUint(version, 10)},
			Doc:   map[string]any{"key": args[0], "version": version},
		}, "KEY", "VERSION")
	})
}

// readStdin reads a value; asked says whether the user wrote a dash.
func (a *app) readStdin(asked bool) ([]byte, error) {
	if a.env.StdinTerminal && !asked {
		return nil, usagef("no value: give it as an argument, pipe it in, or write - to type it")
	}
	value, err := io.ReadAll(io.LimitReader(a.env.Stdin, maxStdin+1))
	if err == nil && len(value) > maxStdin {
		err = fmt.Errorf("the value is larger than %d bytes", maxStdin)
	}
	return value, err
}

// done tells of a change whose result nobody waits for: on a terminal and in
// structured formats only, so that scripts stay silent.
func (a *app) done(row output.Row, columns ...string) error {
	if a.format == "" && !a.env.StdoutTerminal {
		return nil
	}
	return a.write(output.Result{Columns: columns, Rows: []output.Row{row}, Doc: row.Doc})
}

func (a *app) newKeyIncr() *cobra.Command {
	var w writeFlags
	var by string
	cmd := &cobra.Command{
		Use: "incr BUCKET KEY", Short: "Add to a counter and print its new value", Args: takes(2, 2),
		Long: "Add to a counter and print its new value. A missing key counts as 0.",
	}
	cmd.Flags().StringVar(&by, "by", "+1", "the `number` to add, whole or with a fraction")
	config.CallOnly(cmd.Flags(), "by")
	w.add(cmd)
	return a.bucketVerb(cmd, func(cmd *cobra.Command, b *client.Bucket, args []string) error {
		write, err := w.write()
		if err != nil {
			return err
		}
		value, err := b.Incr(cmd.Context(), args[0], by, write)
		if err != nil {
			return err
		}
		if f, err := a.outputFormat(); err == nil && a.format == "" && f == output.Table {
			_, err := fmt.Fprintln(a.env.Stdout, output.Clean(value))
			return err
		}
		return a.write(output.Result{
			Columns: []string{"VALUE"}, Rows: []output.Row{{Cells: []string{value}}}, Doc: map[string]any{"key": args[0], "value": value},
		})
	})
}

func (a *app) newKeyDel() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "del BUCKET KEY...", Short: "Delete keys", Args: takes(2, -1)}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	config.CallOnly(cmd.Flags(), "yes")
	return a.bucketVerb(cmd, func(cmd *cobra.Command, b *client.Bucket, keys []string) error {
		what := fmt.Sprintf("Delete key %s of bucket %s", output.Clean(keys[0]), b.ID())
		if len(keys) > 1 {
			what = fmt.Sprintf("Delete %d keys of bucket %s", len(keys), b.ID())
		}
		if err := a.confirm(cmd.Context(), yes, what); err != nil {
			return err
		}
		return each(len(keys), func(i int) error { return b.Delete(cmd.Context(), keys[i], client.Write{}) })
	})
}

// each does n things and goes on after a failure, so that one bad thing does
// not keep the others from being done.
func each(n int, do func(int) error) error {
	var first error
	done := 0
	for i := range n {
		if err := do(i); err == nil {
			done++
		} else if first == nil {
			first = err
		}
	}
	if first != nil && done > 0 {
		return &partlyError{done: done, all: n, err: first}
	}
	return first
}

func (a *app) newKeyList() *cobra.Command {
	var q client.ListQuery
	cmd := &cobra.Command{
		Use: "list BUCKET", Short: "List keys in byte order", Args: takes(1, 1),
	}
	fs := cmd.Flags()
	fs.StringVar(&q.Prefix, "prefix", "", "only keys that begin with this `text`")
	fs.StringVar(&q.Regex, "regex", "", "only keys that match this `pattern` (RE2)")
	fs.IntVar(&q.Skip, "skip", 0, "leave out so many keys")
	fs.IntVar(&q.Limit, "limit", 0, "at most so many keys (default as many as the service gives at once)")
	fs.BoolVar(&q.Reverse, "reverse", false, "descending order")
	fs.BoolVar(&q.Values, "values", false, "with the values")
	config.CallOnly(fs, "prefix", "regex", "skip", "limit", "reverse", "values")
	return a.bucketVerb(cmd, func(cmd *cobra.Command, b *client.Bucket, _ []string) error {
		if q.Skip < 0 || q.Limit < 0 {
			return usagef("--skip and --limit cannot be negative")
		}
		items, err := b.List(cmd.Context(), q)
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"KEY"}}
		if q.Values {
			r.Columns = append(r.Columns, "VALUE")
		}
		for _, item := range items {
			row := output.Row{Cells: []string{item.Key}, Doc: item.Key}
			if q.Values {
				row.Cells = append(row.Cells, item.Text())
				row.Doc = map[string]any{"key": item.Key, "value": item.Value}
			}
			r.Rows = append(r.Rows, row)
		}
		if err := a.write(r); err != nil {
			return err
		}
		if n := len(items); q.Limit == 0 && n > 0 && n%10_000 == 0 {
			a.note("the list may go on; try: --skip %d", q.Skip+n)
		}
		return nil
	})
}
