package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/backup/depot"
	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newBackup() *cobra.Command {
	cmd := newGroup("backup", "Back up the whole cluster, and look at backups",
		a.newBackupCreate(), a.newBackupVerify(), a.newBackupShow(), a.newBackupList(), a.newBackupFetch())
	a.s3.flags(cmd.PersistentFlags())
	return cmd
}

func (a *app) newBackupCreate() *cobra.Command {
	var conn connection
	var keys sealing
	cmd := &cobra.Command{
		Use: "create FILE", Short: "Write a backup of the whole cluster, while it works; needs the root key", Args: takes(1, 1),
		Long: `Write a backup of the whole cluster to a new file, or with - to standard output;
needs the root key. The cluster goes on working. The backup is of one version: it
holds every write that was acknowledged before it began. Each byte is checked on its
way, and the file appears when it is complete and on the disk.

With --consistency stale the node gives what it has by itself: the way to save
data when the cluster has lost its quorum.

The file holds what the state holds: secrets are sealed in it, and need the
keyring file to be of use. Keep that one too, elsewhere.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := keys.recipients()
			if err != nil {
				return err
			}
			if _, err := os.Lstat(args[0]); err == nil && args[0] != "-" {
				return &foundError{fmt.Sprintf("%s exists already, and a backup overwrites nothing", args[0]), client.ErrConflict}
			}
			c, err := conn.open(a)
			if err != nil {
				return err
			}
			defer c.Close()
			var s backup.Summary
			create := func(w io.Writer) (err error) {
				s, err = a.createBackup(cmd.Context(), c, w, to)
				return err
			}
			if args[0] == "-" {
				err = create(a.env.Stdout)
			} else {
				err = writeFile(args[0], create)
			}
			if err != nil {
				return rootKeyAdvice(err)
			}
			a.note("version %d of cluster %s: %d records, %s", s.Header.Version, s.Header.Cluster, s.Records, byteText(int64(s.Bytes)))
			if args[0] == "-" {
				return nil
			}
			return a.write(backupResult(s, len(to) > 0))
		},
	}
	conn.flags(cmd.Flags(), false)
	keys.outward(cmd.Flags())
	return cmd
}

// createBackup writes a backup to w, for to alone if that is not empty. What it
// writes it reads at once.
func (a *app) createBackup(ctx context.Context, c *client.Client, w io.Writer, to []age.Recipient) (backup.Summary, error) {
	m := a.meter("records", 0)
	defer m.stop()
	out := io.Writer(w)
	finish := func() error { return nil }
	if len(to) > 0 {
		e, err := backup.Encrypt(w, to...)
		if err != nil {
			return backup.Summary{}, err
		}
		out, finish = e, e.Close
	}
	type verdict struct {
		s   backup.Summary
		err error
	}
	checked := make(chan verdict, 1)
	read, tee := io.Pipe()
	go func() {
		s, err := backup.Inspect(read, countRecords(m))
		read.CloseWithError(err) // the copy ends with the check's error
		checked <- verdict{s, err}
	}()
	_, err := c.Backup(ctx, io.MultiWriter(out, tee, sized{m}))
	tee.CloseWithError(err)
	v := <-checked
	if err != nil {
		return v.s, err
	}
	return v.s, errors.Join(v.err, finish())
}

// countRecords counts records in m.
func countRecords(m *meter) func(backup.Record) error {
	return func(backup.Record) error { m.add(1, 0); return nil }
}

// sized counts bytes in a meter.
type sized struct{ m *meter }

// Write implements io.Writer.
func (s sized) Write(p []byte) (int, error) {
	s.m.add(0, int64(len(p)))
	return len(p), nil
}

func (a *app) newBackupVerify() *cobra.Command {
	var keys sealing
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Read a backup to its end and check every byte of it; - reads standard input", Args: takes(1, 1),
		Long: `Read a backup to its end and check every byte of it; - reads standard input. It
needs no cluster. What it finds right can be restored.`,
		RunE: func(_ *cobra.Command, args []string) error {
			s, encrypted, err := a.verifyBackup(args[0], &keys)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			a.note("%s is whole", args[0])
			return a.write(backupResult(s, encrypted))
		},
	}
	keys.inward(cmd.Flags())
	return cmd
}

func (a *app) newBackupShow() *cobra.Command {
	var keys sealing
	cmd := &cobra.Command{
		Use: "show FILE", Short: "Show what a backup says of itself, without checking the rest", Args: takes(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			h, encrypted, err := a.backupHeader(args[0], &keys)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return a.write(headerResult(h, encrypted))
		},
	}
	keys.inward(cmd.Flags())
	return cmd
}

// openBackup opens a file, standard input, or the URL of a file in a depot. The
// caller closes it.
func (a *app) openBackup(path string) (f io.ReadCloser, size int64, err error) {
	if path == "-" {
		return io.NopCloser(a.env.Stdin), 0, nil
	}
	if depot.IsURL(path) {
		return a.openDepotFile(path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

func (a *app) backupHeader(path string, keys *sealing) (h backup.Header, encrypted bool, err error) {
	ids, err := keys.identities()
	if err != nil {
		return h, false, err
	}
	f, _, err := a.openBackup(path)
	if err != nil {
		return h, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	plain, encrypted, err := backup.Open(f, ids...)
	if err != nil {
		return h, encrypted, encryptedAdvice(err)
	}
	r, err := backup.NewReader(plain)
	if err != nil {
		return h, encrypted, err
	}
	return r.Header(), encrypted, nil
}

func (a *app) verifyBackup(path string, keys *sealing) (s backup.Summary, encrypted bool, err error) {
	ids, err := keys.identities()
	if err != nil {
		return s, false, err
	}
	f, size, err := a.openBackup(path)
	if err != nil {
		return s, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	m := a.meter("records", size)
	defer m.stop()
	plain, encrypted, err := backup.Open(io.TeeReader(f, sized{m}), ids...)
	if err != nil {
		return s, encrypted, encryptedAdvice(err)
	}
	s, err = backup.Inspect(plain, countRecords(m))
	return s, encrypted, err
}

// encryptedAdvice names the flags that open a backup.
func encryptedAdvice(err error) error {
	if errors.Is(err, backup.ErrEncrypted) {
		return &adviceError{err, "Give --age-identities FILE, or --passphrase-file FILE"}
	}
	return err
}

// sealing holds the flags about age.
type sealing struct{ recipientsFile, identitiesFile, passphraseFile string }

func (k *sealing) outward(fs *pflag.FlagSet) {
	fs.StringVar(&k.recipientsFile, "age-recipients", "", "encrypt for all of the `file`'s age recipients (age1..., one a line)")
	fs.StringVar(&k.passphraseFile, "passphrase-file", "", "encrypt with the passphrase in the `file`'s first line")
	config.CallOnly(fs, "age-recipients", "passphrase-file")
}

func (k *sealing) inward(fs *pflag.FlagSet) {
	fs.StringVar(&k.identitiesFile, "age-identities", "", "`file` with age identities (AGE-SECRET-KEY-...), to open an encrypted backup")
	fs.StringVar(&k.passphraseFile, "passphrase-file", "", "`file` whose first line is the passphrase of an encrypted backup")
	config.CallOnly(fs, "age-identities", "passphrase-file")
}

// recipients returns whom a backup is encrypted for; none for nobody.
func (k *sealing) recipients() (to []age.Recipient, err error) {
	if k.recipientsFile != "" && k.passphraseFile != "" {
		return nil, usagef("--age-recipients and --passphrase-file exclude each other: age has one passphrase or recipients")
	}
	if k.recipientsFile != "" {
		err = readKeys("age-recipients", k.recipientsFile, func(r io.Reader) error {
			to, err = backup.Recipients(r)
			return err
		})
	}
	if k.passphraseFile != "" {
		err = readKeys("passphrase-file", k.passphraseFile, func(r io.Reader) error {
			one, _, err := backup.Passphrase(r)
			to = []age.Recipient{one}
			return err
		})
	}
	return to, err
}

// identities returns what a backup may be opened with.
func (k *sealing) identities() (ids []age.Identity, err error) {
	if k.identitiesFile != "" {
		err = readKeys("age-identities", k.identitiesFile, func(r io.Reader) error {
			ids, err = backup.Identities(r)
			return err
		})
	}
	if k.passphraseFile != "" && err == nil {
		err = readKeys("passphrase-file", k.passphraseFile, func(r io.Reader) error {
			_, id, err := backup.Passphrase(r)
			ids = append(ids, id)
			return err
		})
	}
	return ids, err
}

func readKeys(flag, path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	defer f.Close()
	if err := read(f); err != nil {
		return fmt.Errorf("--%s %s: %w", flag, path, err)
	}
	return nil
}

// backupDoc is a backup for programs.
type backupDoc struct {
	backup.Header
	Encrypted bool   `json:"encrypted"`
	Records   uint64 `json:"records,omitempty"`
	Bytes     uint64 `json:"bytes,omitempty"` // before the encryption
}

func backupResult(s backup.Summary, encrypted bool) output.Result {
	r := headerResult(s.Header, encrypted)
	r.Columns = append(r.Columns, "RECORDS", "SIZE")
	r.Rows[0].Cells = append(r.Rows[0].Cells, strconv.FormatUint(s.Records, 10), byteText(int64(s.Bytes)))
	r.Rows[0].Doc = backupDoc{s.Header, encrypted, s.Records, s.Bytes}
	return r
}

func headerResult(h backup.Header, encrypted bool) output.Result {
	seal := "no"
	if encrypted {
		seal = "age"
	}
	return output.Result{
		Columns: []string{"CREATED", "CLUSTER", "NODE", "RELEASE", "VERSION", "ENCRYPTED"},
		Rows: []output.Row{{
			Cells: []string{h.Created.UTC().Format(time.RFC3339), h.Cluster, h.Node, h.Release, strconv.FormatUint(h.Version, 10), seal},
			Doc:   backupDoc{Header: h, Encrypted: encrypted},
		}},
	}
}
