package admin

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// gossipStatus is the answer of /cluster/gossip-keys.
type gossipStatus struct {
	Encrypted  bool         `json:"encrypted"`
	Generation uint64       `json:"generation"` // of the keys; 0 = those that nodes were started with
	Keys       []gossipInfo `json:"keys"`       // the one to send with first
	Dead       []string     `json:"dead,omitempty"`
}

// gossipInfo is one gossip key. It is shown by its name only.
type gossipInfo struct {
	ID      string     `json:"id"`
	Primary bool       `json:"primary"` // the one to send with
	Created *time.Time `json:"created,omitempty"`
	HeldBy  []string   `json:"held_by"`           // members that are alive and hold it
	Missing []string   `json:"missing,omitempty"` // and that do not
	UsedBy  []string   `json:"used_by,omitempty"` // and that send with it
}

func holds(id string) func(cluster.Member) bool {
	return func(m cluster.Member) bool { return slices.Contains(m.GossipKeys, id) }
}

func sends(id string) func(cluster.Member) bool {
	return func(m cluster.Member) bool { return len(m.GossipKeys) > 0 && m.GossipKeys[0] == id }
}

// held returns what this node gossips with.
func (c *call) held() (keys []fleet.GossipKey) {
	for _, key := range c.Fleet.Gossip() {
		keys = append(keys, fleet.GossipKey{Print: cluster.PrintOf(key).String(), Secret: key})
	}
	return keys
}

// listGossipKeys answers which keys there are, and who holds and uses them as
// far as this node knows.
func (c *call) listGossipKeys() (any, error) {
	s, err := c.standing()
	if err != nil {
		return nil, err
	}
	var keys *fleet.GossipKeys
	if err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		keys, err = fleet.ReadGossipPrints(tx, s.ClusterID)
		return err
	}); err != nil {
		return nil, err
	}
	if keys == nil {
		keys = &fleet.GossipKeys{Keys: c.held()}
	}
	members := alive(s)
	answer := gossipStatus{Encrypted: len(keys.Keys) > 0, Generation: keys.Generation, Keys: []gossipInfo{}}
	for i, k := range keys.Keys {
		has := holds(k.Print)
		answer.Keys = append(answer.Keys, gossipInfo{
			ID: k.Print, Primary: i == 0, Created: maybe(k.Created), HeldBy: ids(members, has),
			Missing: ids(members, func(m cluster.Member) bool { return !has(m) }), UsedBy: ids(members, sends(k.Print)),
		})
	}
	answer.Dead = ids(s.Members, func(m cluster.Member) bool { return m.Role != cluster.RoleNone && !m.Alive })
	return answer, nil
}

// edit is a request to change the keys.
func (c *call) edit() (e fleet.GossipEdit, s cluster.Status, err error) {
	if s, err = c.standing(); err != nil {
		return e, s, err
	}
	if s.ClusterID == "" {
		return e, s, errs.E(errs.Unavailable, "this node is of no cluster yet")
	}
	return fleet.GossipEdit{Cluster: s.ClusterID, Held: c.held(), Seed: drawSeed()}, s, nil
}

// addGossipKey draws a key, which all nodes hold from then on and nobody sends
// with yet.
func (c *call) addGossipKey() (any, error) {
	e, _, err := c.edit()
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // documented never to return an error
	k := fleet.GossipKey{Print: cluster.PrintOf(secret).String(), Secret: secret}
	res, err := c.update(0, func(tx *kv.Tx) error {
		_, err := c.Fleet.Store.AddGossipKey(tx, e, k)
		tx.Reply([]byte(k.Print))
		return err
	})
	if err != nil {
		return nil, err
	}
	if res.Duplicate {
		k.Print = string(res.Reply) // that of an earlier try of the same request
	}
	c.follow()
	c.Log.Info("a gossip key was added", "key", k.Print)
	return map[string]string{"id": k.Print}, nil
}

// useGossipKey makes nodes send with a key. A member that is alive and does not
// hold it would be cut off, so that is refused; one that is down gets the keys
// when it is back.
func (c *call) useGossipKey() (any, error) {
	var body struct {
		Force bool `json:"force"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&body); err != nil {
			return nil, err
		}
	}
	e, s, err := c.edit()
	if err != nil {
		return nil, err
	}
	key := c.vars["key"]
	has := holds(key)
	missing := ids(alive(s), func(m cluster.Member) bool { return !has(m) })
	_, err = c.change(func(tx *kv.Tx) error {
		if err := c.known(tx, e, key); err != nil {
			return err
		}
		if len(missing) > 0 && !body.Force {
			return errs.E(errs.Conflict, "gossip key %s is not on %s yet, who could not read what is sent with it: wait, or bring them up", key, strings.Join(missing, ", "))
		}
		_, err := c.Fleet.Store.UseGossipKey(tx, e, key)
		return err
	})
	if err == nil {
		c.follow()
		c.Log.Info("nodes send with another gossip key", "key", key)
	}
	return nil, err
}

// known is errs.NotFound unless there is such a key. Without it a key that is
// nowhere would be refused for being missing.
func (c *call) known(tx *kv.Tx, e fleet.GossipEdit, id string) error {
	keys, err := fleet.ReadGossipPrints(tx, e.Cluster)
	if err != nil {
		return err
	}
	if keys == nil {
		keys = &fleet.GossipKeys{Keys: e.Held}
	}
	if !slices.ContainsFunc(keys.Keys, func(k fleet.GossipKey) bool { return k.Print == id }) {
		return errs.E(errs.NotFound, "there is no gossip key %s", id)
	}
	return nil
}

// removeGossipKey forgets a key. While a member sends with it the others would
// not hear that one, so that is refused.
func (c *call) removeGossipKey() (any, error) {
	e, s, err := c.edit()
	if err != nil {
		return nil, err
	}
	key := c.vars["key"]
	users := ids(alive(s), sends(key))
	_, err = c.change(func(tx *kv.Tx) error {
		if err := c.known(tx, e, key); err != nil {
			return err
		}
		if len(users) > 0 {
			return errs.E(errs.Conflict, "%s still send with gossip key %s: use another one, and wait", strings.Join(users, ", "), key)
		}
		_, err := c.Fleet.Store.RemoveGossipKey(tx, e, key)
		return err
	})
	if err == nil {
		c.follow()
		c.Log.Info("a gossip key was removed", "key", key)
	}
	return nil, err
}
