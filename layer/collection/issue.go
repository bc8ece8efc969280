package collection

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/tidwall/gjson"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Bounds of tokens that are issued.
const (
	maxPayload      = 16 << 10
	maxClaim        = 1 << 10
	defaultLifetime = time.Hour
	maxLifetime     = 366 * 24 * time.Hour
	refreshLifetime = 30 * 24 * time.Hour
	refreshDigits   = 64
)

// A TokenRequest says what token to issue: ParseTokenRequest makes it.
type TokenRequest struct {
	Secret    string           `json:"secret"` // a property that holds the key
	Algorithm string           `json:"algorithm"`
	Issuer    string           `json:"issuer,omitempty"`
	Audience  jwt.ClaimStrings `json:"audience,omitempty"`
	Subject   string           `json:"subject,omitempty"`
	Lifetime  int64            `json:"lifetime"` // seconds
	Payload   json.RawMessage  `json:"payload,omitempty"`
}

// IssuedToken is what POST /auth/jwt answers.
type IssuedToken struct {
	JWT     string `json:"jwt"`
	Refresh string `json:"refresh"` // 64 hexadecimal digits, good for one use within 30 days
}

// ParseTokenRequest reads the body of POST /auth/jwt. What is wrong with it is
// errs.Invalid.
func ParseTokenRequest(body []byte) (*TokenRequest, error) {
	var b struct {
		Secret    string           `json:"secret"`
		Algorithm string           `json:"algorithm"`
		Issuer    string           `json:"issuer"`
		Audience  jwt.ClaimStrings `json:"audience"`
		Subject   string           `json:"subject"`
		ExpiresIn json.RawMessage  `json:"expiresIn"`
		Payload   json.RawMessage  `json:"payload"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, errs.E(errs.Invalid, "the request for a token is not a JSON object with the right members")
	}
	r := &TokenRequest{
		Secret: strings.TrimPrefix(b.Secret, PropertyPrefix), Algorithm: b.Algorithm,
		Issuer: b.Issuer, Audience: b.Audience, Subject: b.Subject,
	}
	if r.Algorithm == "" {
		r.Algorithm = algorithmHS256
	}
	switch {
	case !validProperty(r.Secret):
		return nil, errs.E(errs.Invalid, "secret: it must name a property of the settings, such as google.private_key")
	case r.Algorithm != algorithmHS256 && r.Algorithm != algorithmRS256:
		return nil, errs.E(errs.Invalid, "algorithm: it must be %s or %s", algorithmHS256, algorithmRS256)
	case max(len(r.Issuer), len(r.Subject), len(strings.Join(r.Audience, ""))) > maxClaim || len(b.Payload) > maxPayload:
		return nil, errs.E(errs.Invalid, "the claims of a token: a text may have %d bytes, the payload %d", maxClaim, maxPayload)
	}
	if p := bytes.TrimSpace(b.Payload); len(p) > 0 && !bytes.Equal(p, []byte("null")) {
		if p[0] != '{' {
			return nil, errs.E(errs.Invalid, "payload: it must be an object")
		}
		r.Payload = p
	}
	lifetime, err := parseLifetime(b.ExpiresIn)
	r.Lifetime = int64(lifetime / time.Second)
	return r, err
}

// units are those of expiresIn, by the letters in front of them.
var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// parseLifetime reads a number of seconds, or a text such as 1h or "2 days".
func parseLifetime(p []byte) (time.Duration, error) {
	v := gjson.ParseBytes(p)
	if v.Type == gjson.Null {
		return defaultLifetime, nil
	}
	bad := errs.E(errs.Invalid, "expiresIn: it must be a number of seconds, or a text such as 1h or 2 days, up to 366 days")
	digits, unit := v.Raw, time.Second
	if v.Type == gjson.String {
		end := strings.IndexFunc(v.Str, func(c rune) bool { return c < '0' || c > '9' })
		if end < 0 {
			return 0, bad
		}
		var ok bool
		digits = v.Str[:end]
		if unit, ok = units[strings.ToLower(strings.TrimSpace(v.Str[end:]))]; !ok {
			return 0, bad
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 1 || n > int64(maxLifetime/unit) {
		return 0, bad
	}
	return time.Duration(n) * unit, nil
}

// IssueJWT signs a token, and stores a refresh token that gives another one
// like it. Only a full-access key may. It signs between two transactions.
func (s *Store) IssueJWT(ctx context.Context, db *kv.DB, c Caller, r *TokenRequest) (IssuedToken, error) {
	return s.issue(ctx, db, func(tx *kv.Tx) (string, *TokenRequest, error) {
		e, err := s.Enter(ctx, tx, c)
		if err == nil && !e.full {
			err = errs.E(errs.Forbidden, "only a full-access key may issue tokens")
		}
		if err != nil {
			return "", nil, err
		}
		return e.db, r, nil
	}, nil)
}

// RefreshJWT exchanges the refresh token in the body of POST /auth/token for
// another token of the same kind, and a refresh token to follow it. Any caller
// whom Enter lets in may; a web key needs the path **. A refresh token that is
// unknown, was used or has expired is errs.Invalid.
func (s *Store) RefreshJWT(ctx context.Context, db *kv.DB, c Caller, body []byte) (IssuedToken, error) {
	var b struct {
		Refresh string `json:"refresh"`
	}
	bad := errs.E(errs.Invalid, "refresh: it must be a refresh token that was not used and has not expired")
	if err := json.Unmarshal(body, &b); err != nil || len(b.Refresh) != refreshDigits {
		return IssuedToken{}, bad
	}
	hash := sha256.Sum256([]byte(b.Refresh))
	enter := func(tx *kv.Tx) (string, *TokenRequest, error) {
		e, err := s.Enter(ctx, tx, c)
		if err != nil {
			return "", nil, err
		}
		rec, ok, err := tx.Get(refreshKey(e.db, hash[:]))
		if err != nil {
			return "", nil, err
		}
		if !ok {
			return "", nil, bad
		}
		r, err := decodeJSON[TokenRequest](rec.Value)
		return e.db, r, err
	}
	return s.issue(ctx, db, enter, func(tx *kv.Tx, name string) { tx.Delete(refreshKey(name, hash[:])) })
}

// signTries is how often a token is signed whose key changes meanwhile.
const signTries = 3

// issue signs the token that enter lets the caller have, and stores what
// refreshes it together with what also does, which may be nil. When the key
// that it was signed with is stored anew meanwhile, it begins again.
func (s *Store) issue(
	ctx context.Context, db *kv.DB, enter func(*kv.Tx) (string, *TokenRequest, error), also func(*kv.Tx, string),
) (IssuedToken, error) {
	for try := 1; ; try++ {
		var p property
		var r *TokenRequest
		info, err := db.View(ctx, kv.Consistency{}, func(tx *kv.Tx) (err error) {
			var name string
			if name, r, err = enter(tx); err == nil {
				p, err = readProperty(tx, name, r.Secret)
			}
			return err
		})
		if err != nil {
			return IssuedToken{}, err
		}
		issued, err := s.sign(p, r, time.UnixMilli(info.Now))
		if err != nil {
			return IssuedToken{}, err
		}
		_, err = db.Update(ctx, func(tx *kv.Tx) error {
			name, r, err := enter(tx)
			if err != nil {
				return err
			}
			if also != nil {
				also(tx, name)
			}
			return storeRefresh(tx, name, p, issued.Refresh, r)
		})
		if !errors.Is(err, errKeyChanged) || try == signTries {
			return issued, err
		}
	}
}

// errKeyChanged is a token whose key is another by the time it is stored.
var errKeyChanged = errs.E(errs.Unavailable, "the property with the key of the token has just changed: try again")

// storeRefresh stores a refresh token, if the key that the token was signed
// with still is what it was.
func storeRefresh(tx *kv.Tx, db string, signed property, refresh string, r *TokenRequest) error {
	p, err := readProperty(tx, db, r.Secret)
	if err != nil {
		return err
	}
	if p.database != signed.database || p.version != signed.version || p.name != signed.name {
		return errKeyChanged
	}
	hash := sha256.Sum256([]byte(refresh))
	tx.Set(refreshKey(db, hash[:]), encodeJSON(r), refreshLifetime)
	return nil
}

// property is a setting that holds a key, or an object that does under member.
type property struct {
	database, name, member string
	sealed                 []byte
	version                uint64
}

// readProperty finds the property with the path: the setting of this name, or
// the longest one in front of it, which then is a JSON object with the rest.
func readProperty(tx *kv.Tx, db, path string) (property, error) {
	name, member := path, ""
	for {
		rec, ok, err := tx.Get(settingKey(db, PropertyPrefix+name))
		if err != nil {
			return property{}, err
		}
		if ok {
			return property{database: db, name: PropertyPrefix + name, member: member, sealed: rec.Value, version: rec.Version}, nil
		}
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return property{}, errs.E(errs.Invalid, "secret: there is no property %s", path)
		}
		name, member = name[:dot], path[dot+1:]
	}
}

// sign makes the token that r asks for, and draws what refreshes it.
func (s *Store) sign(p property, r *TokenRequest, at time.Time) (IssuedToken, error) {
	plain, err := s.cfg.Keyring.Open(p.sealed, settingPlace(p.database, p.name))
	if err != nil {
		return IssuedToken{}, errs.E(errs.KindOf(err), "database %s: %s does not open: %w", p.database, p.name, err)
	}
	if p.member != "" {
		v := gjson.ParseBytes(plain).Get(p.member)
		if v.Type != gjson.String {
			return IssuedToken{}, errs.E(errs.Invalid, "secret: the property has no text under %s", p.member)
		}
		plain = []byte(v.Str)
	}
	var key any = plain
	var method jwt.SigningMethod = jwt.SigningMethodHS256
	if r.Algorithm == algorithmRS256 {
		private, err := jwt.ParseRSAPrivateKeyFromPEM(plain)
		if err != nil || private.N.BitLen() < minKeyBits {
			return IssuedToken{}, errs.E(errs.Invalid, "secret: the property holds no RSA key of %d bits in PEM", minKeyBits)
		}
		key, method = private, jwt.SigningMethodRS256
	} else if len(plain) < minSecret {
		return IssuedToken{}, errs.E(errs.Invalid, "secret: the property has %d bytes, a key for %s needs %d", len(plain), algorithmHS256, minSecret)
	}
	claims, err := r.claims(p.database, at)
	if err != nil {
		return IssuedToken{}, err
	}
	text, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		return IssuedToken{}, errs.E(errs.Internal, "signing a token: %w", err)
	}
	return IssuedToken{JWT: text, Refresh: drawHex(refreshDigits / 2)}, nil
}

// claims are the payload's, under those that the request names, under ours.
func (r *TokenRequest) claims(db string, at time.Time) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	if r.Payload != nil {
		d := json.NewDecoder(bytes.NewReader(r.Payload))
		d.UseNumber()
		if err := d.Decode(&claims); err != nil {
			return nil, errs.E(errs.Invalid, "payload: it must be an object")
		}
	}
	if r.Issuer != "" {
		claims["iss"] = r.Issuer
	}
	if r.Subject != "" {
		claims["sub"] = r.Subject
	}
	switch len(r.Audience) {
	case 0:
	case 1:
		claims["aud"] = r.Audience[0]
	default:
		claims["aud"] = r.Audience
	}
	claims["iat"] = at.Unix()
	claims["exp"] = at.Unix() + r.Lifetime
	claims["jti"] = base64.StdEncoding.EncodeToString([]byte(db + ".restdb.jwt." + r.Secret + "/" + drawHex(16)))
	return claims, nil
}

// drawHex draws n random bytes and writes them as hexadecimal digits.
func drawHex(n int) string {
	p := make([]byte, n)
	_, _ = rand.Read(p) // documented never to return an error
	return hex.EncodeToString(p)
}
