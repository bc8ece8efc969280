package server

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi/admin"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
	"github.com/coveydb/covey/node"
)

// fleetPoll is how often a node looks at what its state says of keys. It reads a
// few records of its own.
const fleetPoll = 250 * time.Millisecond

// Operations that nodes ask each other for, over the peer port.
const (
	opGossipKeys = "gossip-keys" // by a node that cannot open the sealed ones
	opRenew      = "renew"       // by a node whose certificate a join token gave
)

// peers is what a follower asks of the node.
type peers interface {
	ClusterID() cluster.ID
	GossipKeys() [][]byte
	SetGossipKeys(keys [][]byte) error
	Status(ctx context.Context) (cluster.Status, error)
	CallAdmin(ctx context.Context, to, op string, in, out any) error
}

// follower keeps this node's gossip keys and root keys as the state says, and
// tells other nodes what they lack for that. It logs names of keys only.
type follower struct {
	id      string
	node    peers
	db      *kv.DB
	store   *fleet.Store
	ring    *seal.Keyring
	root    *auth.RootKey
	path    string                 // of the copy of the gossip keys
	trusted func() ([]byte, error) // the CAs of peers, as PEM; nil: they talk without TLS
	log     *slog.Logger

	rootTurn sync.Mutex // held while the root keys are followed

	mu         sync.Mutex // held while the gossip keys are
	cluster    string     // that agreed on the gossip keys in use; "" = none did
	generation uint64     // of those keys
	sought     time.Time  // when the key to find others with was chosen
	said       string     // of gossip keys that cannot be had, as logged last
}

// openFleet makes the follower of a node, and lets its peers ask it.
func (c *Config) openFleet(p *parsed, n *node.Node, root *auth.RootKey) *follower {
	f := &follower{
		id: c.ID, node: n, db: kv.New(n), store: fleet.New(p.keyring), ring: p.keyring, root: root,
		path: c.keptPath(), log: c.Log, cluster: p.kept.Cluster, generation: p.kept.Generation,
	}
	if p.peerTLS != nil {
		f.trusted = func() ([]byte, error) { return os.ReadFile(c.PeerTLS.CA) }
	}
	n.HandleAdmin(opGossipKeys, f.giveGossipKeys)
	n.HandleAdmin(opRenew, f.renew)
	f.follow(context.Background()) // with what the state holds already: a dropped key opens nothing
	return f
}

// api is what the operator's API needs of the node.
func (f *follower) api(clearText bool) *admin.Fleet {
	return &admin.Fleet{Store: f.store, Gossip: f.node.GossipKeys, Trusted: f.trusted, Follow: f.follow, ClearText: clearText}
}

// Run follows until ctx ends.
func (f *follower) Run(ctx context.Context) {
	every(ctx, fleetPoll, func() { f.follow(ctx) })
}

// follow does what the state of this node says now.
func (f *follower) follow(ctx context.Context) {
	f.followRoots(ctx)
	f.followGossip(ctx)
}

// read runs fn on what this node has; false if that cannot be read.
func (f *follower) read(ctx context.Context, fn func(*kv.Tx) error) bool {
	_, err := f.db.View(ctx, kv.Consistency{Stale: true}, fn)
	if err != nil && ctx.Err() == nil {
		f.log.Debug("the keys of the cluster cannot be read yet", "err", err)
	}
	return err == nil
}

func (f *follower) followRoots(ctx context.Context) {
	f.rootTurn.Lock()
	defer f.rootTurn.Unlock()
	var roots auth.RootSet
	if f.read(ctx, func(tx *kv.Tx) (err error) {
		roots, err = fleet.ReadRootKeys(tx)
		return err
	}) {
		f.root.Follow(roots)
	}
}

func (f *follower) followGossip(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cluster := f.node.ClusterID().String()
	if cluster == "" {
		f.seek(ctx, time.Now())
		return
	}
	var names, keys *fleet.GossipKeys
	var sealed error
	// Those of another cluster may be of the same generation: the folder was part
	// of it, until this one took its place.
	inUse := func() bool { return names.Generation == f.generation && cluster == f.cluster }
	if !f.read(ctx, func(tx *kv.Tx) (err error) {
		if names, err = fleet.ReadGossipPrints(tx, cluster); err == nil && names != nil && !inUse() {
			keys, sealed = f.store.GossipKeys(tx, cluster)
		}
		return err
	}) || names == nil || inUse() {
		return
	}
	if sealed != nil {
		var err error
		if keys, err = f.askGossipKeys(ctx, names); err != nil {
			f.say("the gossip keys have changed and this node cannot open them: give it the cluster's keyring, or let it reach a node that has it", sealed, err)
			return
		}
	}
	f.install(keys)
}

// seekEvery is how long a node of no cluster looks for others with one gossip key
// before it tries the next one that it has.
const seekEvery = 5 * time.Second

// seek has a node of no cluster, which nobody has answered yet, send with another
// one of its gossip keys: which the others have it cannot know.
func (f *follower) seek(ctx context.Context, now time.Time) {
	keys := f.node.GossipKeys()
	if len(keys) < 2 || now.Sub(f.sought) < seekEvery {
		return
	}
	first := f.sought.IsZero()
	f.sought = now
	if first {
		return
	}
	s, err := f.node.Status(ctx)
	if err != nil || slices.ContainsFunc(s.Members, func(m cluster.Member) bool { return m.ID != f.id && m.Alive }) {
		return
	}
	keys = append(slices.Clone(keys[1:]), keys[0])
	if err := f.node.SetGossipKeys(keys); err != nil {
		f.say("the gossip keys could not be installed", err)
		return
	}
	f.log.Info("nobody has answered gossip yet: another key is tried", "sends_with", cluster.PrintOf(keys[0]).String())
}

// say logs what goes on every quarter of a second once.
func (f *follower) say(text string, causes ...error) {
	line := text
	for _, err := range causes {
		line += ": " + err.Error()
	}
	if f.said != line {
		f.said = line
		f.log.Warn(text, "causes", causes)
	}
}

// install makes the keys those of this node, now and after a restart. The copy
// comes first: a node that stopped in between would start with keys that nobody
// has any more.
func (f *follower) install(keys *fleet.GossipKeys) {
	k := keptKeys{Cluster: keys.Cluster, Generation: keys.Generation}
	var names []string
	for _, key := range keys.Keys {
		k.Keys = append(k.Keys, key.Secret)
		names = append(names, key.Print)
	}
	if len(f.node.GossipKeys()) == 0 {
		f.say("the cluster encrypts its gossip and this node does not: start it with a --gossip-key-file")
		return
	}
	if err := writeKept(f.path, f.ring, k); err != nil {
		f.say("the gossip keys could not be stored in the data folder", err)
		return
	}
	if err := f.node.SetGossipKeys(k.Keys); err != nil {
		f.say("the gossip keys could not be installed", err)
		return
	}
	f.cluster, f.generation, f.said = keys.Cluster, keys.Generation, ""
	f.log.Info("the gossip keys are those of the cluster", "generation", keys.Generation, "keys", names, "sends_with", names[0])
}

// givenKeys are gossip keys on their way to a node that cannot open them.
type givenKeys struct {
	Generation uint64   `json:"generation"`
	Keys       [][]byte `json:"keys"` // the one to send with first
}

// askGossipKeys asks the other members for the keys that names says there are.
func (f *follower) askGossipKeys(ctx context.Context, names *fleet.GossipKeys) (*fleet.GossipKeys, error) {
	if f.trusted == nil {
		return nil, errs.E(errs.Unavailable, "nodes do not hand out keys without TLS between them")
	}
	var given givenKeys
	if err := f.askAny(ctx, opGossipKeys, nil, &given); err != nil {
		return nil, err
	}
	keys := &fleet.GossipKeys{Cluster: names.Cluster, Generation: given.Generation}
	for _, secret := range given.Keys {
		keys.Keys = append(keys.Keys, fleet.GossipKey{Print: cluster.PrintOf(secret).String(), Secret: secret})
	}
	if len(keys.Keys) == 0 || given.Generation < names.Generation {
		return nil, errs.E(errs.Unavailable, "the node that was asked is behind")
	}
	return keys, nil
}

// askTime bounds one question to one node.
const askTime = 5 * time.Second

// askAny asks one member after the other, the leader first, until one has the
// answer.
func (f *follower) askAny(ctx context.Context, op string, in, out any) error {
	s, err := f.node.Status(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(s.Members, func(a, b cluster.Member) int {
		switch {
		case a.Leader == b.Leader:
			return 0
		case a.Leader:
			return -1
		}
		return 1
	})
	err = errs.E(errs.Unavailable, "no other member is known")
	for _, m := range s.Members {
		if m.ID == f.id || m.Role == cluster.RoleNone {
			continue
		}
		if err = f.askOne(ctx, m.ID, op, in, out); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (f *follower) askOne(ctx context.Context, to, op string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return f.node.CallAdmin(ctx, to, op, in, out)
}

// admits is errs.Forbidden for who may not be handed keys: the transport has
// proven who asks, if there is TLS.
func (f *follower) admits(ctx context.Context, from string) error {
	if f.trusted == nil {
		return errs.E(errs.Forbidden, "nodes do not hand out keys without TLS between them")
	}
	s, err := f.node.Status(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Members, func(m cluster.Member) bool { return m.ID == from && m.Role != cluster.RoleNone }) {
		return errs.E(errs.Forbidden, "node %s is no member of the cluster", from)
	}
	return nil
}

// giveGossipKeys answers opGossipKeys.
func (f *follower) giveGossipKeys(ctx context.Context, from string, _ json.RawMessage) (any, error) {
	if err := f.admits(ctx, from); err != nil {
		return nil, err
	}
	var keys *fleet.GossipKeys
	if _, err := f.db.View(ctx, kv.Consistency{}, func(tx *kv.Tx) (err error) {
		keys, err = f.store.GossipKeys(tx, f.node.ClusterID().String())
		return err
	}); err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, errs.E(errs.NotFound, "the cluster has agreed on no gossip keys")
	}
	given := givenKeys{Generation: keys.Generation}
	for _, k := range keys.Keys {
		given.Keys = append(given.Keys, k.Secret)
	}
	return given, nil
}

// renewal is what a node sends whose certificate is to be followed by another,
// and renewed the answer.
type renewal struct {
	CSR []byte `json:"csr"` // PEM
}

type renewed struct {
	Cert  []byte `json:"cert"` // PEM
	CA    []byte `json:"ca"`   // PEM
	CASet int64  `json:"ca_set"`
}

// renew answers opRenew: a certificate for the node that asks, and for the names
// that it joined under.
func (f *follower) renew(ctx context.Context, from string, body json.RawMessage) (any, error) {
	var ask renewal
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&ask); err != nil {
		return nil, errs.E(errs.Invalid, "the request for a certificate does not decode: %w", err)
	}
	if err := f.admits(ctx, from); err != nil {
		return nil, err
	}
	var a *fleet.Authority
	var who fleet.Called
	if _, err := f.db.View(ctx, kv.Consistency{}, func(tx *kv.Tx) (err error) {
		if who, err = fleet.FindJoined(tx, from); err != nil {
			return err
		}
		a, err = f.store.Authority(tx)
		return err
	}); err != nil {
		return nil, err
	}
	if a == nil {
		return nil, errs.E(errs.NotFound, "the cluster has no CA to sign with: covey cluster ca import gives it one")
	}
	trusted, err := f.trusted()
	if err != nil {
		return nil, err
	}
	cert, ca, err := admin.Certify(a, trusted, admin.Applicant{ID: from, Hosts: who.Hosts, CSR: ask.CSR})
	if err != nil {
		return nil, err
	}
	f.log.Info("a node's certificate was renewed", "node", from)
	return renewed{Cert: cert, CA: ca, CASet: a.Set}, nil
}
