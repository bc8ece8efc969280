package collection

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv/kvtest"
)

const (
	clientID     = "client-1"
	clientSecret = "the client secret, 32 bytes long"
	ada          = "ada@example.com"
)

// rsaKey is one key for all tests, since drawing one is slow.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// jwks writes the JWK set of a key.
func jwks(id string, key *rsa.PublicKey) string {
	enc := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":%q,"use":"sig","alg":"RS256","n":%q,"e":%q}]}`,
		id, enc(key.N.Bytes()), enc(big.NewInt(int64(key.E)).Bytes()))
}

// good are the claims of a good token, with changes; nil takes one away.
func good(changes jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"email": ada, "aud": clientID, "iat": kvtest.Start / 1000, "exp": kvtest.Start/1000 + 3600}
	for name, v := range changes {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func hs256(t testing.TB, secret string, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func rs256(t *testing.T, id string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	if id != "" {
		token.Header["kid"] = id
	}
	text, err := token.SignedString(rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// handMade signs any header with HMAC-SHA256.
func handMade(header, claims string, secret []byte) string {
	enc := base64.RawURLEncoding.EncodeToString
	text := enc([]byte(header)) + "." + enc([]byte(claims))
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(text))
	return text + "." + enc(m.Sum(nil))
}

func (g *gate) tokens(jwkSet string) {
	g.t.Helper()
	g.set(DefaultDatabase, SettingClientID, clientID)
	g.set(DefaultDatabase, SettingClientSecret, clientSecret)
	if jwkSet != "" {
		g.set(DefaultDatabase, SettingJWKS, jwkSet)
	}
}

func (g *gate) verify(token string) (*User, error) {
	return g.s.VerifyJWT(g.t.Context(), g.DB, "localhost", credential(token))
}

func TestTokens(t *testing.T) {
	g := newGate(t)
	g.tokens(jwks("k1", &rsaKey().PublicKey))
	now := int64(kvtest.Start / 1000)
	der, err := x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	claims, err := json.Marshal(good(nil))
	if err != nil {
		t.Fatal(err)
	}
	fine := hs256(t, clientSecret, good(nil))
	parts := strings.Split(fine, ".")
	sign := func(changes jwt.MapClaims) string { return hs256(t, clientSecret, good(changes)) }
	const bad = errs.Unauthenticated
	for _, c := range []struct {
		name, token string
		want        errs.Kind
	}{
		{"HS256", fine, errs.Internal},
		{"RS256", rs256(t, "k1", good(nil)), errs.Internal},
		{"RS256 without a key id", rs256(t, "", good(nil)), errs.Internal},
		{"several audiences", sign(jwt.MapClaims{"aud": []string{"x", clientID}}), errs.Internal},
		{"a verified email", sign(jwt.MapClaims{"email_verified": true}), errs.Internal},
		{"expired a moment ago", sign(jwt.MapClaims{"exp": now - 20}), errs.Internal},
		{"valid in a moment", sign(jwt.MapClaims{"nbf": now + 20}), errs.Internal},

		{"no token", "", bad},
		{"two parts", parts[0] + "." + parts[1], bad},
		{"no signature", parts[0] + "." + parts[1] + ".", bad},
		{"many parts", strings.Repeat(".", 5000), bad},
		{"a huge token", parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2], bad},
		{"no base64", "?.?.?", bad},
		{"padded base64", parts[0] + "." + parts[1] + "==." + parts[2], bad},
		{"another signature", parts[0] + "." + parts[1] + "." + parts[0], bad},
		{"another payload", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"email":"eve@example.com"}`)) + "." + parts[2], bad},
		{"another secret", hs256(t, "another secret of thirty-two byte", good(nil)), bad},
		{"an empty secret", handMade(`{"alg":"HS256"}`, string(claims), nil), bad},
		{"alg none", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".", bad},
		{"alg NONE", handMade(`{"alg":"NONE"}`, string(claims), []byte(clientSecret)), bad},
		{"no alg", handMade(`{}`, string(claims), []byte(clientSecret)), bad},
		{"alg HS512 in the header only", handMade(`{"alg":"HS512"}`, string(claims), []byte(clientSecret)), bad},
		{"alg hs256", handMade(`{"alg":"hs256"}`, string(claims), []byte(clientSecret)), bad},
		{"HS256 with the public key as PEM", handMade(`{"alg":"HS256","kid":"k1"}`, string(claims), publicPEM), bad},
		{"HS256 with the public key as DER", handMade(`{"alg":"HS256","kid":"k1"}`, string(claims), der), bad},
		{"HS256 with the modulus", handMade(`{"alg":"HS256","kid":"k1"}`, string(claims), rsaKey().N.Bytes()), bad},
		{"HS256 with the JWK set", handMade(`{"alg":"HS256"}`, string(claims), []byte(jwks("k1", &rsaKey().PublicKey))), bad},
		{"RS256 with the secret", handMade(`{"alg":"RS256","kid":"k1"}`, string(claims), []byte(clientSecret)), bad},
		{"an unknown key id", rs256(t, "k2", good(nil)), bad},
		{"its own key in the header", handMade(`{"alg":"RS256","jwk":{"kty":"oct","k":"AA"}}`, string(claims), []byte{0}), bad},
		{"unknown extensions", handMade(`{"alg":"HS256","crit":["b64"],"b64":false}`, string(claims), []byte(clientSecret)), bad},
		{"a claim set that is an array", handMade(`{"alg":"HS256"}`, `[]`, []byte(clientSecret)), bad},
		{"a claim set that is null", handMade(`{"alg":"HS256"}`, `null`, []byte(clientSecret)), bad},

		{"expired", sign(jwt.MapClaims{"exp": now - 60}), bad},
		{"without an expiry", sign(jwt.MapClaims{"exp": nil}), bad},
		{"an expiry that is a text", sign(jwt.MapClaims{"exp": "tomorrow"}), bad},
		{"not valid yet", sign(jwt.MapClaims{"nbf": now + 60}), bad},
		{"issued in the future", sign(jwt.MapClaims{"iat": now + 60}), bad},
		{"another audience", sign(jwt.MapClaims{"aud": "x"}), bad},
		{"an audience that begins alike", sign(jwt.MapClaims{"aud": clientID + "0"}), bad},
		{"no audience", sign(jwt.MapClaims{"aud": nil}), bad},
		{"no email", sign(jwt.MapClaims{"email": nil}), bad},
		{"an empty email", sign(jwt.MapClaims{"email": ""}), bad},
		{"an email that is an object", sign(jwt.MapClaims{"email": map[string]any{"$ne": ""}}), bad},
		{"a long email", sign(jwt.MapClaims{"email": strings.Repeat("a", maxEmail+1)}), bad},
		{"an email in another claim", sign(jwt.MapClaims{"email": nil, "Email": ada}), bad},
		{"an email that is not verified", sign(jwt.MapClaims{"email_verified": false}), bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := g.verify(c.token)
			wantKind(t, err, c.want)
			if err == nil && u.Email() != ada {
				t.Errorf("email %q", u.Email())
			}
			if (u == nil) != (err != nil) {
				t.Errorf("got %v and %v", u, err)
			}
			if err != nil && len(c.token) > 20 && strings.Contains(err.Error(), c.token[len(c.token)-20:]) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

func TestTokensWithoutSettings(t *testing.T) {
	g := newGate(t)
	hs, rs := hs256(t, clientSecret, good(nil)), rs256(t, "k1", good(nil))
	try := func(step string, hsWant, rsWant errs.Kind) {
		t.Helper()
		_, err := g.verify(hs)
		if wantKind(t, err, hsWant); t.Failed() {
			t.Fatal(step)
		}
		_, err = g.verify(rs)
		if wantKind(t, err, rsWant); t.Failed() {
			t.Fatal(step)
		}
	}
	const bad, ok = errs.Unauthenticated, errs.Internal
	try("nothing", bad, bad)
	g.set(DefaultDatabase, SettingClientSecret, clientSecret)
	try("no client id", bad, bad)
	g.set(DefaultDatabase, SettingClientID, clientID)
	try("secret", ok, bad)
	g.set(DefaultDatabase, SettingJWKS, jwks("k1", &rsaKey().PublicKey))
	try("both", ok, ok)
	g.set(DefaultDatabase, SettingClientSecret, "")
	try("keys", bad, ok)
	g.set(DefaultDatabase, SettingClientID, "")
	try("no client id any more", bad, bad)

	g.set("", SettingHostSuffix, "x")
	_, err := g.s.VerifyJWT(t.Context(), g.DB, "nope.x", credential(hs))
	wantKind(t, err, errs.Unavailable)
}

func TestJWKSetsThatAreRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("no small keys are drawn here:", err)
	}
	fine := jwks("k1", &rsaKey().PublicKey)
	for name, set := range map[string]string{
		"no JSON":            "keys",
		"no keys":            "{}",
		"a small key":        jwks("k1", &small.PublicKey),
		"a private key":      strings.Replace(fine, `"use"`, `"d":"AQAB","use"`, 1),
		"an even exponent":   strings.Replace(fine, `"e":"AQAB"`, `"e":"Ag"`, 1),
		"an exponent of one": strings.Replace(fine, `"e":"AQAB"`, `"e":"AQ"`, 1),
		"a huge exponent":    strings.Replace(fine, `"e":"AQAB"`, `"e":"AQABAQABAQAB"`, 1),
		"no modulus":         strings.Replace(fine, `"n":"`, `"x":"`, 1),
		"only for secrets":   `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"only to encrypt":    strings.Replace(fine, `"sig"`, `"enc"`, 1),
		"another algorithm":  strings.Replace(fine, "RS256", "PS256", 1),
		"too many":           `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"oct"},`, maxSetKeys+1), ",") + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseKeySet([]byte(set))
			wantKind(t, err, errs.Invalid)
		})
	}
}

func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(jwks("k1", &rsaKey().PublicKey)))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":""}]}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		keys, err := parseKeySet(p)
		if err == nil && len(keys) == 0 {
			t.Error("no keys and no error")
		}
		for _, k := range keys {
			if k.rsa.N.BitLen() < minKeyBits || k.rsa.E < 3 {
				t.Errorf("a key of %d bits with exponent %d", k.rsa.N.BitLen(), k.rsa.E)
			}
		}
	})
}
