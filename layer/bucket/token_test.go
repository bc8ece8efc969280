package bucket

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// closed is a bucket where nobody may do anything without a credential.
func (w *world) closed() string { return w.create(fields("SWRG")) }

func TestTokensAreURLSafeAndLiveAnHour(t *testing.T) {
	w := newWorld(t)
	id := w.closed()
	w.set(id, "secret", "k", "v", TTL{})
	token := w.mustMint(id, "", PermRead, TTL{})
	if !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(token) {
		t.Errorf("token %q", token)
	}
	w.Advance(time.Hour - time.Millisecond)
	if got := w.get(id, token, "k"); got != "v" {
		t.Errorf("before its end: %q", got)
	}
	w.Advance(time.Millisecond)
	if got := w.get(id, token, "k"); got != "[unauthenticated]" {
		t.Errorf("at its end: %q", got)
	}
}

// The first run of a write is on the state at hand, which may be old; a token
// that has expired must not profit, not by a moment.
func TestExpiredTokenCannotWrite(t *testing.T) {
	w := newWorld(t)
	id := w.closed()
	token := w.mustMint(id, "", PermWrite, seconds(t, 60))
	w.Advance(time.Minute)
	_, err := w.update(id, token, Write, func(b *Bucket) error { return b.Set([]byte("k"), Value{}, TTL{}, Condition{}) })
	wantKind(t, err, errs.Unauthenticated)
	if got := w.get(id, "secret", "k"); got != "[not found]" {
		t.Errorf("the key holds %q", got)
	}
}

func TestForgedTokens(t *testing.T) {
	w := newWorld(t)
	id, twin := w.closed(), w.closed() // with the same signing key
	token := w.mustMint(id, "p", PermRead, TTL{})
	if got := w.allowed(id, token); got != "r" {
		t.Fatalf("the token may %q", got)
	}
	if got := w.allowed(twin, token); got != "401" {
		t.Errorf("in another bucket it may %q", got)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, tokenHead))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		forged := bytes.Clone(raw)
		forged[i] ^= 1
		if got := w.allowed(id, tokenHead+base64.RawURLEncoding.EncodeToString(forged)); got != "401" {
			t.Errorf("with byte %d changed it may %q", i, got)
		}
	}
	for _, text := range []string{tokenHead, token[:len(token)-1], token + "A", token + "=", token + "\n", "X" + token, strings.ToUpper(token), tokenHead + strings.Repeat("A", 5000)} {
		if got := w.allowed(id, text); got != "401" {
			t.Errorf("%.30q… may %q", text, got)
		}
	}
}

func TestChangingTheSigningKeyRevokesAllTokens(t *testing.T) {
	w := newWorld(t)
	id := w.closed()
	old := w.mustMint(id, "", PermRead, TTL{})
	if _, err := w.change(id, "secret", Fields{Signing: key("another")}); err != nil {
		t.Fatal(err)
	}
	if got := w.allowed(id, old); got != "401" {
		t.Errorf("after rotation the old token may %q", got)
	}
	fresh := w.mustMint(id, "", PermRead, TTL{})
	if got := w.allowed(id, fresh); got != "r" {
		t.Errorf("the new token may %q", got)
	}
	if _, err := w.change(id, "secret", Fields{Signing: key("")}); err != nil {
		t.Fatal(err)
	}
	if got := w.allowed(id, fresh); got != "401" {
		t.Errorf("after clearing the token may %q", got)
	}
	_, err := w.mint(id, "secret", Grant{Permissions: PermRead})
	wantKind(t, err, errs.Forbidden)
}

func TestTokensOfADeletedBucketDoNotOpenItsSuccessor(t *testing.T) {
	w := newWorld(t)
	const name = "successor"
	w.createNamed(name, rootText, fields("SWRG"))
	token := w.mustMint(name, "", PermRead, TTL{})
	if err := w.drop(name, "secret"); err != nil {
		t.Fatal(err)
	}
	w.createNamed(name, rootText, fields("SWRG")) // with the same signing key
	if got := w.allowed(name, token); got != "401" {
		t.Errorf("the old token may %q", got)
	}
}

func TestTokenPrefix(t *testing.T) {
	w := newWorld(t)
	id := w.closed()
	for _, k := range []string{"other", "user:1:a", "user:1:b", "user:2:a"} {
		w.set(id, "secret", k, "v", TTL{})
	}
	token := w.mustMint(id, "user:1:", PermRead|PermWrite|PermEnumerate|PermDelete, TTL{})
	for k, want := range map[string]string{"user:1:a": "v", "user:1:": "[not found]", "user:2:a": "[forbidden]", "user:1": "[forbidden]", "other": "[forbidden]", "": "[forbidden]"} {
		if got := w.get(id, token, k); got != want {
			t.Errorf("get %q: %q, want %q", k, got, want)
		}
	}
	for name, try := range map[string]func(*Bucket) error{
		"set":    func(b *Bucket) error { return b.Set([]byte("other"), Value{}, TTL{}, Condition{}) },
		"incr":   func(b *Bucket) error { return b.Incr([]byte("other"), one(t), TTL{}, Condition{}) },
		"delete": func(b *Bucket) error { return b.Delete([]byte("other"), Condition{}) },
		"txn": func(b *Bucket) error {
			return b.Txn([]TxnOp{{Key: []byte("user:1:new")}, {Key: []byte("other"), Delete: true}})
		},
	} {
		if _, err := w.update(id, token, Delete, try); !errs.Is(err, errs.Forbidden) {
			t.Errorf("%s outside the prefix: %v, want forbidden", name, err)
		}
	}
	for prefix, want := range map[string]string{"": "user:1:a user:1:b", "user:1:": "user:1:a user:1:b", "user:1:b": "user:1:b"} {
		if got := w.mustList(id, token, ListQuery{Prefix: []byte(prefix), Limit: -1}); got != want {
			t.Errorf("list of %q: %q, want %q", prefix, got, want)
		}
	}
	for _, prefix := range []string{"user:", "user:2:", "o"} {
		if _, err := w.list(id, token, ListQuery{Prefix: []byte(prefix), Limit: -1}); !errs.Is(err, errs.Forbidden) {
			t.Errorf("list of %q: %v, want forbidden", prefix, err)
		}
	}
	if got := w.mustList(id, token, ListQuery{Limit: -1, Pattern: pattern(t, "^o")}); got != "" {
		t.Errorf("a regex leads outside the prefix: %q", got)
	}
	if got := w.mustList(id, "secret", ListQuery{Limit: -1}); got != "other user:1:a user:1:b user:2:a" {
		t.Errorf("after all refusals there is %q", got)
	}
}

func TestMintRefuses(t *testing.T) {
	w := newWorld(t)
	id := w.closed()
	for name, g := range map[string]Grant{
		"no permission":            {},
		"an unknown permission":    {Permissions: 0x80},
		"a ttl of 0":               {Permissions: PermRead, TTL: seconds(t, 0)},
		"a prefix longer than any": {Permissions: PermRead, Prefix: make([]byte, MaxKey+1)},
	} {
		if _, err := w.mint(id, "secret", g); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if _, err := w.mint(id, "secret", Grant{Permissions: permAll, Prefix: make([]byte, MaxKey), TTL: seconds(t, MaxTTL)}); err != nil {
		t.Errorf("the largest grant: %v", err)
	}
	token := w.mustMint(id, "", permAll, TTL{})
	if _, err := w.mint(id, token, Grant{Permissions: PermRead}); !errs.Is(err, errs.Forbidden) {
		t.Errorf("a token mints: %v, want forbidden", err)
	}
}

func TestSigningKeysNeedAKeyring(t *testing.T) {
	w := newWorld(t)
	id := w.closed()
	token := w.mustMint(id, "", PermRead, TTL{})
	w.bs.c.Keyring = nil
	for _, err := range []error{
		second(w.bs.Draft("", fields("G"))),
		second(w.bs.Change(id, fields("G"))),
	} {
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "--keyring-file") {
			t.Errorf("got %v, want an invalid that names the flag", err)
		}
	}
	// Everything that needs no signing key still works; tokens wait for a keyring.
	if got := w.get(id, "secret", "k"); got != "[not found]" {
		t.Errorf("with the secret key: %q", got)
	}
	if got := w.get(id, token, "k"); got != "[unavailable]" {
		t.Errorf("with a token: %q", got)
	}
	_, err := w.mint(id, "secret", Grant{Permissions: PermRead})
	wantKind(t, err, errs.Unavailable)
}

func second[T any](_ T, err error) error { return err }

// A sealed signing key that is copied to another bucket's row does not open.
func TestSigningKeyIsBoundToItsBucket(t *testing.T) {
	w := newWorld(t)
	from, to := w.closed(), w.closed()
	_, err := w.db.Update(t.Context(), func(tx *kv.Tx) error {
		row, _, err := tx.Get(policyKey(from))
		tx.Set(policyKey(to), row.Value, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.mint(to, "secret", Grant{Permissions: PermRead})
	wantKind(t, err, errs.Internal)
}

func FuzzDecodeToken(f *testing.F) {
	whole := token{perms: PermRead, expiry: 1_700_000_000_000, prefix: []byte("user:")}
	f.Add(tokenHead + base64.RawURLEncoding.EncodeToString(append(whole.append(nil), make([]byte, 32)...)))
	f.Add(tokenHead)
	f.Fuzz(func(t *testing.T, text string) {
		tok, body, tag, ok := decodeToken(text)
		if !ok {
			return
		}
		if got := tokenHead + base64.RawURLEncoding.EncodeToString(append(tok.append(nil), tag...)); got != text {
			t.Errorf("%q decodes to what encodes as %q", text, got)
		}
		if !bytes.Equal(tok.append(nil), body) {
			t.Errorf("body %x is not what its content encodes to", body)
		}
	})
}
