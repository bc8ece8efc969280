package collection

import (
	"encoding/json"
	"net"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
)

// clusterRow is what the operator has decided for all databases.
type clusterRow struct {
	HostSuffix      string `json:"host_suffix,omitempty"`
	DefaultDatabase string `json:"default_database,omitempty"`
}

// databaseRow is what is known of one database. Every request reads it, so
// nothing is written to a database that is being dropped.
type databaseRow struct {
	Created  int64 `json:"created"`             // unix milliseconds
	Strict   bool  `json:"strict,omitempty"`    // see the setting of this name
	MaxMedia int64 `json:"max_media,omitempty"` // bytes, 0 = the default
	Hooks    bool  `json:"hooks,omitempty"`     // it has webhooks
	Dropping bool  `json:"dropping,omitempty"`  // DropDatabase has more to do
}

// dropSpans is how many spans one step of DropDatabase deletes at most, but
// for those of the last collection it comes to; a command holds 1,000.
const dropSpans = 500

// Page is the most rows that a listing returns at once.
const Page = 1_000

// DatabaseInfo describes a database to the operator.
type DatabaseInfo struct {
	Name     string
	Created  int64 // unix milliseconds; 0 for the default database if nothing was ever set there
	Dropping bool  // a drop was begun and has to be called again
}

// ValidDatabase reports whether a database may be called name: 1 to 64 of a-z,
// 0-9 and -. Names longer than 63 cannot be addressed by a host name.
func ValidDatabase(name string) bool {
	return name != "" && len(name) <= 64 &&
		strings.IndexFunc(name, func(c rune) bool { return c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') }) < 0
}

// CreateDatabase creates an empty database. One that is there is errs.Exists,
// and so is one that is being dropped.
func (s *Store) CreateDatabase(tx *kv.Tx, name string) error {
	if !ValidDatabase(name) {
		return errs.E(errs.Invalid, "database name %q: 1 to 64 of a-z, 0-9 and - are allowed", name)
	}
	d, err := s.database(tx, name)
	if err != nil {
		return err
	}
	if d != nil {
		if d.Dropping {
			return errs.E(errs.Exists, "database %s is being dropped: finish that first", name)
		}
		return errs.E(errs.Exists, "database %s is there already", name)
	}
	s.setDatabase(tx, name, &databaseRow{Created: tx.Now()})
	return nil
}

// DropDatabase deletes a database with its keys, settings, collections and
// documents. From the first commit on it serves nobody. With very many
// collections that takes several commits: until done is true, call it again in
// another transaction. The default database is errs.Invalid.
func (s *Store) DropDatabase(tx *kv.Tx, name string) (done bool, err error) {
	c, err := s.cluster(tx)
	if err != nil {
		return false, err
	}
	if name == DefaultDatabase || name == c.DefaultDatabase {
		return false, errs.E(errs.Invalid, "database %s is what requests get that name no other: it cannot be dropped", name)
	}
	d, err := s.existing(tx, name)
	if err != nil {
		return false, err
	}
	spans := 0
	type victim struct {
		name string
		row  *row
	}
	var victims []victim
	done = true
	for rec, err := range tx.Scan(below(collectionByte, name)) {
		if err != nil {
			return false, err
		}
		if spans >= dropSpans {
			done = false
			break
		}
		r, err := decodeRow(rec.Value)
		if err != nil {
			return false, err
		}
		coll, err := collectionName(rec.Key, name)
		if err != nil {
			return false, err
		}
		victims = append(victims, victim{coll, r})
		spans += 2 + len(r.Indexes)
	}
	for _, v := range victims {
		dropCollection(tx, name, v.name, v.row)
	}
	if err := s.dropHooks(tx, name); err != nil {
		return false, err
	}
	for _, kind := range []byte{accessByte, settingByte, refreshByte, linkByte, deletionByte, messageByte} {
		tx.DeleteSpan(below(kind, name))
	}
	dropMedia(tx, name)
	outbox.Drop(tx, MailQueue(name))
	if done {
		tx.Delete(databaseKey(name))
		return true, nil
	}
	dropping := *d
	dropping.Dropping = true
	s.setDatabase(tx, name, &dropping)
	return false, nil
}

// Databases returns up to Page databases in the order of their names, from the
// first after the given one on; "" is the beginning.
func (s *Store) Databases(tx *kv.Tx, after string) ([]DatabaseInfo, error) {
	if len(after) > 64 {
		return nil, errs.E(errs.Invalid, "database name of %d bytes, the limit is 64", len(after))
	}
	_, hi := tuple.Span(key(databaseByte, 0))
	_, lo := tuple.Span(databaseKey(after))
	if after == "" {
		lo = key(databaseByte, 0)
	}
	var infos []DatabaseInfo
	seen := after >= DefaultDatabase // the default database shows even without a row
	for rec, err := range tx.Scan(lo, hi) {
		if err != nil {
			return nil, err
		}
		name, _, err := tuple.String(rec.Key[2:])
		if err != nil {
			return nil, errs.E(errs.Internal, "the key of a database's row is damaged")
		}
		d, err := decodeJSON[databaseRow](rec.Value)
		if err != nil {
			return nil, err
		}
		if !seen && name > DefaultDatabase {
			infos = append(infos, DatabaseInfo{Name: DefaultDatabase})
		}
		seen = seen || name >= DefaultDatabase
		if len(infos) >= Page {
			break
		}
		infos = append(infos, DatabaseInfo{Name: name, Created: d.Created, Dropping: d.Dropping})
	}
	if !seen && len(infos) < Page {
		infos = append(infos, DatabaseInfo{Name: DefaultDatabase})
	}
	return infos[:min(len(infos), Page)], nil
}

// locate returns the database that a request to host means. An unknown one is
// errs.Unavailable, with the text that clients know.
func (s *Store) locate(tx *kv.Tx, host string) (string, *databaseRow, error) {
	name, err := s.DatabaseOf(tx, host)
	if err != nil {
		return "", nil, err
	}
	d, err := s.database(tx, name)
	if err != nil {
		return "", nil, err
	}
	if d == nil || d.Dropping {
		return "", nil, errs.E(errs.Unavailable, "Database not found")
	}
	return name, d, nil
}

// DatabaseOf returns the name of the database that a request to host means. It
// does not look whether there is one: Enter does.
func (s *Store) DatabaseOf(tx *kv.Tx, host string) (string, error) {
	c, err := s.cluster(tx)
	if err != nil {
		return "", err
	}
	name, named := hostLabel(host, c.HostSuffix)
	if named {
		return name, nil
	}
	if c.DefaultDatabase != "" {
		return c.DefaultDatabase, nil
	}
	return DefaultDatabase, nil
}

// hostLabel returns the first label of host if host ends in suffix and is
// longer than it.
func hostLabel(host, suffix string) (string, bool) {
	if suffix == "" {
		return "", false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	rest, ok := strings.CutSuffix(strings.TrimSuffix(strings.ToLower(host), "."), "."+suffix)
	label, _, _ := strings.Cut(rest, ".")
	return label, ok
}

// existing returns the row of a database for the operator's verbs, also when
// it is being dropped; errs.NotFound if there is none.
func (s *Store) existing(tx *kv.Tx, name string) (*databaseRow, error) {
	d, err := s.database(tx, name)
	if err == nil && d == nil {
		err = errs.E(errs.NotFound, "database %q: not found", name)
	}
	return d, err
}

// open is existing without databases that are being dropped.
func (s *Store) open(tx *kv.Tx, name string) (*databaseRow, error) {
	d, err := s.existing(tx, name)
	if err == nil && d.Dropping {
		return nil, errs.E(errs.NotFound, "database %s is being dropped", name)
	}
	return d, err
}

// database returns a database's row, nil if there is no such database.
func (s *Store) database(tx *kv.Tx, name string) (*databaseRow, error) {
	if !ValidDatabase(name) {
		return nil, nil
	}
	d, _, err := s.databases.Get(tx, databaseKey(name), decodeJSON[databaseRow])
	if err == nil && d == nil && name == DefaultDatabase {
		return &databaseRow{}, nil
	}
	return d, err
}

func (s *Store) setDatabase(tx *kv.Tx, name string, d *databaseRow) {
	tx.Set(databaseKey(name), encodeJSON(d), 0)
}

func (s *Store) cluster(tx *kv.Tx) (*clusterRow, error) {
	c, _, err := s.clusters.Get(tx, clusterKey(), decodeJSON[clusterRow])
	if err == nil && c == nil {
		return &clusterRow{}, nil
	}
	return c, err
}

func decodeJSON[T any](p []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(p, v); err != nil {
		return nil, &errs.Error{Kind: errs.Internal, Msg: "a row of the databases is damaged", Err: err}
	}
	return v, nil
}

func encodeJSON(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts, numbers and flags
	}
	return p
}
