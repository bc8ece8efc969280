package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/internal/seal"
)

func (a *app) newMasterRewrap() *cobra.Command {
	var v keyringVerb
	var waits, force bool
	cmd := &cobra.Command{
		Use: "rewrap", Short: "Seal everything under the primary key", Args: takes(0, 0),
		Long: `Seal everything that master keys have sealed under the primary one. The node that
leads does it in the background while requests go on; what data keys have sealed
stays as it is, as only the data keys are sealed anew. It is refused while a node
lacks the primary key or seals with another, and while secrets are sealed with a key
that the node that answers lacks.`,
	}
	fs := cmd.Flags()
	v.conn.flags(fs, false)
	fs.BoolVar(&waits, "wait", false, "until it is done")
	fs.BoolVar(&force, "force", false, "even if a node seals with another key or lacks this one, or secrets are sealed with keys that are lost")
	config.CallOnly(fs, "wait", "force")
	return v.asking(a, cmd, func(ctx context.Context, k *client.Keyring, _ []string) error {
		r, err := k.Rewrap(ctx, force)
		if err == nil && waits {
			r, err = a.awaitRewrap(ctx, k, r)
		}
		if err != nil {
			return err
		}
		if err := a.write(output.Result{
			Columns: []string{"KEY", "STATE", "GONE OVER", "SEALED ANEW", "FAILED"},
			Rows:    []output.Row{{Cells: []string{r.Key, rewrapState(r), fmt.Sprintf("%d of %d", r.Done, max(r.Done, r.Total)), fmt.Sprint(r.Changed), fmt.Sprint(r.Failed)}}}, Doc: r,
		}); err != nil {
			return err
		}
		if r.Failed > 0 {
			return &partlyError{done: int(r.Done - r.Failed), all: int(r.Done), err: rewrapFault(r)}
		}
		return nil
	})
}

// awaitRewrap returns the progress at the end, and says meanwhile how it goes.
func (a *app) awaitRewrap(ctx context.Context, k *client.Keyring, r client.Rewrap) (client.Rewrap, error) {
	said := ""
	for r.Finished == nil {
		if text := rewrapState(r); text != said && (r.Waits != "" || a.env.StderrTerminal) {
			a.note("%s, %d of %d gone over", text, r.Done, max(r.Done, r.Total))
			said = text
		}
		if err := wait(ctx, keyringPause); err != nil {
			return r, err
		}
		s, err := k.Nodes(ctx)
		if err != nil {
			return r, err
		}
		if s.Rewrap == nil || s.Rewrap.Key != r.Key {
			return r, &foundError{"everything is being sealed under another key now", client.ErrConflict}
		}
		r = *s.Rewrap
	}
	return r, nil
}

func rewrapState(r client.Rewrap) string {
	switch {
	case r.Finished != nil:
		return "done " + r.Finished.Format(time.DateTime)
	case r.Waits != "":
		return "waits: " + r.Waits
	}
	return "under way since " + r.Started.Format(time.DateTime)
}

// rewrapFault is the first secret that could not be sealed anew.
func rewrapFault(r client.Rewrap) error {
	if len(r.Faults) == 0 {
		return errors.New("not known")
	}
	f := r.Faults[0]
	return fmt.Errorf("%s, %s: %s", f.Kind, f.Which, f.Reason)
}

func (a *app) newMasterStatus() *cobra.Command {
	var v keyringVerb
	cmd := &cobra.Command{
		Use: "status [FILE]", Short: "Show the keys of the cluster, or of a keyring file", Args: takes(0, 1),
		Long: `Show which master keys there are by their ids: which nodes lack them or seal with
them, how many secrets are sealed with each, whether it may be dropped, and how far
the latest re-wrapping has come. With FILE show the keys of that file instead,
without asking the cluster.`,
	}
	v.conn.flags(cmd.Flags(), false)
	ask := v.asking(a, cmd, func(ctx context.Context, k *client.Keyring, _ []string) error {
		s, err := k.Status(ctx)
		if err != nil {
			return err
		}
		return a.showMasters(s)
	}).RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return ask(cmd, args)
		}
		return keyringError(a.showFile(args[0]))
	}
	return cmd
}

func (a *app) showFile(path string) error {
	infos, err := seal.Describe(path)
	if err != nil {
		return err
	}
	type keyDoc struct {
		ID      string    `json:"id"`
		Created time.Time `json:"created,omitzero"`
		Primary bool      `json:"primary"`
	}
	r := output.Result{Columns: []string{"KEY", "CREATED", "PRIMARY"}}
	for _, i := range infos {
		created, primary := "unknown", ""
		if !i.Created.IsZero() {
			created = i.Created.Format(time.DateTime)
		}
		if i.Primary {
			primary = "primary"
		}
		r.Rows = append(r.Rows, output.Row{Cells: []string{i.ID, created, primary}, Doc: keyDoc(i)})
	}
	return a.write(r)
}

func (a *app) showMasters(s client.KeyringStatus) error {
	r := output.Result{Columns: []string{"KEY", "SEALS ON", "MISSING ON", "SECRETS", "MAY BE DROPPED"}, Doc: s}
	for _, k := range s.Keys {
		drop := "yes"
		if !k.Droppable {
			drop = "no: " + k.InUse
		}
		secrets := fmt.Sprint(k.Sealed)
		for i, kind := range slices.Sorted(maps.Keys(k.Kinds)) {
			secrets += fmt.Sprintf("%s %d %s", []string{":", ","}[min(i, 1)], k.Kinds[kind], kind)
		}
		r.Rows = append(r.Rows, output.Row{Cells: []string{
			k.ID, strings.Join(k.PrimaryOn, ","), strings.Join(k.Missing, ","), secrets, drop,
		}})
	}
	if err := a.write(r); err != nil {
		return err
	}
	if s.Damaged > 0 {
		a.note("%d secrets are damaged: what key has sealed them is not known", s.Damaged)
	}
	if w := s.Rewrap; w != nil {
		a.note("the latest re-wrapping, to %s: %s; %d of %d gone over, %d sealed anew, %d failed", w.Key, rewrapState(*w), w.Done, max(w.Done, w.Total), w.Changed, w.Failed)
		for _, f := range w.Faults {
			a.note("not sealed anew: %s, %s: %s", f.Kind, f.Which, f.Reason)
		}
	}
	return nil
}
