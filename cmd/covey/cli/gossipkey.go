package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newKeyringGossip() *cobra.Command {
	group := newGroup("gossip", "Replace the keys that encrypt gossip, without restarts",
		a.newGossipList(), a.newGossipNew(), a.newGossipUse(), a.newGossipRemove(), a.newGossipRotate())
	group.Long = `Replace the keys that encrypt gossip while the nodes go on. The nodes draw and keep
the keys; the one in --gossip-key-file is what they began with. A new key has to be
on all nodes before one sends with it, and an old one can go when nobody sends with
it any more:

  covey keyring gossip rotate        does all of it; or step by step:
  covey keyring gossip new           draws a key; prints its name
  covey keyring gossip use NEW       when MISSING ON is empty in: covey keyring gossip list
  covey keyring gossip remove OLD    when SENT BY is empty

A node that is down meanwhile gets the keys when it is back.`
	return group
}

func (a *app) newGossipList() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{Use: "list", Short: "Show the gossip keys by their names, and who holds and uses them", Args: takes(0, 0)}
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, _ []string) error {
		g, err := f.GossipKeys(ctx)
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"KEY", "CREATED", "SENT BY", "HELD BY", "MISSING ON"}, Doc: g}
		for _, k := range g.Keys {
			created := "at the start"
			if k.Created != nil {
				created = k.Created.Format(time.DateTime)
			}
			r.Rows = append(r.Rows, output.Row{Cells: []string{
				k.ID, created, strings.Join(k.UsedBy, ","), strings.Join(k.HeldBy, ","), strings.Join(k.Missing, ","),
			}})
		}
		if err := a.write(r); err != nil {
			return err
		}
		if !g.Encrypted {
			a.note("this cluster does not encrypt its gossip: start its nodes with the same --gossip-key-file")
		}
		if len(g.Dead) > 0 {
			a.note("down, and told when they are back: %s", strings.Join(g.Dead, ", "))
		}
		return nil
	})
}

func (a *app) newGossipNew() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{Use: "new", Short: "Draw a key that all nodes hold and none sends with yet", Args: takes(0, 0),
		Long: "Have the cluster draw a gossip key, which all nodes hold from then on and none sends with yet, and print its name. The key itself is never shown."}
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, _ []string) error {
		id, err := f.AddGossipKey(ctx)
		if err != nil {
			return err
		}
		return a.masterKey(id)
	})
}

func (a *app) newGossipUse() *cobra.Command {
	var v fleetVerb
	var force bool
	cmd := &cobra.Command{Use: "use KEY", Short: "Make nodes send with a key", Args: takes(1, 1),
		Long: "Make all nodes send with a key. It is refused while a member that is up does not hold it."}
	cmd.Flags().BoolVar(&force, "force", false, "even if a member that is up does not hold it: that one is cut off from gossip until it does")
	config.CallOnly(cmd.Flags(), "force")
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, args []string) error {
		return f.UseGossipKey(ctx, args[0], force)
	})
}

func (a *app) newGossipRemove() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{Use: "remove KEY", Short: "Make nodes forget a key that none sends with", Args: takes(1, 1),
		Long: "Make all nodes forget a gossip key. It is refused while a member that is up sends with it."}
	yesFlag(cmd, &v.yes)
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, args []string) error {
		if err := a.confirm(ctx, v.yes, fmt.Sprintf("Remove gossip key %s from all nodes", output.Clean(args[0]))); err != nil {
			return err
		}
		return f.RemoveGossipKey(ctx, args[0])
	})
}

func (a *app) newGossipRotate() *cobra.Command {
	var v fleetVerb
	var within time.Duration
	cmd := &cobra.Command{Use: "rotate", Short: "Replace the key: draw one, use it everywhere, remove the others", Args: takes(0, 0),
		Long: `Replace the gossip key: draw one, wait until all members that are up hold it, make
them send with it, wait until they do, and remove the others. If it ends half way
call it again: it goes on with the key that is there.`}
	cmd.Flags().DurationVar(&within, "within", time.Minute, "how long to wait for the members, at each step")
	config.CallOnly(cmd.Flags(), "within")
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, _ []string) error {
		id, err := a.rotateGossip(ctx, f, within)
		if err != nil {
			return err
		}
		return a.masterKey(id)
	})
}

// rotateGossip returns the key that is the only one then.
func (a *app) rotateGossip(ctx context.Context, f *client.Fleet, within time.Duration) (id string, err error) {
	g, err := f.GossipKeys(ctx)
	if err != nil {
		return "", err
	}
	if len(g.Keys) > 1 {
		id = g.Keys[len(g.Keys)-1].ID // of a rotation that ended half way
		if g.Keys[0].Created != nil && (g.Keys[len(g.Keys)-1].Created == nil || g.Keys[0].Created.After(*g.Keys[len(g.Keys)-1].Created)) {
			id = g.Keys[0].ID
		}
	} else if id, err = f.AddGossipKey(ctx); err != nil {
		return "", err
	}
	err = a.awaitGossip(ctx, f, within, func(g *client.GossipKeys) (left []string, what string) {
		k, known := g.Key(id)
		if !known {
			return []string{"the cluster"}, "does not know the new key"
		}
		return k.Missing, "do not hold the new key"
	})
	if err == nil {
		err = f.UseGossipKey(ctx, id, false)
	}
	if err == nil {
		err = a.awaitGossip(ctx, f, within, func(g *client.GossipKeys) (left []string, what string) {
			for _, k := range g.Keys {
				if k.ID != id {
					left = append(left, k.UsedBy...)
				}
			}
			return left, "still send with an old key"
		})
	}
	if err != nil {
		return "", fmt.Errorf("the gossip key %s is there and the rotation is not done, call it again: %w", id, err)
	}
	if g, err = f.GossipKeys(ctx); err != nil {
		return "", err
	}
	for _, k := range g.Keys {
		if k.ID == id {
			continue
		}
		// Who rotates at the same time may have removed it.
		if gone := f.RemoveGossipKey(ctx, k.ID); !errors.Is(gone, client.ErrNotFound) {
			err = errors.Join(err, gone)
		}
	}
	return id, err
}

// awaitGossip returns when no node is left, or the time is up.
func (a *app) awaitGossip(ctx context.Context, f *client.Fleet, most time.Duration, left func(*client.GossipKeys) ([]string, string)) error {
	end := time.Now().Add(most)
	for {
		g, err := f.GossipKeys(ctx)
		if err != nil {
			return err
		}
		nodes, what := left(&g)
		switch {
		case len(nodes) == 0:
			return nil
		case time.Now().After(end):
			return &unavailableError{fmt.Sprintf("%s %s after %v", strings.Join(nodes, ", "), what, most)}
		}
		if err := wait(ctx, keyringPause); err != nil {
			return err
		}
	}
}
