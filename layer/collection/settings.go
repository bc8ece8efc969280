package collection

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// The settings. Those of properties.* and jwt.client_secret are secrets.
const (
	SettingClientID        = "jwt.client_id"     // the audience that a token must have
	SettingClientSecret    = "jwt.client_secret" // verifies tokens signed with HS256
	SettingJWKS            = "jwt.jwks"          // verifies those signed with RS256: a JWK set, or the URL of one
	SettingStrict          = "strict"            // true: POST creates no collection, and documents hold only fields that their schema names
	SettingMediaMax        = "media.max_bytes"   // of one file
	SettingHostSuffix      = "host_suffix"       // of the cluster: hosts that end in it name a database in front
	SettingDefaultDatabase = "default_database"  // of the cluster: for hosts that name none
	PropertyPrefix         = "properties."       // keys that tokens are signed with
)

// Bounds of the settings.
const (
	maxProperty     = 64 << 10
	maxPropertyName = 128
	minSecret       = 16 // bytes: a shorter one can be guessed from one token
	maxSecret       = 4 << 10
	maxClientID     = 512
	maxMediaBytes   = 1 << 40
	maxProperties   = 1_000
)

// jwtSetting is the name under which the settings about tokens lie in one row,
// so that one version stands for all of them.
const jwtSetting = "jwt"

// jwtRow is what tokens of a database are verified with.
type jwtRow struct {
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret []byte `json:"client_secret,omitempty"` // sealed
	JWKS         string `json:"jwks,omitempty"`
	Since        uint64 `json:"since,omitempty"` // version of the latest change that was one of meaning; 0 = that of the record
}

// A Setting is one setting as the operator may see it.
type Setting struct {
	Name   string
	Value  string // "" when it is a secret
	Secret bool
	Set    bool // somebody has set it
}

// A SettingChange is a setting that was checked, and sealed if it is a secret,
// before the transaction that stores it.
type SettingChange struct {
	database, name string
	unset          bool
	value          string
	sealed         []byte
}

// NewSetting checks a setting and seals a secret; an empty value unsets it. The
// database is ignored for what holds for the cluster. A secret on a node
// without a keyring is errs.Invalid.
func (s *Store) NewSetting(db, name, value string) (SettingChange, error) {
	c := SettingChange{database: db, name: name, unset: value == "", value: value}
	check, secret, err := settingRule(name)
	if err != nil || c.unset {
		return c, err
	}
	if c.value, err = check(s, value); err != nil {
		return SettingChange{}, err
	}
	if secret {
		if c.sealed, err = s.cfg.Keyring.Seal([]byte(c.value), settingPlace(db, name)); err != nil {
			return SettingChange{}, err
		}
		c.value = ""
	}
	return c, nil
}

// Set stores a setting.
func (s *Store) Set(tx *kv.Tx, c SettingChange) error {
	if c.name == SettingHostSuffix || c.name == SettingDefaultDatabase {
		return s.setCluster(tx, c)
	}
	d, err := s.open(tx, c.database)
	if err != nil {
		return err
	}
	switch c.name {
	case SettingStrict, SettingMediaMax:
		changed := *d
		changed.Strict = d.Strict && c.name != SettingStrict || c.value == "true"
		if c.name == SettingMediaMax {
			changed.MaxMedia, _ = strconv.ParseInt(c.value, 10, 64) // checked; "" is 0
		}
		s.setDatabase(tx, c.database, &changed)
		return nil
	case SettingClientID, SettingClientSecret, SettingJWKS:
		return s.setToken(tx, c)
	}
	key := settingKey(c.database, c.name)
	if c.unset {
		tx.Delete(key)
		return nil
	}
	if _, there, err := tx.Get(key); err != nil || !there {
		n, err := countBelow(tx, c.database)
		if err != nil {
			return err
		}
		if n >= maxProperties {
			return errs.E(errs.TooLarge, "database %s has %d settings, which is the limit", c.database, n)
		}
	}
	tx.Set(key, c.sealed, 0)
	return nil
}

func countBelow(tx *kv.Tx, db string) (n int, err error) {
	for _, err := range tx.Scan(below(settingByte, db)) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

func (s *Store) setCluster(tx *kv.Tx, c SettingChange) error {
	old, err := s.cluster(tx)
	if err != nil {
		return err
	}
	changed := *old
	if c.name == SettingHostSuffix {
		changed.HostSuffix = c.value
	} else {
		if c.value != "" {
			if _, err := s.open(tx, c.value); err != nil {
				return err
			}
		}
		changed.DefaultDatabase = c.value
	}
	tx.Set(clusterKey(), encodeJSON(changed), 0)
	return nil
}

func (s *Store) setToken(tx *kv.Tx, c SettingChange) error {
	row, _, err := s.tokenRow(tx, c.database)
	if err != nil {
		return err
	}
	changed := *row
	switch c.name {
	case SettingClientID:
		changed.ClientID = c.value
	case SettingClientSecret:
		changed.ClientSecret = c.sealed
	case SettingJWKS:
		changed.JWKS = c.value
	}
	changed.Since = 0
	tx.Set(settingKey(c.database, jwtSetting), encodeJSON(changed), 0)
	return nil
}

// tokenRow returns what tokens are verified with and the version of its latest
// change, 0 when nothing was ever set. Sealing anew is no change.
func (s *Store) tokenRow(tx *kv.Tx, db string) (*jwtRow, uint64, error) {
	row, version, err := s.tokens.Get(tx, settingKey(db, jwtSetting), decodeJSON[jwtRow])
	if err == nil && row == nil {
		return &jwtRow{}, 0, nil
	}
	if err == nil && row.Since != 0 {
		version = row.Since
	}
	return row, version, err
}

// Settings returns all settings of a database and of the cluster, in the order
// of their names. Of properties it returns those that are set. It holds no secret.
func (s *Store) Settings(tx *kv.Tx, db string) ([]Setting, error) {
	d, err := s.open(tx, db)
	if err != nil {
		return nil, err
	}
	c, err := s.cluster(tx)
	if err != nil {
		return nil, err
	}
	t, _, err := s.tokenRow(tx, db)
	if err != nil {
		return nil, err
	}
	plain := func(name, value string) Setting { return Setting{Name: name, Value: value, Set: value != ""} }
	strict, media := "", ""
	if d.Strict {
		strict = "true"
	}
	if d.MaxMedia != 0 {
		media = strconv.FormatInt(d.MaxMedia, 10)
	}
	list := []Setting{
		plain(SettingClientID, t.ClientID), {Name: SettingClientSecret, Secret: true, Set: t.ClientSecret != nil},
		plain(SettingJWKS, t.JWKS), plain(SettingStrict, strict), plain(SettingMediaMax, media),
		plain(SettingHostSuffix, c.HostSuffix), plain(SettingDefaultDatabase, c.DefaultDatabase),
	}
	for rec, err := range tx.Scan(below(settingByte, db)) {
		if err != nil {
			return nil, err
		}
		lo, _ := below(settingByte, db)
		name, _, err := tuple.String(rec.Key[len(lo):])
		if err != nil {
			return nil, errs.E(errs.Internal, "the key of a setting is damaged")
		}
		if name != jwtSetting {
			list = append(list, Setting{Name: name, Secret: true, Set: true})
		}
	}
	slices.SortFunc(list, func(a, b Setting) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// Setting returns one setting; the value of a secret stays behind.
func (s *Store) Setting(tx *kv.Tx, db, name string) (Setting, error) {
	_, secret, err := settingRule(name)
	if err != nil {
		return Setting{}, err
	}
	all, err := s.Settings(tx, db)
	if err != nil {
		return Setting{}, err
	}
	if i := slices.IndexFunc(all, func(x Setting) bool { return x.Name == name }); i >= 0 {
		return all[i], nil
	}
	return Setting{Name: name, Secret: secret}, nil
}

// settingRule returns what checks a setting's value and writes it in one way, and
// whether it is a secret.
func settingRule(name string) (check func(*Store, string) (string, error), secret bool, err error) {
	switch name {
	case SettingClientID:
		return checkClientID, false, nil
	case SettingClientSecret:
		return checkClientSecret, true, nil
	case SettingJWKS:
		return checkJWKS, false, nil
	case SettingStrict:
		return checkStrict, false, nil
	case SettingMediaMax:
		return checkMediaMax, false, nil
	case SettingHostSuffix:
		return checkHostSuffix, false, nil
	case SettingDefaultDatabase:
		return checkDatabase, false, nil
	}
	if property, ok := strings.CutPrefix(name, PropertyPrefix); ok && validProperty(property) {
		return checkProperty, true, nil
	}
	return nil, false, errs.E(errs.Invalid, "setting %q: there is none of this name", name)
}

// settingPlace is the place that a secret is sealed for. Names of databases
// hold no slash.
func settingPlace(db, name string) []byte { return []byte("collection/setting/" + db + "/" + name) }

func checkClientID(_ *Store, v string) (string, error) {
	if len(v) > maxClientID || !printable(v) {
		return "", errs.E(errs.Invalid, "%s: at most %d printable bytes are allowed", SettingClientID, maxClientID)
	}
	return v, nil
}

func checkClientSecret(_ *Store, v string) (string, error) {
	if len(v) < minSecret || len(v) > maxSecret {
		return "", errs.E(errs.Invalid, "%s: it has %d bytes, %d to %d are allowed", SettingClientSecret, len(v), minSecret, maxSecret)
	}
	return v, nil
}

func checkJWKS(s *Store, v string) (string, error) {
	v = strings.TrimSpace(v)
	if !strings.HasPrefix(v, "{") {
		return v, checkIssuerURL(v, s.cfg.AllowPrivate)
	}
	if len(v) > maxKeySet {
		return "", errs.E(errs.Invalid, "%s: %d bytes, the limit is %d", SettingJWKS, len(v), maxKeySet)
	}
	_, err := parseKeySet([]byte(v))
	return v, err
}

func checkStrict(_ *Store, v string) (string, error) {
	if v != "true" && v != "false" {
		return "", errs.E(errs.Invalid, "%s: it must be true or false", SettingStrict)
	}
	return v, nil
}

func checkMediaMax(_ *Store, v string) (string, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 || n > maxMediaBytes {
		return "", errs.E(errs.Invalid, "%s: it must be a number of bytes from 1 to %d", SettingMediaMax, int64(maxMediaBytes))
	}
	return strconv.FormatInt(n, 10), nil
}

func checkHostSuffix(_ *Store, v string) (string, error) {
	v = strings.ToLower(strings.Trim(v, "."))
	if len(v) > 253 || v == "" || strings.Contains(v, "..") || strings.Contains(v, ":") || !isHost(v) {
		return "", errs.E(errs.Invalid, "%s: it must be a domain name without a port, such as db.example.com", SettingHostSuffix)
	}
	return v, nil
}

func checkDatabase(_ *Store, v string) (string, error) {
	if !ValidDatabase(v) {
		return "", errs.E(errs.Invalid, "%s: %q cannot be the name of a database", SettingDefaultDatabase, v)
	}
	return v, nil
}

func checkProperty(_ *Store, v string) (string, error) {
	if len(v) > maxProperty {
		return "", errs.E(errs.Invalid, "property of %d bytes, the limit is %d", len(v), maxProperty)
	}
	return v, nil
}

// validProperty reports whether name can follow PropertyPrefix: letters,
// digits, _ and -, in parts that dots separate.
func validProperty(name string) bool {
	if len(name) > maxPropertyName {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.Trim(part, "_-"+alphanumeric) != "" {
			return false
		}
	}
	return true
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
