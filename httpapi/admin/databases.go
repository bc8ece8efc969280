package admin

import (
	"context"
	"slices"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// databaseInfo is one database in the list.
type databaseInfo struct {
	Name     string     `json:"name"`
	Created  *time.Time `json:"created,omitempty"`
	Dropping bool       `json:"dropping,omitempty"`
}

// listDatabases answers a page of the databases of documents, from the first
// name after ?after=.
func (c *call) listDatabases() (any, error) {
	var infos []collection.DatabaseInfo
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		infos, err = c.Collections.Databases(tx, c.query.Value("after"))
		return err
	})
	page := struct {
		Databases []databaseInfo `json:"databases"`
		Next      string         `json:"next,omitempty"`
	}{Databases: make([]databaseInfo, 0, len(infos))}
	for _, i := range infos {
		d := databaseInfo{Name: i.Name, Dropping: i.Dropping}
		if i.Created != 0 {
			d.Created = millis(i.Created)
		}
		page.Databases = append(page.Databases, d)
	}
	if len(infos) == collection.Page {
		page.Next = infos[len(infos)-1].Name
	}
	return page, err
}

func millis(ms int64) *time.Time {
	t := time.UnixMilli(ms).UTC()
	return &t
}

func (c *call) createDatabase() (any, error) {
	var body named
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	_, err := c.update(0, func(tx *kv.Tx) error { return c.Collections.CreateDatabase(tx, body.Name) })
	return body, err
}

// dropDatabase goes on until all is gone. When it is cut short, nobody is
// served from what is left, and the same request drops the rest.
func (c *call) dropDatabase() (any, error) {
	for step := 0; ; step++ {
		res, err := c.update(step, func(tx *kv.Tx) error {
			done, err := c.Collections.DropDatabase(tx, c.vars["db"])
			tx.Reply([]byte{'0'})
			if done {
				tx.Reply([]byte{'1'})
			}
			return err
		})
		if err != nil || string(res.Reply) == "1" {
			return nil, err
		}
	}
}

// accessKey is one key in the list.
type accessKey struct {
	ID       string     `json:"id"`
	Web      bool       `json:"web,omitempty"`
	ReadOnly bool       `json:"read_only,omitempty"`
	Note     string     `json:"note,omitempty"`
	Paths    []string   `json:"paths,omitempty"`
	Methods  []string   `json:"methods,omitempty"`
	Origins  []string   `json:"origins,omitempty"`
	Realtime []string   `json:"realtime,omitempty"`
	Channels []string   `json:"channels,omitempty"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	Key      string     `json:"key,omitempty"` // its text, in the answer that creates it
}

func describeKey(i collection.KeyInfo) accessKey {
	k := accessKey{
		ID: i.ID, Web: i.Web, ReadOnly: i.ReadOnly, Note: i.Note, Paths: i.Paths, Methods: i.Methods, Origins: i.Origins,
		Realtime: i.Realtime, Channels: i.Channels, Created: *millis(i.Created),
	}
	if i.Expires != 0 {
		k.Expires = millis(i.Expires)
	}
	return k
}

func (c *call) listKeys() (any, error) {
	list := struct {
		Keys []accessKey `json:"keys"`
	}{Keys: []accessKey{}}
	var infos []collection.KeyInfo
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		infos, err = c.Collections.Keys(tx, c.vars["db"])
		return err
	})
	for _, i := range infos {
		list.Keys = append(list.Keys, describeKey(i))
	}
	return list, err
}

// newKey is the body of a request that creates a key.
type newKey struct {
	Web       bool     `json:"web"`
	ReadOnly  bool     `json:"read_only"`
	Note      string   `json:"note"`
	Paths     []string `json:"paths"`
	Methods   []string `json:"methods"`
	Origins   []string `json:"origins"`
	Realtime  []string `json:"realtime"`
	Channels  []string `json:"channels"`
	ExpiresIn int64    `json:"expires_in"` // seconds, 0 = never
}

// maxLifetime bounds lifetimes, in seconds: a century.
const maxLifetime = 100 * 366 * 24 * 3600

func (c *call) createKey() (any, error) {
	var body newKey
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.ExpiresIn < 0 || body.ExpiresIn > maxLifetime {
		return nil, errs.E(errs.Invalid, "expires_in is not between 0 and %d seconds", maxLifetime)
	}
	spec := collection.KeySpec{
		Web: body.Web, ReadOnly: body.ReadOnly, Note: body.Note, Paths: body.Paths, Methods: body.Methods,
		Origins: body.Origins, Realtime: body.Realtime, Channels: body.Channels,
	}
	return c.showKey(spec.Web, func(tx *kv.Tx, text string) (collection.KeyInfo, error) {
		if body.ExpiresIn > 0 {
			spec.Expires = tx.Now() + body.ExpiresIn*1000
		}
		return c.Collections.CreateKey(tx, c.vars["db"], text, spec)
	})
}

// rotateKey replaces a key by a new one with the same rights.
func (c *call) rotateKey() (any, error) {
	var body struct {
		Keep int64 `json:"keep"` // seconds for which the old key stays good
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Keep < 0 || body.Keep > maxLifetime {
		return nil, errs.E(errs.Invalid, "keep is not between 0 and %d seconds", maxLifetime)
	}
	web, err := c.isWeb(c.vars["key"])
	if err != nil {
		return nil, err
	}
	return c.showKey(web, func(tx *kv.Tx, text string) (collection.KeyInfo, error) {
		return c.Collections.RotateKey(tx, c.vars["db"], c.vars["key"], text, tx.Now()+body.Keep*1000)
	})
}

// maxShown bounds how often the answer to one request can be lost.
const maxShown = 16

// showKey makes a key and answers its text, the only time. When an earlier try
// of the same request made one, its text went with the answer that was lost:
// then that key gets another text.
func (c *call) showKey(web bool, create func(tx *kv.Tx, text string) (collection.KeyInfo, error)) (any, error) {
	for try := range maxShown {
		text := collection.DrawKey(web)
		var info collection.KeyInfo
		res, err := c.update(try, func(tx *kv.Tx) (err error) {
			if info, err = create(tx, text); err == nil {
				tx.Reply([]byte(kindOf(info.Web) + info.ID))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if !res.Duplicate {
			k := describeKey(info)
			k.Key = text
			return k, nil
		}
		kind, id := string(res.Reply[:1]), string(res.Reply[1:])
		web = kind == kindOf(true)
		create = func(tx *kv.Tx, text string) (collection.KeyInfo, error) {
			return c.Collections.RotateKey(tx, c.vars["db"], id, text, 0)
		}
	}
	return nil, errs.E(errs.Conflict, "this request has created a key too often: revoke what is not wanted, and send a new one")
}

// kindOf is how a reply that is kept says which kind of key was made.
func kindOf(web bool) string {
	if web {
		return "w"
	}
	return "f"
}

// isWeb reports of which kind a key is. One that is gone may have been rotated
// by an earlier try of this request, which then says it.
func (c *call) isWeb(id string) (web bool, err error) {
	err = c.view(func(_ context.Context, tx *kv.Tx) error {
		infos, err := c.Collections.Keys(tx, c.vars["db"])
		web = slices.ContainsFunc(infos, func(i collection.KeyInfo) bool { return i.ID == id && i.Web })
		return err
	})
	return web, err
}

func (c *call) revokeKey() (any, error) {
	return c.change(func(tx *kv.Tx) error { return c.Collections.RevokeKey(tx, c.vars["db"], c.vars["key"]) })
}
