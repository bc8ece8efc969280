package collection

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

const signingSecret = "a property that signs tokens"

func (g *gate) issue(key, body string) (IssuedToken, error) {
	r, err := ParseTokenRequest([]byte(body))
	if err != nil {
		return IssuedToken{}, err
	}
	return g.s.IssueJWT(g.t.Context(), g.DB, Caller{Key: credential(key), Method: "POST"}, r)
}

func (g *gate) refresh(key, token string) (IssuedToken, error) {
	body, _ := json.Marshal(map[string]string{"refresh": token})
	return g.s.RefreshJWT(g.t.Context(), g.DB, Caller{Key: credential(key), Method: "POST"}, body)
}

// read takes an issued token apart, with what verifies it.
func (g *gate) read(token string, key any) jwt.MapClaims {
	g.t.Helper()
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(jwt.WithTimeFunc(func() time.Time { return time.UnixMilli(g.Now()) })).
		ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil })
	if err != nil {
		g.t.Fatal(err)
	}
	return claims
}

func TestIssueToken(t *testing.T) {
	g := newGate(t)
	g.set(DefaultDatabase, "properties.app.key", signingSecret)
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	account, _ := json.Marshal(map[string]any{"type": "service_account", "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	g.set(DefaultDatabase, "properties.google", string(account))
	const start = float64(kvtest.Start / 1000)
	for _, c := range []struct {
		name, body string
		key        any
		secret     string
		want       jwt.MapClaims
	}{
		{"the least", `{"secret":"app.key"}`, []byte(signingSecret), "app.key", jwt.MapClaims{"iat": start, "exp": start + 3600}},
		{"by its whole name", `{"secret":"properties.app.key"}`, []byte(signingSecret), "app.key", jwt.MapClaims{"iat": start, "exp": start + 3600}},
		{"everything", `{"secret":"google.private_key","algorithm":"RS256","issuer":"i","audience":"a","subject":"s","expiresIn":"2 days","payload":{"x":[1,{"y":null}],"sub":"other","exp":1,"jti":"mine"}}`,
			&rsaKey().PublicKey, "google.private_key",
			jwt.MapClaims{"iat": start, "exp": start + 172800, "iss": "i", "aud": "a", "sub": "s", "x": []any{1.0, map[string]any{"y": nil}}}},
		{"several audiences", `{"secret":"app.key","audience":["a","b"],"expiresIn":60}`, []byte(signingSecret), "app.key",
			jwt.MapClaims{"iat": start, "exp": start + 60, "aud": []any{"a", "b"}}},
		{"claims in the payload", `{"secret":"app.key","payload":{"iss":"p","n":12345678901234567}}`, []byte(signingSecret), "app.key",
			jwt.MapClaims{"iat": start, "exp": start + 3600, "iss": "p", "n": 12345678901234567.0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.ConflictNext(1)
			issued, err := g.issue(operatorKey, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(issued.Refresh) {
				t.Errorf("refresh token %q", issued.Refresh)
			}
			got := g.read(issued.JWT, c.key)
			id, err := base64.StdEncoding.DecodeString(got["jti"].(string))
			if want := `^default\.restdb\.jwt\.` + regexp.QuoteMeta(c.secret) + `/[0-9a-f]{32}$`; err != nil || !regexp.MustCompile(want).Match(id) {
				t.Errorf("jti of %q, %v", id, err)
			}
			delete(got, "jti")
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("claims (-want +got):\n%s", d)
			}
		})
	}
}

func TestTokenRequestsThatAreRefused(t *testing.T) {
	g := newGate(t)
	g.set(DefaultDatabase, "properties.app.key", signingSecret)
	g.set(DefaultDatabase, "properties.short", "0123456789")
	for name, body := range map[string]string{
		"no JSON":                      `secret`,
		"an array":                     `[]`,
		"no secret":                    `{}`,
		"a secret that is no text":     `{"secret":1}`,
		"a secret with a slash":        `{"secret":"a/b"}`,
		"a secret that is not there":   `{"secret":"app.other"}`,
		"a member of a text":           `{"secret":"app.key.x"}`,
		"a setting that is none":       `{"secret":"jwt.client_secret"}`,
		"a short key":                  `{"secret":"short"}`,
		"a text as an RSA key":         `{"secret":"app.key","algorithm":"RS256"}`,
		"no algorithm of ours":         `{"secret":"app.key","algorithm":"none"}`,
		"another algorithm":            `{"secret":"app.key","algorithm":"HS512"}`,
		"a lifetime of zero":           `{"secret":"app.key","expiresIn":0}`,
		"a negative lifetime":          `{"secret":"app.key","expiresIn":-5}`,
		"half a second":                `{"secret":"app.key","expiresIn":0.5}`,
		"a lifetime without a unit":    `{"secret":"app.key","expiresIn":"60"}`,
		"an unknown unit":              `{"secret":"app.key","expiresIn":"1 fortnight"}`,
		"a lifetime that is too long":  `{"secret":"app.key","expiresIn":"367 days"}`,
		"a lifetime that overflows":    `{"secret":"app.key","expiresIn":"99999999999999999999s"}`,
		"a lifetime that is an object": `{"secret":"app.key","expiresIn":{}}`,
		"a payload that is an array":   `{"secret":"app.key","payload":[]}`,
		"a payload that is a text":     `{"secret":"app.key","payload":"x"}`,
		"a huge payload":               `{"secret":"app.key","payload":{"x":"` + strings.Repeat("a", maxPayload) + `"}}`,
		"a huge subject":               `{"secret":"app.key","subject":"` + strings.Repeat("a", maxClaim+1) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := g.issue(operatorKey, body)
			wantKind(t, err, errs.Invalid)
			if err != nil && strings.Contains(err.Error(), signingSecret) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
	page, _ := g.key(DefaultDatabase, web("**", "POST", "*"))
	reader, _ := g.key(DefaultDatabase, KeySpec{ReadOnly: true})
	for key, want := range map[string]errs.Kind{"": errs.Unauthenticated, "x": errs.Unauthenticated, page: errs.Forbidden, reader: errs.Forbidden} {
		_, err := g.issue(key, `{"secret":"app.key"}`)
		wantKind(t, err, want)
	}
}

func TestRefresh(t *testing.T) {
	g := newGate(t)
	g.set(DefaultDatabase, "properties.app.key", signingSecret)
	page, _ := g.key(DefaultDatabase, web("**", "POST", "*"))
	items, _ := g.key(DefaultDatabase, web("items", "POST", "*"))
	first, err := g.issue(operatorKey, `{"secret":"app.key","expiresIn":60,"payload":{"x":1}}`)
	if err != nil {
		t.Fatal(err)
	}
	g.Advance(time.Hour)
	for key, want := range map[string]errs.Kind{"": errs.Unauthenticated, "x": errs.Unauthenticated} {
		_, err := g.refresh(key, first.Refresh)
		wantKind(t, err, want)
	}
	_, err = g.refresh(items, first.Refresh)
	wantKind(t, err, errs.Forbidden)
	g.ConflictNext(1)
	second, err := g.refresh(page, first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	claims := g.read(second.JWT, []byte(signingSecret))
	if now := float64(g.Now() / 1000); claims["iat"] != now || claims["exp"] != now+60 || claims["x"] != 1.0 || second.Refresh == first.Refresh {
		t.Errorf("claims %v", claims)
	}
	for _, token := range []string{first.Refresh, "", "x", strings.Repeat("0", refreshDigits), strings.ToUpper(second.Refresh)} {
		_, err := g.refresh(operatorKey, token)
		wantKind(t, err, errs.Invalid)
	}
	_, err = g.s.RefreshJWT(t.Context(), g.DB, Caller{Key: credential(operatorKey)}, []byte(`{"code":"x"}`))
	wantKind(t, err, errs.Invalid)
	_ = g.view(func(tx *kv.Tx) error {
		for rec := range tx.Scan([]byte{layerByte, refreshByte}, []byte{layerByte, refreshByte + 1}) {
			if strings.Contains(string(rec.Key)+string(rec.Value), second.Refresh) {
				t.Error("the refresh token is stored in clear")
			}
		}
		return nil
	})
	g.Advance(refreshLifetime)
	_, err = g.refresh(operatorKey, second.Refresh)
	wantKind(t, err, errs.Invalid)
}

func FuzzParseTokenRequest(f *testing.F) {
	f.Add([]byte(`{"secret":"google.private_key","algorithm":"RS256","issuer":"i","audience":["a"],"expiresIn":"1h","payload":{"x":1}}`))
	f.Add([]byte(`{"secret":"a","expiresIn":60}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := ParseTokenRequest(p)
		if err != nil {
			wantKind(t, err, errs.Invalid)
			return
		}
		if r.Lifetime < 1 || time.Duration(r.Lifetime) > maxLifetime/time.Second || !validProperty(r.Secret) {
			t.Errorf("got %+v", r)
		}
		if _, err := decodeJSON[TokenRequest](encodeJSON(r)); err != nil {
			t.Errorf("what is stored does not read: %v", err)
		}
	})
}
