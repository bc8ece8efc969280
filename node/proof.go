package node

import (
	"context"
	"fmt"

	"github.com/coveydb/covey/cluster"
)

// proven turns the taking in of a new node into its refusal, unless the node at
// that address proves on the peer port that it is the one which gossip told of.
// The key of gossip is proof of nothing but itself: who has it and no
// certificate would become a member that nobody can talk to.
func (d *duties) proven(ctx context.Context, c cluster.Change) cluster.Change {
	if c.Kind != cluster.AddNonvoter {
		return c
	}
	// Where it takes longer to connect, a later round finds the connection.
	ctx, cancel := context.WithTimeout(ctx, surveyFor)
	defer cancel()
	if _, err := d.n.askStanding(ctx, c.ID, 0); err != nil {
		c.Kind = cluster.Refuse
		c.Reason = fmt.Sprintf("its peer port at %s does not prove that it is this node: %v", c.Addr, err)
	}
	return c
}
