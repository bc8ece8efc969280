package collection

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// A KeySpec says what an access key is for. A full-access key reaches all
// paths and methods; of the lists only Origins means something for it: the
// pages that may use it, none when it is empty. A web key has at least one
// path, method and origin.
type KeySpec struct {
	Web      bool     `json:"web,omitempty"`
	ReadOnly bool     `json:"read_only,omitempty"` // GET and HEAD only
	Note     string   `json:"note,omitempty"`      // for people
	Expires  int64    `json:"expires,omitempty"`   // unix milliseconds, 0 = never
	Paths    []string `json:"paths,omitempty"`     // globs over what follows /rest/
	Methods  []string `json:"methods,omitempty"`   // GET POST PUT PATCH DELETE
	Origins  []string `json:"origins,omitempty"`   // https://app.example.com, example.com, *.example.com, *
	Realtime []string `json:"realtime,omitempty"`  // METHOD:collection
	Channels []string `json:"channels,omitempty"`
}

// KeyInfo describes an access key to the operator, without its text.
type KeyInfo struct {
	ID      string // the first 12 hexadecimal digits of the SHA-256 of its text
	Created int64  // unix milliseconds
	KeySpec
}

// accessRow is an access key as it is stored and, compiled, as the door uses it.
type accessRow struct {
	Created int64 `json:"created"`
	KeySpec
	paths   []*regexp.Regexp
	origins []origin
}

const (
	fullDigits = 37
	webDigits  = 24
	maxKeys    = 1_000 // of one database
	idBytes    = 6
	maxNote    = 256
)

// fullAccess stands for the configured key of the default database.
var fullAccess = &accessRow{}

// DrawKey draws the text of an access key: 24 hexadecimal digits for a web
// key, 37 for one with full access. Call it before the transaction and show it
// once; it is stored nowhere.
func DrawKey(web bool) string {
	var p [(fullDigits + 1) / 2]byte
	_, _ = rand.Read(p[:]) // documented never to return an error
	text := hex.EncodeToString(p[:])
	if web {
		return text[:webDigits]
	}
	return text[:fullDigits]
}

// CreateKey stores the key whose text DrawKey has drawn for the same kind.
func (s *Store) CreateKey(tx *kv.Tx, db, text string, spec KeySpec) (KeyInfo, error) {
	if _, err := s.open(tx, db); err != nil {
		return KeyInfo{}, err
	}
	want := fullDigits
	if spec.Web {
		want = webDigits
	}
	if len(text) != want || strings.Trim(text, "0123456789abcdef") != "" {
		return KeyInfo{}, errs.E(errs.Invalid, "access key: it must have %d hexadecimal digits", want)
	}
	if err := spec.normalize(); err != nil {
		return KeyInfo{}, err
	}
	if spec.Expires != 0 && spec.Expires <= tx.Now() {
		return KeyInfo{}, errs.E(errs.Invalid, "access key: the time of its expiry has passed")
	}
	hash := sha256.Sum256([]byte(text))
	id := hash[:idBytes]
	n := 0
	for rec, err := range tx.Scan(below(accessByte, db)) {
		if err != nil {
			return KeyInfo{}, err
		}
		if n++; n >= maxKeys {
			return KeyInfo{}, errs.E(errs.TooLarge, "database %s has %d access keys, which is the limit", db, n)
		}
		if bytes.Equal(keyID(rec.Key), id) {
			return KeyInfo{}, errs.E(errs.Exists, "access key %x is there already: draw another", id)
		}
	}
	row := accessRow{Created: tx.Now(), KeySpec: spec}
	tx.Set(accessKey(db, hash[:]), encodeJSON(row), 0)
	return KeyInfo{ID: hex.EncodeToString(id), Created: row.Created, KeySpec: spec}, nil
}

// RotateKey stores a new key with the rights of the one that has this id, and
// lets the old one live on until the given time (unix milliseconds), but no
// longer than it would have; 0 revokes it now.
func (s *Store) RotateKey(tx *kv.Tx, db, id, text string, until int64) (KeyInfo, error) {
	key, old, err := s.findKey(tx, db, id)
	if err != nil {
		return KeyInfo{}, err
	}
	if old.Expires != 0 && old.Expires <= tx.Now() {
		return KeyInfo{}, errs.E(errs.Invalid, "access key %s has expired: create another", id)
	}
	// Gone before the new one is counted, so that a full database can rotate.
	tx.Delete(key)
	info, err := s.CreateKey(tx, db, text, old.KeySpec)
	if err != nil {
		return KeyInfo{}, err
	}
	if until > tx.Now() {
		if old.Expires == 0 || until < old.Expires {
			old.Expires = until
		}
		tx.Set(key, encodeJSON(old), 0)
	}
	return info, nil
}

// RevokeKey deletes the key with this id. No id is errs.NotFound.
func (s *Store) RevokeKey(tx *kv.Tx, db, id string) error {
	key, _, err := s.findKey(tx, db, id)
	if err != nil {
		return err
	}
	tx.Delete(key)
	return nil
}

// Keys returns all access keys of a database, the oldest first. The configured
// key of the default database is none of them.
func (s *Store) Keys(tx *kv.Tx, db string) ([]KeyInfo, error) {
	if _, err := s.open(tx, db); err != nil {
		return nil, err
	}
	var infos []KeyInfo
	for rec, err := range tx.Scan(below(accessByte, db)) {
		if err != nil {
			return nil, err
		}
		row, err := decodeAccess(rec.Value)
		if err != nil {
			return nil, err
		}
		infos = append(infos, KeyInfo{ID: hex.EncodeToString(keyID(rec.Key)), Created: row.Created, KeySpec: row.KeySpec})
	}
	slices.SortStableFunc(infos, func(a, b KeyInfo) int { return cmp.Compare(a.Created, b.Created) })
	return infos, nil
}

// findKey returns the storage key and a copy of the row of an access key.
func (s *Store) findKey(tx *kv.Tx, db, id string) ([]byte, *accessRow, error) {
	if _, err := s.open(tx, db); err != nil {
		return nil, nil, err
	}
	prefix, err := hex.DecodeString(id)
	if err != nil || len(prefix) != idBytes {
		return nil, nil, errs.E(errs.Invalid, "id of an access key: it must have %d hexadecimal digits", 2*idBytes)
	}
	for rec, err := range tx.Scan(tuple.Span(accessKey(db, prefix))) {
		if err != nil {
			return nil, nil, err
		}
		row, err := decodeAccess(rec.Value)
		return bytes.Clone(rec.Key), row, err
	}
	return nil, nil, errs.E(errs.NotFound, "access key %s: not found", id)
}

func keyID(key []byte) []byte { return key[len(key)-sha256.Size:][:idBytes] }

// judgeKey returns what is known of the key that a caller presents. Looking
// up its hash tells by its time at most something of the hash.
func (s *Store) judgeKey(tx *kv.Tx, db string, c auth.Credential) (*accessRow, error) {
	if c.None() {
		return nil, errs.E(errs.Unauthenticated, "an API key or a token is needed")
	}
	if db == DefaultDatabase && s.cfg.DefaultKey.Match(c) {
		return fullAccess, nil
	}
	if n := len(c.Value); n != fullDigits && n != webDigits {
		return nil, errs.E(errs.Unauthenticated, "the API key is wrong")
	}
	hash := sha256.Sum256([]byte(c.Value))
	k, _, err := s.keys.Get(tx, accessKey(db, hash[:]), decodeAccess)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, errs.E(errs.Unauthenticated, "the API key is wrong")
	}
	if k.Expires != 0 && k.Expires <= tx.Now() {
		return nil, errs.E(errs.Unauthenticated, "the API key has expired")
	}
	return k, nil
}

func decodeAccess(p []byte) (*accessRow, error) {
	k := &accessRow{}
	if err := json.Unmarshal(p, k); err != nil {
		return nil, &errs.Error{Kind: errs.Internal, Msg: "the row of an access key is damaged", Err: err}
	}
	for _, text := range k.Paths {
		k.paths = append(k.paths, compileGlob(text))
	}
	for _, text := range k.Origins {
		o, err := parseOrigin(text)
		if err != nil {
			return nil, &errs.Error{Kind: errs.Internal, Msg: "the row of an access key is damaged", Err: err}
		}
		k.origins = append(k.origins, o)
	}
	return k, nil
}

func (k *accessRow) allowsMethod(method string) bool {
	if k.ReadOnly && method != http.MethodGet {
		return false
	}
	return !k.Web || slices.Contains(k.Methods, method)
}

// allowsNeed holds a protocol to what it said at the door: documents change
// only as the method that the key was asked for changes them.
func (k *accessRow) allowsNeed(need Need, method string) bool {
	if !k.Web {
		return need == Read || !k.ReadOnly
	}
	want := []string{http.MethodGet}
	switch need {
	case Create:
		want = []string{http.MethodPost}
	case Update:
		want = []string{http.MethodPut, http.MethodPatch}
	case Delete:
		want = []string{http.MethodDelete}
	}
	return k.allowsMethod(method) && slices.Contains(want, method)
}

func (k *accessRow) allowsPath(path string) bool {
	if !k.Web {
		return true
	}
	path = strings.Trim(path, "/")
	return slices.ContainsFunc(k.paths, func(re *regexp.Regexp) bool { return re.MatchString(path) })
}

func (k *accessRow) allowsOrigin(text string) bool {
	return slices.ContainsFunc(k.origins, func(o origin) bool { return o.allows(text) })
}
