package mail

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// tokenLen is how long the token of a link is.
const tokenLen = 64

// An Unsubscription is somebody's way out by the link of a mail, made before
// the transaction.
type Unsubscription struct {
	Address string // whom the link is for; known after Find or Do
	host    string
	hash    [sha256.Size]byte
	at      time.Time
	drafts  []collection.Draft
}

// NewUnsubscription reads the token of a link under a host. A text that is no
// token is that of no link.
func NewUnsubscription(host, token string, at time.Time) *Unsubscription {
	u := &Unsubscription{host: host, at: at, drafts: make([]collection.Draft, 1)}
	if len(token) == tokenLen {
		u.hash = sha256.Sum256([]byte(token))
	}
	binary.BigEndian.PutUint32(u.drafts[0].ID[:], uint32(at.Unix()))
	return u
}

// Find looks whom the link is for, and whether he has unsubscribed already. ok
// is false if there is no such link, or none any more.
func (d *Desk) Find(ctx context.Context, tx *kv.Tx, u *Unsubscription) (done, ok bool, err error) {
	_, done, ok, err = d.find(ctx, tx, u)
	return done, ok, err
}

func (d *Desk) find(ctx context.Context, tx *kv.Tx, u *Unsubscription) (db string, done, ok bool, err error) {
	db, value, ok, err := d.Store.Link(tx, u.host, u.hash)
	if err != nil || !ok {
		return "", false, false, err
	}
	list, err := d.Store.System(tx, db, collection.EmailUnsubscribed, collection.Read)
	if err != nil {
		return "", false, false, err
	}
	done, err = list.Unsubscribed(ctx, string(value))
	u.Address = string(value)
	return db, done, err == nil, err
}

// Do puts whom the link is for into EmailUnsubscribed, unless he is there. ok is
// false if there is no such link.
func (d *Desk) Do(ctx context.Context, tx *kv.Tx, u *Unsubscription) (ok bool, err error) {
	db, done, ok, err := d.find(ctx, tx, u)
	if err != nil || !ok || done {
		return ok, err
	}
	list, err := d.Store.System(tx, db, collection.EmailUnsubscribed, collection.Create)
	if err != nil {
		return false, err
	}
	u.drafts[0].Members = encode(map[string]string{fieldTo: strings.ToLower(u.Address)})
	_, err = list.Insert(u.drafts, collection.WriteOptions{At: u.at, SkipValidate: true})
	return true, err
}
