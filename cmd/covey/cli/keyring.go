package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
)

// keyringPause is between looks at the cluster while a verb waits for it.
const keyringPause = 500 * time.Millisecond

func (a *app) newKeyring() *cobra.Command {
	master := newGroup("master", "Make, rotate and drop the master keys that seal secrets",
		a.newMasterNew(), a.newMasterStatus(), a.newMasterRotate(), a.newMasterAdd(), a.newMasterPromote(), a.newMasterRewrap(), a.newMasterDrop())
	master.Long = `Make, rotate and drop the master keys that seal secrets. They are in the file that
nodes get with --keyring-file; nodes read it again when it changes.

To replace a key where all nodes read the same file:
  covey keyring master rotate FILE     adds a key; makes it the primary one when all nodes hold it
  covey keyring master rewrap --wait   seals everything under it
  covey keyring master drop FILE OLD   takes the old one out, once nothing needs it

Where each node has a file of its own, a key has to be on all of them before
anything is sealed with it:
  covey keyring master add FILE        on one machine; then bring FILE to all others
  covey keyring master promote FILE ID on each machine, or on one and bring FILE to the others
and go on with rewrap. Verbs that ask the cluster need its root key.`
	return newGroup("keyring", "Manage the master keys, gossip keys and root keys", master, a.newKeyringGossip(), a.newKeyringRoot())
}

// keyringVerb holds the flags of a verb on a keyring's file that asks the cluster
// whether that is safe.
type keyringVerb struct {
	conn    connection
	offline bool
}

// on makes cmd such a verb. run gets nil when the cluster is not to be asked.
func (v *keyringVerb) on(a *app, cmd *cobra.Command, run func(ctx context.Context, k *client.Keyring, args []string) error) *cobra.Command {
	v.conn.flags(cmd.Flags(), false)
	cmd.Flags().BoolVar(&v.offline, "offline", false, "change the file without asking the cluster whether that is safe")
	config.CallOnly(cmd.Flags(), "offline")
	return v.asking(a, cmd, run)
}

// asking is on for a verb that has its flags already.
func (v *keyringVerb) asking(a *app, cmd *cobra.Command, run func(ctx context.Context, k *client.Keyring, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := a.outputFormat(); err != nil {
			return err // before anything is changed
		}
		if v.offline {
			return keyringError(run(cmd.Context(), nil, args))
		}
		c, err := v.conn.open(a)
		if err != nil {
			return err
		}
		defer c.Close()
		err = rootKeyAdvice(run(cmd.Context(), c.Keyring(), args))
		var advice *adviceError
		if errors.As(err, &advice) && advice.advice != "" && cmd.Flags().Lookup("offline") != nil {
			advice.advice += ", or change the file alone with --offline"
		}
		return keyringError(err)
	}
	return cmd
}

// keyringError gives what is wrong with a file the exit code of its kind.
func keyringError(err error) error {
	var e *errs.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case errs.NotFound:
		return &foundError{err.Error(), client.ErrNotFound}
	case errs.Exists, errs.Conflict:
		return &foundError{err.Error(), client.ErrConflict}
	}
	return err
}

func (a *app) newMasterNew() *cobra.Command {
	return &cobra.Command{
		Use: "new FILE", Short: "Make a keyring file with one key", Args: takes(1, 1),
		Long: `Make a keyring file with one key, readable by its owner only. A file that is there
stays as it is. Give all nodes the same file with --keyring-file, and keep a copy:
without it everything that is sealed with it is lost.`,
		RunE: func(_ *cobra.Command, args []string) error {
			ring, err := seal.Create(args[0])
			if err != nil {
				return keyringError(err)
			}
			return a.masterKey(ring.Primary())
		},
	}
}

// masterKey prints the id of a key that was made.
func (a *app) masterKey(id string) error {
	return a.write(output.Result{Columns: []string{"KEY"}, Rows: []output.Row{{Cells: []string{id}}}, Doc: map[string]string{"key": id}})
}

func (a *app) newMasterAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add FILE", Short: "Add a key that opens but does not seal yet", Args: takes(1, 1),
		Long: `Add a key to a keyring file and print its id. It opens but does not seal until it
is promoted. Bring the file to all nodes first: write it beside the old one and
rename it, as a whole. "covey keyring master status" shows who has it.`,
		RunE: func(_ *cobra.Command, args []string) error {
			id, err := seal.Add(args[0])
			if err != nil {
				return keyringError(err)
			}
			return a.masterKey(id)
		},
	}
}

func (a *app) newMasterPromote() *cobra.Command {
	var v keyringVerb
	var within time.Duration
	cmd := &cobra.Command{
		Use: "promote FILE ID", Short: "Make a key the one that seals from now on", Args: takes(2, 2),
		Long: `Make a key of a keyring file the primary one: it seals from now on. It is refused
while a node of the cluster does not hold the key, as that node could not open what
the others seal. It waits until a node has read the file.`,
	}
	withinFlag(cmd, &within, 10*time.Second, "how long to wait for a node to read the file")
	return v.on(a, cmd, func(ctx context.Context, k *client.Keyring, args []string) error {
		path, id := args[0], args[1]
		if k == nil {
			return seal.Promote(path, id)
		}
		if _, err := fileHolds(path, id); err != nil {
			return err
		}
		s, err := k.Nodes(ctx)
		if err != nil {
			return err
		}
		if key, known := s.Key(id); !known || len(key.Missing) > 0 {
			return &foundError{lacksKey(key, known), client.ErrConflict}
		}
		if err := seal.Promote(path, id); err != nil {
			return err
		}
		left, err := await(ctx, k, within, func(s *client.KeyringStatus) []string {
			if key, _ := s.Key(id); len(key.PrimaryOn) > 0 {
				return nil
			}
			return everyNode(s)
		})
		if err == nil && len(left) > 0 {
			err = &unavailableError{fmt.Sprintf("key %s is the primary one of %s, but no node seals with it yet. Bring the file to: %s", id, path, strings.Join(left, ", "))}
		}
		return err
	})
}

// withinFlag adds the flag of a verb that waits for nodes.
func withinFlag(cmd *cobra.Command, within *time.Duration, most time.Duration, usage string) {
	cmd.Flags().DurationVar(within, "within", most, usage)
	config.CallOnly(cmd.Flags(), "within")
}

// fileHolds returns the keys of a keyring file, one of which is to have an id.
func fileHolds(path, id string) ([]seal.KeyInfo, error) {
	keys, err := seal.Describe(path)
	if err == nil && !slices.ContainsFunc(keys, func(k seal.KeyInfo) bool { return k.ID == id }) {
		err = errs.E(errs.NotFound, "keyring file %s has no key %q", output.Clean(path), output.Clean(id))
	}
	return keys, err
}

// lacksKey says which nodes do not hold a key.
func lacksKey(key client.MasterKey, known bool) string {
	who := "no node of the cluster holds"
	if known {
		who = "these nodes do not hold, or have not said that they hold,"
		if len(key.Missing) == 1 {
			who = "node " + key.Missing[0] + " does not hold, or has not said that it holds,"
		} else {
			who += " " + strings.Join(key.Missing, ", ") + ":"
		}
	}
	return who + " the master key " + output.Clean(key.ID) + ": bring the keyring file to all nodes first"
}

func (a *app) newMasterRotate() *cobra.Command {
	var v keyringVerb
	var within time.Duration
	cmd := &cobra.Command{
		Use: "rotate FILE", Short: "Add a key, and make it the primary one when all nodes hold it", Args: takes(1, 1),
		Long: `Add a key to a keyring file, wait until all nodes of the cluster have read it, make it
the primary one, wait for that too, and print its id. Old keys stay, to open what
they have sealed. When nodes do not get the key within the time, because they have
files of their own, it says what is left to do; called again it goes on with that
key.`,
	}
	withinFlag(cmd, &within, 30*time.Second, "how long to wait for the nodes, each time")
	return v.on(a, cmd, func(ctx context.Context, k *client.Keyring, args []string) error {
		if k == nil {
			id, err := seal.Rotate(args[0])
			if err != nil {
				return err
			}
			return a.masterKey(id)
		}
		id, err := nextKey(ctx, k, args[0])
		if err == nil {
			err = promoteEverywhere(ctx, k, args[0], id, within)
		}
		if err != nil {
			return err
		}
		return a.masterKey(id)
	})
}

// nextKey returns the key of a file that is to be the primary one next: the
// newest, if that does not seal yet, as a rotation that was cut short has left
// it, else a new one. The file has to be the cluster's.
func nextKey(ctx context.Context, k *client.Keyring, path string) (id string, err error) {
	s, err := k.Nodes(ctx)
	if err != nil {
		return "", err
	}
	keys, err := seal.Describe(path)
	if err != nil {
		return "", err
	}
	for _, key := range s.Keys {
		if len(key.PrimaryOn) > 0 && !slices.ContainsFunc(keys, func(k seal.KeyInfo) bool { return k.ID == key.ID }) {
			return "", &foundError{fmt.Sprintf("%s is not the cluster's keyring file: %s seals with the key %s, which it lacks",
				output.Clean(path), output.Clean(strings.Join(key.PrimaryOn, ", ")), output.Clean(key.ID)), client.ErrConflict}
		}
	}
	if newest := keys[len(keys)-1]; !newest.Primary {
		return newest.ID, nil
	}
	return seal.Add(path)
}

// promoteEverywhere makes a key of a file the primary one when all nodes hold it,
// and returns when all seal with it.
func promoteEverywhere(ctx context.Context, k *client.Keyring, path, id string, within time.Duration) error {
	left, err := await(ctx, k, within, func(s *client.KeyringStatus) []string {
		if key, known := s.Key(id); known {
			return key.Missing
		}
		return everyNode(s)
	})
	if err != nil {
		return fmt.Errorf("key %s was added and does not seal yet: %w", id, err)
	}
	if len(left) > 0 {
		return &unavailableError{fmt.Sprintf(
			"key %s was added and does not seal yet, as it is missing on: %s. Bring the file there, then: covey keyring master promote %s %s",
			id, strings.Join(left, ", "), path, id)}
	}
	if err := seal.Promote(path, id); err != nil {
		return err
	}
	left, err = await(ctx, k, within, func(s *client.KeyringStatus) []string {
		key, _ := s.Key(id)
		return slices.DeleteFunc(slices.Concat(key.Nodes, key.Missing), func(n string) bool { return slices.Contains(key.PrimaryOn, n) })
	})
	if err == nil && len(left) > 0 {
		err = &unavailableError{fmt.Sprintf("key %s is the primary one of %s, but these nodes do not seal with it: %s. Bring the file there", id, path, strings.Join(left, ", "))}
	}
	return err
}

// everyNode returns all nodes that the status of some key names.
func everyNode(s *client.KeyringStatus) []string {
	nodes := []string{s.Node}
	for _, k := range s.Keys {
		nodes = append(append(nodes, k.Nodes...), k.Missing...)
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// await asks the cluster until no node is left, or the time is up.
func await(ctx context.Context, k *client.Keyring, most time.Duration, left func(*client.KeyringStatus) []string) ([]string, error) {
	end := time.Now().Add(most)
	for {
		s, err := k.Nodes(ctx)
		if err != nil {
			return nil, err
		}
		nodes := left(&s)
		if len(nodes) == 0 || time.Now().After(end) {
			return nodes, nil
		}
		if err := wait(ctx, keyringPause); err != nil {
			return nil, err
		}
	}
}

// wait returns after d, or with ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (a *app) newMasterDrop() *cobra.Command {
	var v keyringVerb
	var yes bool
	cmd := &cobra.Command{
		Use: "drop FILE ID", Short: "Take a key out that nothing needs any more", Args: takes(2, 2),
		Long: `Take a key out of a keyring file. It is refused while the cluster needs the key:
"covey keyring master status" says what for. Backups that were made while it was
in use still need it: keep a copy of the file with them.`,
	}
	yesFlag(cmd, &yes)
	return v.on(a, cmd, func(ctx context.Context, k *client.Keyring, args []string) error {
		path, id := args[0], args[1]
		if k != nil {
			s, err := k.Status(ctx)
			if err != nil {
				return err
			}
			if key, known := s.Key(id); known && !key.Droppable {
				return &foundError{fmt.Sprintf("key %s is needed: %s", output.Clean(id), key.InUse), client.ErrConflict}
			}
		}
		if err := a.confirm(ctx, yes, fmt.Sprintf("Drop key %s of %s (backups may need it)", output.Clean(id), output.Clean(path))); err != nil {
			return err
		}
		return seal.Drop(path, id)
	})
}
