package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
)

func (a *app) newDBDump() *cobra.Command {
	var v databaseVerb
	cmd := &cobra.Command{
		Use: "dump DATABASE [FILE]", Short: "Write a database to a file, or to standard output, as one JSON object", Args: takes(1, 2),
		Long: `Write a database to a file, or to standard output, as one JSON object of keys and
values, from one view of the database. Encrypted values are left out; with an
encryption key all but the values that it opens are left out. The file appears
when it is complete. "covey db load" reads it.`,
	}
	v.encrypted(cmd)
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.Databases, args []string) error {
		ctx := cmd.Context()
		if err := exists(ctx, d, args[0]); err != nil {
			return err // to read it would create it
		}
		a.note("%s", map[bool]string{
			true:  "values that are encrypted are left out; to get those of one key give --encryption-key-file",
			false: "values that the encryption key does not open, and those that are not encrypted, are left out",
		}[v.encryptionKey == ""])
		dump := func(w io.Writer) error {
			return a.dump(ctx, d.Database(args[0]), v.encryptionKey, w)
		}
		if len(args) == 1 || args[1] == "-" {
			return dump(a.env.Stdout)
		}
		return writeFile(args[1], dump)
	})
}

func (a *app) dump(ctx context.Context, db *client.Database, encryptionKey string, to io.Writer) error {
	p := a.meter("keys", 0)
	defer p.stop()
	w := bufio.NewWriterSize(to, 1<<20)
	separator := "{"
	for item, err := range db.Dump(ctx, encryptionKey) {
		if err != nil {
			return err
		}
		name, err := jsonText(item.Key)
		if err != nil {
			return err
		}
		_, _ = w.WriteString(separator) // a bufio.Writer keeps its first error for Flush
		_, _ = w.Write(name)
		_ = w.WriteByte(':')
		if _, err := w.Write(item.Value); err != nil {
			return err
		}
		separator = ","
		p.add(1, int64(len(name)+len(item.Value)+2))
	}
	if separator == "{" {
		_, _ = w.WriteString("{")
	}
	_, _ = w.WriteString("}\n")
	return w.Flush()
}

// jsonText renders a string without HTML escapes.
func jsonText(s string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// writeFile makes a file of what write gives, under its name only when it is
// complete and on the disk. The file is its owner's alone. A link is followed;
// what is no ordinary file, such as a pipe, is written to as it is.
func writeFile(path string, write func(io.Writer) error) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
