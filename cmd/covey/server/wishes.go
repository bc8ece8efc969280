package server

import (
	"context"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// wishes keeps what operators want of the membership among the cluster's own
// rows. It is a node.Wishes.
type wishes struct{ db *kv.DB }

// Load reads this node's own state: the leader, which asks, has all of it.
func (w wishes) Load(ctx context.Context) (cluster.Wishes, error) {
	all := cluster.Wishes{}
	_, err := w.db.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		rows, err := fleet.Wishes(tx)
		if err != nil {
			return err
		}
		a, err := fleet.ReadAutopilot(tx)
		if err != nil {
			return err
		}
		all.Nodes = make(map[string]cluster.Wish, len(rows))
		for id, wish := range rows {
			all.Nodes[id] = cluster.ParseWish(string(wish))
		}
		all.Autopilot = cluster.Autopilot{
			Cleanup: a.Cleanup, MinQuorum: a.MinQuorum, DeadAfter: time.Duration(a.DeadSeconds) * time.Second,
		}
		return nil
	})
	return all, err
}

func (w wishes) Keep(ctx context.Context, id string, wish cluster.Wish) error {
	_, err := w.db.Update(ctx, func(tx *kv.Tx) error { return fleet.SetWish(tx, id, fleet.Wish(wish.String())) })
	return err
}
