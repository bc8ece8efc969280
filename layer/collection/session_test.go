package collection

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coveydb/covey/kv"
)

// BenchmarkEnter is the price of the door, paid by every request.
func BenchmarkEnter(b *testing.B) {
	g := newGate(b)
	g.tokens("")
	g.insert("items", `{}`)
	g.insert(UsersCollection, `{"email":"ada@example.com","active":true,"roles":["a"]}`)
	g.update(func(tx *kv.Tx) error { return g.s.SetRoles(tx, DefaultDatabase, "items", &Roles{Read: []string{"a"}}) })
	page, _ := g.key(DefaultDatabase, web("orders/* items", "GET POST", "*.example.org https://app.example.com"))
	full, _ := g.key(DefaultDatabase, KeySpec{})
	token := hs256(b, clientSecret, good(jwt.MapClaims{}))
	user, err := g.verify(token)
	if err != nil {
		b.Fatal(err)
	}
	const origin = "https://app.example.com"
	for _, c := range []struct {
		name   string
		caller Caller
	}{
		{"full key", Caller{Key: credential(full), Method: "GET", Path: "items"}},
		{"web key", Caller{Key: credential(page), Method: "GET", Path: "items", Origin: origin}},
		{"user", Caller{User: user, Method: "GET", Path: "items", Origin: origin}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			if err := g.view(func(tx *kv.Tx) error {
				for b.Loop() {
					e, err := g.s.Enter(b.Context(), tx, c.caller)
					if err == nil {
						_, err = e.Collection("items", Read)
					}
					if err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		})
	}
	b.Run("verify HS256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := g.verify(token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
