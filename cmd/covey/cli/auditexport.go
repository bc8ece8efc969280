package cli

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/layer/vault"
)

// scopeFlags say of whom the audit log is.
type scopeFlags struct{ scope client.AuditScope }

func (s *scopeFlags) add(fs *pflag.FlagSet) {
	fs.Uint64Var(&s.scope.Organization, "organization", 0, "`id` of an organization, also of one that was deleted (default all)")
	fs.StringVar(&s.scope.Account, "account", "", "`e-mail` address of the user whose own entries are wanted (default all)")
	config.CallOnly(fs, "organization", "account")
}

func (s *scopeFlags) check(fs *pflag.FlagSet) error {
	switch organization, account := fs.Changed("organization"), fs.Changed("account"); {
	case organization && account:
		return usagef("--organization and --account exclude each other")
	case organization && s.scope.Organization == 0, account && s.scope.Account == "":
		return usagef("the organization or account is empty; leave the flag out for all")
	}
	return nil
}

func (a *app) newAuditExport() *cobra.Command {
	var v keynestVerb
	var s scopeFlags
	var format string
	cmd := &cobra.Command{
		Use: "export [FILE]", Short: "Write the audit log to a file, or to standard output, and prove it", Args: takes(0, 1),
		Long: `Write the audit log to a file, or to standard output: the chains of all organizations
and accounts, or one of them, as they are at one moment. The file is its owner's
alone, and appears when it is complete. What arrives is proved as "covey audit verify"
does; a log that is not what was recorded is written all the same, and the exit code
is 9.`,
	}
	s.add(cmd.Flags())
	cmd.Flags().StringVar(&format, "format", string(vault.AuditJSONL), "of the file: jsonl or csv")
	config.CallOnly(cmd.Flags(), "format")
	return v.on(a, cmd, func(cmd *cobra.Command, k *client.KeyNest, args []string) error {
		if f := vault.AuditFormat(format); f != vault.AuditJSONL && f != vault.AuditCSV {
			return usagef("--format %s is neither jsonl nor csv", output.Clean(format))
		}
		if err := s.check(cmd.Flags()); err != nil {
			return err
		}
		body, err := k.ExportAudit(cmd.Context(), s.scope, format)
		if err != nil {
			return err // before a file is begun
		}
		defer body.Close()
		var report *vault.AuditReport
		export := func(w io.Writer) (err error) {
			report, err = a.takeAudit(cmd.Context(), body, w)
			return err
		}
		if len(args) == 0 || args[0] == "-" {
			err = export(a.env.Stdout)
		} else {
			err = writeFile(args[0], export)
		}
		if err != nil {
			return err
		}
		for _, f := range report.Faults {
			a.note("%s", output.Clean(f.String()))
		}
		if len(report.Faults) > 0 {
			return &unprovenError{"the audit log", len(report.Faults)}
		}
		a.note("%s in %s, unbroken", counted(report.Entries, "entry", "entries"), counted(len(report.Heads), "chain", "chains"))
		return nil
	})
}

// takeAudit copies an export and proves it on the way.
func (a *app) takeAudit(ctx context.Context, from io.Reader, to io.Writer) (*vault.AuditReport, error) {
	m := a.meter("lines", 0)
	defer m.stop()
	from = io.TeeReader(from, io.MultiWriter(to, lineCounter{m}))
	report, err := vault.VerifyAudit(from)
	if err == nil {
		_, err = io.Copy(io.Discard, from) // what was not read any more, after too many faults
	}
	switch {
	case err != nil && ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = &unavailableError{"the export broke off in the middle: try again, perhaps through another node"}
	}
	return report, err
}

// lineCounter tells a meter what passes.
type lineCounter struct{ m *meter }

func (c lineCounter) Write(p []byte) (int, error) {
	c.m.add(int64(bytes.Count(p, []byte("\n"))), int64(len(p)))
	return len(p), nil
}

func (a *app) newAuditHeads() *cobra.Command {
	var v keynestVerb
	var s scopeFlags
	cmd := &cobra.Command{
		Use: "heads", Short: "Print how far the chains of the audit log go, to be noted", Args: takes(0, 0),
		Long: `Print for each chain of the audit log how many entries it has and the hash of the
last one, at one moment. Keep them where nobody who can write to the cluster can
change them: "covey audit verify --heads FILE" tells later whether what was recorded
until now is still the same.`,
	}
	s.add(cmd.Flags())
	return v.on(a, cmd, func(cmd *cobra.Command, k *client.KeyNest, _ []string) error {
		if err := s.check(cmd.Flags()); err != nil {
			return err
		}
		r := output.Result{Columns: []string{"CHAIN", "ENTRIES", "HEAD"}}
		for h, err := range k.AuditHeads(cmd.Context(), s.scope) {
			if err != nil {
				return err
			}
			row := headRow(h.Chain, h.Number, h.Hash)
			row.Doc = h
			r.Rows = append(r.Rows, row)
		}
		return a.write(r)
	})
}
