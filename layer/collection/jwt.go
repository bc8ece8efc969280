package collection

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// The algorithms. A key is good for one of them only: a secret verifies HS256,
// a public key RS256, whatever else a token says of itself.
const (
	algorithmHS256 = "HS256"
	algorithmRS256 = "RS256"
)

const (
	maxToken = 8 << 10          // bytes of a token
	maxEmail = 254              // bytes
	leeway   = 30 * time.Second // between the issuer's clock and ours
)

// A User is who a token stands for, as VerifyJWT has found. Enter takes it only
// for the database, and under the settings, that it was verified with.
type User struct {
	email    string
	database string
	settings uint64
	expires  int64 // unix milliseconds, the leeway included
}

// Email returns the e-mail that the token names.
func (u *User) Email() string { return u.email }

// VerifyJWT verifies a token's signature, audience and times for the database
// that host chooses, and returns who it stands for. It may fetch keys over the network and wait: call it before
// the transaction, whose Enter then looks at the settings again and at the user.
//
// A token that is not good is errs.Unauthenticated; an unknown database, and
// keys that cannot be fetched, errs.Unavailable.
func (s *Store) VerifyJWT(ctx context.Context, db *kv.DB, host string, token auth.Credential) (*User, error) {
	if n := len(token.Value); n == 0 || n > maxToken || strings.Count(token.Value, ".") != 2 {
		return nil, errs.E(errs.Unauthenticated, "the token is malformed")
	}
	// What this node has at hand is good enough for a yes, since Enter checks
	// that it still holds. A no might be due to settings that have not come yet.
	first, err := s.tokenSettings(ctx, db, host, kv.Consistency{Stale: true})
	if err == nil {
		var u *User
		if u, err = s.verify(ctx, first, token.Value); err == nil {
			return u, nil
		}
	}
	second, again := s.tokenSettings(ctx, db, host, kv.Consistency{})
	switch {
	case again != nil:
		return nil, again
	case first != nil && first.database == second.database && first.version == second.version:
		return nil, err
	}
	return s.verify(ctx, second, token.Value)
}

// tokenSettings is what tokens for one host are verified with.
type tokenSettings struct {
	jwtRow
	database string
	version  uint64
	now      time.Time
}

func (s *Store) tokenSettings(ctx context.Context, db *kv.DB, host string, c kv.Consistency) (*tokenSettings, error) {
	var t *tokenSettings
	info, err := db.View(ctx, c, func(tx *kv.Tx) error {
		name, _, err := s.locate(tx, host)
		if err != nil {
			return err
		}
		row, version, err := s.tokenRow(tx, name)
		if err != nil {
			return err
		}
		t = &tokenSettings{jwtRow: *row, database: name, version: version}
		return nil
	})
	if err != nil {
		return nil, err
	}
	t.now = time.UnixMilli(info.Now)
	return t, nil
}

func (s *Store) verify(ctx context.Context, t *tokenSettings, text string) (*User, error) {
	if t.ClientID == "" || t.ClientSecret == nil && t.JWKS == "" {
		return nil, errs.E(errs.Unauthenticated, "database %s takes no tokens", t.database)
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{algorithmHS256, algorithmRS256}), jwt.WithAudience(t.ClientID),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(func() time.Time { return t.now }), jwt.WithStrictDecoding(),
	)
	claims := jwt.MapClaims{}
	_, err := parser.ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		return s.verifyKey(ctx, t, token)
	})
	if err != nil {
		return nil, tokenError(err)
	}
	email, ok := claims["email"].(string)
	if !ok || email == "" || len(email) > maxEmail {
		return nil, errs.E(errs.Unauthenticated, "the token names no email")
	}
	if verified, there := claims["email_verified"]; there && verified != true && verified != "true" {
		return nil, errs.E(errs.Unauthenticated, "the token's email is not verified")
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return nil, errs.E(errs.Unauthenticated, "the token is without a time of expiry")
	}
	return &User{email: email, database: t.database, settings: t.version, expires: expires.Add(leeway).UnixMilli()}, nil
}

// verifyKey returns the key for the algorithm that a token names. The
// algorithm's own type decides, so a public key never serves as a secret.
func (s *Store) verifyKey(ctx context.Context, t *tokenSettings, token *jwt.Token) (any, error) {
	if _, there := token.Header["crit"]; there {
		return nil, errs.E(errs.Unauthenticated, "the token has extensions that are not known")
	}
	switch token.Method {
	case jwt.SigningMethodHS256:
		if t.ClientSecret == nil {
			break
		}
		secret, err := s.cfg.Keyring.Open(t.ClientSecret, settingPlace(t.database, SettingClientSecret))
		if err != nil {
			return nil, errs.E(errs.KindOf(err), "database %s: %s does not open: %w", t.database, SettingClientSecret, err)
		}
		return secret, nil
	case jwt.SigningMethodRS256:
		if t.JWKS == "" {
			break
		}
		id, _ := token.Header["kid"].(string)
		return s.issuers.find(ctx, t.JWKS, id, t.now)
	}
	return nil, errs.E(errs.Unauthenticated, "the token's algorithm is not taken here")
}

// tokenError says what is wrong with a token, in words of ours: those of the
// parser may quote it.
func tokenError(err error) error {
	if known := (*errs.Error)(nil); errors.As(err, &known) {
		return known
	}
	for _, c := range []struct {
		is  error
		why string
	}{
		{jwt.ErrTokenMalformed, "malformed"},
		{jwt.ErrTokenExpired, "expired"},
		{jwt.ErrTokenNotValidYet, "not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "from the future"},
		{jwt.ErrTokenInvalidAudience, "meant for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "without a time of expiry or an audience"},
	} {
		if errors.Is(err, c.is) {
			return errs.E(errs.Unauthenticated, "the token is %s", c.why)
		}
	}
	return errs.E(errs.Unauthenticated, "the token is not signed by the issuer of this database")
}

// checkUser reads again, guarded, what the token was verified with.
func (s *Store) checkUser(tx *kv.Tx, db string, u *User) error {
	_, version, err := s.tokenRow(tx, db)
	if err != nil {
		return err
	}
	if u.database != db || u.settings != version || version == 0 {
		return errs.E(errs.Unavailable, "the settings of tokens have just changed: try again")
	}
	if u.expires <= tx.Now() { // it may be long since it was verified
		return errs.E(errs.Unauthenticated, "the token is expired")
	}
	return nil
}
