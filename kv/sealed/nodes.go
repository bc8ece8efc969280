package sealed

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// The package's keys, all below one byte:
//
//	's' 'p'                -> progress of the latest re-wrapping
//	's' 'n' string(node)   -> which keys a node holds
const (
	ownByte      = 's'
	progressByte = 'p'
	nodeByte     = 'n'
)

func progressKey() []byte { return []byte{ownByte, progressByte} }

func nodeKey(id string) []byte { return tuple.AppendString([]byte{ownByte, nodeByte}, id) }

// A Node is what a node has announced about its keyring.
type Node struct {
	ID      string   `json:"id"`
	Primary string   `json:"primary,omitempty"` // what it seals with; "" = it has no keyring
	Keys    []string `json:"keys,omitempty"`    // ids, ascending
}

// Holds reports whether the node has the key with this id.
func (n Node) Holds(id string) bool { return slices.Contains(n.Keys, id) }

// Own returns what this node has to say for itself.
func (in *Inventory) Own(id string) Node {
	return Node{ID: id, Primary: in.Keyring.Primary(), Keys: in.Keyring.IDs()}
}

// Announce stores what the node holds, if that is not what is stored already. In
// a cluster without keyrings nothing is stored.
func (in *Inventory) Announce(ctx context.Context, db *kv.DB, id string) error {
	own := in.Own(id)
	same := false
	if _, err := db.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		all, err := Nodes(tx)
		i := slices.IndexFunc(all, func(n Node) bool { return n.ID == id })
		same = i >= 0 && all[i].Primary == own.Primary && slices.Equal(all[i].Keys, own.Keys) || len(all) == 0 && in.Keyring == nil
		return err
	}); err != nil || same {
		return err
	}
	_, err := db.Update(ctx, func(tx *kv.Tx) error {
		tx.Set(nodeKey(id), encode(own), 0)
		return nil
	})
	return err
}

// Nodes returns what the nodes have announced, in the order of their ids. Some may
// have left the cluster, and one that is down may have changed since.
func Nodes(tx *kv.Tx) (all []Node, err error) {
	for rec, err := range tx.Scan(tuple.Span([]byte{ownByte, nodeByte})) {
		if err != nil {
			return nil, err
		}
		var n Node
		if err := decode(rec.Value, &n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func encode(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts, numbers and bytes
	}
	return p
}

func decode(p []byte, v any) error {
	if err := json.Unmarshal(p, v); err != nil {
		return &errs.Error{Kind: errs.Internal, Msg: "what is stored about keyrings is damaged", Err: err}
	}
	return nil
}
