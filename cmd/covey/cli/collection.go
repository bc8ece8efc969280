package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newCollection() *cobra.Command {
	cmd := newGroup("collection", "Manage, import and export collections of the RestDB API",
		a.newCollectionList(), a.newCollectionCreate(), a.newCollectionDrop(), a.newCollectionImport(), a.newCollectionExport(),
		newGroup("index", "Create, list and drop indexes", a.newIndexCreate(), a.newIndexList(), a.newIndexDrop()),
		newGroup("schema", "Show and change schemas", a.newSchemaGet(), a.newSchemaSet()))
	cmd.Long = "Manage, import and export collections of the RestDB API. All verbs need the\ncluster's root key."
	return cmd
}

func (a *app) newCollectionList() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{Use: "list", Short: "List the collections of a database", Args: takes(0, 0)}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, _ []string) error {
		infos, err := d.Collections(cmd.Context())
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"COLLECTION", "DOCUMENTS", "INDEXES", "CREATED"}}
		for _, i := range infos {
			r.Rows = append(r.Rows, output.Row{
				Cells: []string{i.Name, fmt.Sprint(i.Documents), fmt.Sprint(i.Indexes), i.Created.Format(time.DateTime)}, Doc: i,
			})
		}
		return a.write(r)
	})
}

func (a *app) newCollectionCreate() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{Use: "create COLLECTION", Short: "Create an empty collection", Args: takes(1, 1)}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		if err := d.CreateCollection(cmd.Context(), args[0]); err != nil {
			return err
		}
		return a.done(output.Row{Cells: args, Doc: map[string]any{"name": args[0]}}, "COLLECTION")
	})
}

func (a *app) newCollectionDrop() *cobra.Command {
	var v restVerb
	var yes bool
	cmd := &cobra.Command{
		Use: "drop COLLECTION...", Short: "Delete collections with their documents, schemas and indexes", Args: takes(1, -1),
	}
	yesFlag(cmd, &yes)
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, names []string) error {
		if !yes {
			parts := make([]string, len(names))
			for i, name := range names {
				parts[i] = documentsOf(cmd.Context(), d.Collection(name))
			}
			if err := a.confirm(cmd.Context(), yes, "Drop "+strings.Join(parts, ", ")); err != nil {
				return err
			}
		}
		return each(len(names), func(i int) error { return d.Collection(names[i]).Drop(cmd.Context()) })
	})
}

// documentsOf says which collection it is and how much is in it.
func documentsOf(ctx context.Context, c *client.Collection) string {
	what := "collection " + output.Clean(c.Name())
	switch info, err := c.Info(ctx); {
	case errors.Is(err, client.ErrNotFound):
		return what + " (not found)"
	case err != nil:
		return what + " (documents unknown)"
	default:
		return fmt.Sprintf("%s (%d documents)", what, info.Documents)
	}
}

func (a *app) newSchemaGet() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{Use: "get COLLECTION", Short: "Print a collection's schema as JSON", Args: takes(1, 1)}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		schema, err := d.Collection(args[0]).Schema(cmd.Context())
		if err != nil {
			return err
		}
		if a.format == "" || a.format == string(output.Table) || a.format == string(output.Plain) {
			a.format = string(output.JSON) // a schema has no other shape
		}
		return a.write(output.Result{Doc: schema, Raw: schema})
	})
}

// maxSchema bounds a schema's text.
const maxSchema = 1 << 20

func (a *app) newSchemaSet() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{
		Use: "set COLLECTION FILE", Short: "Replace a collection's schema by the JSON of a file; - reads standard input", Args: takes(2, 2),
		Long: `Replace a collection's schema by the JSON of a file; - reads standard input. The
collection is created if it is not there. Documents that are there stay as they
are; the schema holds for what is written from now on.`,
	}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		text, err := a.readAll(args[1], maxSchema)
		if err != nil {
			return err
		}
		if !json.Valid(text) {
			return usagef("%s is not JSON", args[1])
		}
		return d.Collection(args[0]).SetSchema(cmd.Context(), text)
	})
}

func (a *app) newIndexCreate() *cobra.Command {
	var v restVerb
	var name string
	var unique, wait bool
	cmd := &cobra.Command{
		Use: "create COLLECTION PATH...", Short: "Create an index on one or several fields", Args: takes(2, -1),
		Long: `Create an index on one or several fields, which are named as queries name them:
a.b is the field b of the object a. The index is built while the collection is in
use, and used by queries when it is ready.`,
	}
	fs := cmd.Flags()
	fs.StringVar(&name, "name", "", "`name` of the index (default made of the fields)")
	fs.BoolVar(&unique, "unique", false, "no two documents may have the same values; missing ones and null do not count")
	fs.BoolVar(&wait, "wait", false, "return when the index is ready")
	config.CallOnly(fs, "name", "unique", "wait")
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		c := d.Collection(args[0])
		ix, err := c.CreateIndex(cmd.Context(), name, unique, args[1:]...)
		if err != nil {
			return err
		}
		if wait {
			if ix, err = a.waitForIndex(cmd.Context(), c, ix.Name); err != nil {
				return err
			}
		}
		return a.done(indexRow(ix), indexColumns()...)
	})
}

// indexEvery is how often a build is looked at.
const indexEvery = 200 * time.Millisecond

// waitForIndex returns when the index is ready, and tells how far it is.
func (a *app) waitForIndex(ctx context.Context, c *client.Collection, name string) (client.IndexInfo, error) {
	m := a.meter("documents", 0)
	defer m.stop()
	tick := time.NewTicker(indexEvery)
	defer tick.Stop()
	for {
		all, err := c.Indexes(ctx)
		if err != nil {
			return client.IndexInfo{}, err
		}
		i := slices.IndexFunc(all, func(ix client.IndexInfo) bool { return ix.Name == name })
		if i < 0 {
			return client.IndexInfo{}, &foundError{"index " + name + " was dropped while it was built", client.ErrNotFound}
		}
		switch ix := all[i]; ix.State {
		case "ready":
			return ix, nil
		case "failed":
			return ix, &foundError{fmt.Sprintf("index %s of collection %s cannot be built: %s; drop it", name, c.Name(), ix.Reason), client.ErrConflict}
		default:
			m.count.Store(ix.Done)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return client.IndexInfo{}, ctx.Err()
		}
	}
}

func (a *app) newIndexList() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{Use: "list COLLECTION", Short: "List the indexes of a collection, and how far they are built", Args: takes(1, 1)}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		all, err := d.Collection(args[0]).Indexes(cmd.Context())
		if err != nil {
			return err
		}
		r := output.Result{Columns: indexColumns()}
		for _, ix := range all {
			r.Rows = append(r.Rows, indexRow(ix))
		}
		return a.write(r)
	})
}

func indexColumns() []string { return []string{"INDEX", "FIELDS", "UNIQUE", "STATE"} }

func indexRow(ix client.IndexInfo) output.Row {
	state := ix.State
	switch {
	case ix.Reason != "":
		state += ": " + ix.Reason
	case ix.State == "building":
		state += fmt.Sprintf(", %d of %d documents", ix.Done, ix.Total)
	}
	return output.Row{Cells: []string{ix.Name, strings.Join(ix.Paths, ","), fmt.Sprint(ix.Unique), state}, Doc: ix}
}

func (a *app) newIndexDrop() *cobra.Command {
	var v restVerb
	var yes bool
	cmd := &cobra.Command{Use: "drop COLLECTION INDEX...", Short: "Delete indexes", Args: takes(2, -1)}
	yesFlag(cmd, &yes)
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		names := args[1:]
		if err := a.confirm(cmd.Context(), yes, fmt.Sprintf("Drop %d indexes of collection %s", len(names), output.Clean(args[0]))); err != nil {
			return err
		}
		return each(len(names), func(i int) error { return d.Collection(args[0]).DropIndex(cmd.Context(), names[i]) })
	})
}
