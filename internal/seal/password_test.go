package seal

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/coveydb/covey/internal/errs"
)

func TestPasswords(t *testing.T) {
	p := NewPasswords(Cost{})
	hash, err := p.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.Hash(t.Context(), "correct horse"); err != nil || again == hash {
		t.Errorf("the same password twice has the hashes %s and %s (%v)", hash, again, err)
	}
	want := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, passwordMemory, passwordTime, argonThreads)
	if hash[:len(want)] != want {
		t.Errorf("hash %s does not begin with its cost %s", hash, want)
	}
	for _, c := range []struct {
		hash, password string
		want           bool
	}{
		{hash, "correct horse", true},
		{hash, "Correct horse", false},
		{hash, "", false},
		{"", "", false},
		{"", "correct horse", false},
		{goldenPassword, "golden", true},
	} {
		if got, err := p.Match(t.Context(), c.hash, c.password); err != nil || got != c.want {
			t.Errorf("Match(%q, %q) = %v, %v", c.hash, c.password, got, err)
		}
	}
}

func TestDamagedPasswordHashes(t *testing.T) {
	p := NewPasswords(Cost{})
	for _, bad := range []string{"x", goldenPassword[:len(goldenPassword)-1], goldenPassword + "A", p.head, "$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$9Zf+ilp6EEQrzFxrwJ4LxQgOE8vdbobvrdZEqgtmhQY", "$argon2id$v=19$m=9999999,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA"} {
		if ok, err := p.Match(t.Context(), bad, "golden"); ok || !errs.Is(err, errs.Internal) {
			t.Errorf("Match with hash %q = %v, %v", bad, ok, err)
		}
	}
}

func TestTooManyPasswordsAreRefused(t *testing.T) {
	p := NewPasswords(Cost{})
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, cap(p.places))
	for range cap(p.places) {
		go func() {
			_, err := p.Match(ctx, "", "x")
			results <- err
		}()
	}
	for len(p.places) < cap(p.places) {
		if ctx.Err() != nil {
			t.Fatal("nobody waits")
		}
	}
	if _, err := p.Hash(ctx, "one more"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("over the bound: %v", err)
	}
	if err := p.Busy(); !errs.Is(err, errs.Unavailable) {
		t.Errorf("busy: %v", err)
	}
	cancel()
	for range cap(p.places) {
		if err := <-results; err != context.Canceled {
			t.Errorf("who waited got %v", err)
		}
	}
	if err := p.Busy(); len(p.places) != 0 || err != nil {
		t.Errorf("%d places are still taken, %v", len(p.places), err)
	}
}

func FuzzParsePassword(f *testing.F) {
	p := NewPasswords(Cost{})
	f.Add(goldenPassword)
	f.Add(p.head + "$")
	f.Fuzz(func(t *testing.T, hash string) {
		salt, key, ok := p.parse(hash)
		if ok && (len(salt) != SaltSize || len(key) != passwordHashSize) {
			t.Errorf("%q: salt of %d, key of %d bytes", hash, len(salt), len(key))
		}
	})
}

// The form is stored: what was hashed once must match for ever.
const goldenPassword = "$argon2id$v=19$m=7168,t=5,p=1$MDEyMzQ1Njc4OWFiY2RlZg$rmjMC/21otg0Gc81ZyYQSbd1YHLSx6auc7D0oIo5KDI"
