package admin

import (
	"context"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// rootKeyInfo is one root key as it is shown.
type rootKeyInfo struct {
	ID      string     `json:"id"`
	Key     string     `json:"key,omitempty"` // only in the answer to its creation
	Created *time.Time `json:"created,omitempty"`
	Current bool       `json:"current,omitempty"` // this request was made with it
}

// usedKey returns the id of the key that the request was made with.
func (c *call) usedKey() string {
	id, _ := c.Root.Which(web.Credential(c.r, nil))
	return id
}

func (c *call) listRootKeys() (any, error) {
	list := struct {
		Keys []rootKeyInfo `json:"keys"`
	}{[]rootKeyInfo{}}
	var keys []fleet.RootKey
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		keys, err = fleet.RootKeys(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	used := c.usedKey()
	if _, ok := c.Root.File(); ok {
		list.Keys = append(list.Keys, rootKeyInfo{ID: auth.FileKey, Current: used == auth.FileKey})
	}
	for _, k := range keys {
		list.Keys = append(list.Keys, rootKeyInfo{ID: k.ID, Created: millis(k.Created), Current: used == k.ID})
	}
	return list, nil
}

// addRootKey makes a key and shows it, the only time.
func (c *call) addRootKey() (any, error) {
	var made fleet.RootKey
	// The hash takes its salt here: a transaction must not draw one.
	salt := auth.NewSalt()
	store := func(tx *kv.Tx, id, text string) (err error) {
		made, err = fleet.AddRootKey(tx, id, auth.Salted{Salt: salt, Hash: salt.Hash(text)})
		return err
	}
	id, text, err := c.makeSecret(auth.GenerateKey, secretMaker{create: store, again: store})
	if err != nil {
		return nil, err
	}
	c.follow()
	c.Log.Info("a root key was made", "key", id)
	return rootKeyInfo{ID: id, Key: text, Created: millis(made.Created)}, nil
}

// dropRootKey makes a key useless, here at once and on the other nodes within a
// second. Of two operators who drop each other's keys update refuses one, so
// that some key is left.
func (c *call) dropRootKey() (any, error) {
	d := fleet.RootDrop{ID: c.vars["key"], By: c.usedKey()}
	if file, ok := c.Root.File(); ok {
		d.File = &file
	}
	_, err := c.change(func(tx *kv.Tx) error { return fleet.DropRootKey(tx, d) })
	if err == nil {
		c.follow()
		c.Log.Info("a root key was dropped", "key", d.ID)
	}
	return nil, err
}
