package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
)

func (a *app) newCollectionExport() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{
		Use: "export COLLECTION [FILE]", Short: "Write all documents of a collection to a file, or to standard output, as JSON lines", Args: takes(1, 2),
		Long: `Write all documents of a collection to a file, or to standard output, as JSON
lines in the order of their _id, which they keep; the other metafields are left
out. The file appears when it is complete. Documents that are written meanwhile
may be in it or not. "covey collection import" reads it.`,
	}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		c := d.Collection(args[0])
		if _, err := c.Info(cmd.Context()); err != nil {
			return err // before a file is begun
		}
		export := func(w io.Writer) error { return a.export(cmd.Context(), c, w) }
		if len(args) == 1 || args[1] == "-" {
			return export(a.env.Stdout)
		}
		return writeFile(args[1], export)
	})
}

func (a *app) export(ctx context.Context, c *client.Collection, to io.Writer) error {
	m := a.meter("documents", 0)
	defer m.stop()
	w := bufio.NewWriterSize(to, 1<<20)
	for doc, err := range c.Documents(ctx) {
		if err != nil {
			return errors.Join(w.Flush(), err) // what is piped gets what there is
		}
		_, _ = w.Write(doc) // a bufio.Writer keeps its first error for Flush
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
		m.add(1, int64(len(doc)+1))
	}
	return w.Flush()
}

// lineIDs makes the ids of documents that come without one: what is known of
// the file, and the number of the line. The order of ids is that of the lines.
type lineIDs struct{ file [8]byte }

// freshIDs returns ids that are made anew each time.
func freshIDs() (ids lineIDs, err error) {
	binary.BigEndian.PutUint32(ids.file[:4], uint32(time.Now().Unix()))
	_, err = rand.Read(ids.file[4:])
	return ids, err
}

// idBytes is how much of a file's beginning tells it from others.
const idBytes = 1 << 20

// fileIDs returns the ids that lines of f always get, as long as it is not
// changed, and its size. What is no ordinary file gets fresh ones.
func fileIDs(f *os.File) (ids lineIDs, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return ids, 0, err
	}
	if !info.Mode().IsRegular() {
		ids, err = freshIDs()
		return ids, 0, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, idBytes)); err != nil {
		return ids, 0, err
	}
	changed := info.ModTime()
	_ = binary.Write(h, binary.BigEndian, [2]int64{changed.UnixNano(), info.Size()}) // a hash takes everything
	binary.BigEndian.PutUint32(ids.file[:4], uint32(changed.Unix()))
	copy(ids.file[4:], h.Sum(nil))
	return ids, info.Size(), nil
}

// of returns the id for a line: the file's second, four bytes of its own, the
// line.
func (l lineIDs) of(line uint32) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(append(make([]byte, 0, 12), l.file[:]...), line))
}
