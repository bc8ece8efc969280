package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newRestSettingsGet() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{
		Use: "get [NAME]", Short: "Show the settings, or one of them", Args: takes(0, 1),
		Long: "Show the settings, or one of them. Of a secret it is told only that it is set.",
	}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		settings, err := d.Settings(cmd.Context())
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"NAME", "VALUE"}}
		for _, s := range settings {
			value := s.Value
			if s.Secret && s.Set {
				value = "(set)"
			}
			row := output.Row{Cells: []string{s.Name, value}, Doc: s}
			if len(args) == 0 {
				r.Rows = append(r.Rows, row)
			} else if args[0] == s.Name && s.Set {
				return a.write(output.Result{Columns: []string{"VALUE"}, Rows: []output.Row{{Cells: []string{value}}}, Doc: s})
			}
		}
		if len(args) > 0 {
			return &foundError{"the setting " + output.Clean(args[0]) + " is not set", client.ErrNotFound}
		}
		return a.write(r)
	})
}

// maxSetting bounds the value of one setting: a set of keys is the largest.
const maxSetting = 256 << 10

func (a *app) newRestSettingsSet() *cobra.Command {
	var v restVerb
	var file string
	var unset bool
	cmd := &cobra.Command{
		Use: "set NAME [VALUE]", Short: "Change a setting", Args: takes(1, 2),
		Long: `Change a setting. A secret is better given with --file than as an argument, which
other users of the machine can read; --file - reads standard input.

  jwt.client_id       what the "aud" of a user's JWT must be
  jwt.client_secret   secret that signs JWTs with HS256
  jwt.jwks            public keys for JWTs with RS256: their JSON, or its URL
  strict              true: POST makes no collection, and documents hold only
                      fields that their schema names
  properties.NAME     secret that POST /auth/jwt can sign with
  media.max_bytes     largest media file, in bytes (10485760 if it is not set)
  host_suffix         of the whole cluster: what follows a database's name in host names
  default_database    of the whole cluster: for requests whose host names none`,
	}
	cmd.Flags().StringVar(&file, "file", "", "`file` with the value; - is standard input")
	cmd.Flags().BoolVar(&unset, "unset", false, "take the setting away")
	config.CallOnly(cmd.Flags(), "file", "unset")
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		var value string
		switch {
		case unset && (len(args) == 2 || file != ""), len(args) == 2 && file != "":
			return usagef("a value, --file and --unset exclude each other")
		case len(args) == 2:
			value = args[1]
		case file != "":
			text, err := a.readAll(file, maxSetting)
			if err != nil {
				return err
			}
			value = strings.TrimRight(string(text), "\r\n")
		case !unset:
			return usagef("no value: give it as an argument or with --file, or take the setting away with --unset")
		}
		if value == "" && !unset {
			return usagef("the value is empty; --unset takes a setting away")
		}
		return d.SetSetting(cmd.Context(), args[0], value)
	})
}

// readAll reads a file of at most limit bytes, or with - standard input.
func (a *app) readAll(path string, limit int64) ([]byte, error) {
	from := a.env.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return text, err
}

func (a *app) newRestRoleGet() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{Use: "get COLLECTION", Short: "Show which roles may do what with a collection", Args: takes(1, 1)}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		roles, err := d.Collection(args[0]).Roles(cmd.Context())
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"FOR", "ROLES"}, Doc: roles}
		for _, row := range []struct {
			name  string
			roles []string
		}{{"read", roles.Read}, {"create", roles.Create}, {"update", roles.Update}, {"delete", roles.Delete}} {
			r.Rows = append(r.Rows, output.Row{Cells: []string{row.name, strings.Join(row.roles, ",")}})
		}
		r.Rows = append(r.Rows, output.Row{Cells: []string{"private", fmt.Sprint(roles.Private)}})
		return a.write(r)
	})
}

func (a *app) newRestRoleSet() *cobra.Command {
	var v restVerb
	var roles client.RestRoles
	cmd := &cobra.Command{
		Use: "set COLLECTION", Short: "Say which roles may do what with a collection", Args: takes(1, 1),
		Long: `Say which users with a JWT may do what with a collection: those that have one of
the roles named. What is not named is allowed to nobody; a call replaces what was
said before. Access keys do not go by roles.`,
	}
	fs := cmd.Flags()
	for _, f := range []struct {
		name, what string
		to         *[]string
	}{
		{"read", "read documents", &roles.Read}, {"create", "create documents", &roles.Create},
		{"update", "change documents", &roles.Update}, {"delete", "delete documents", &roles.Delete},
	} {
		fs.StringSliceVar(f.to, f.name, []string{}, "`roles`, comma-separated, that may "+f.what)
	}
	fs.BoolVar(&roles.Private, "private", false, "users see and change only what they created")
	config.CallOnly(fs, "read", "create", "update", "delete", "private")
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		return d.Collection(args[0]).SetRoles(cmd.Context(), roles)
	})
}
