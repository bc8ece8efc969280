package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNothingPrintsASecret(t *testing.T) {
	const secret = "s3cr3t-value"
	cred, root := Credential{Value: secret}, NewRootKey(secret)
	hash := fmt.Sprintf("%x", root.file.Hash[:])
	holder := struct {
		C Credential
		P *Credential
		R *RootKey
	}{cred, &cred, root}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"|"+verb+"|"+verb+"\n", cred, root, holder)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "cred", cred, "root", root, "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "cred", cred, "root", root, "holder", holder)
	p, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(p)
	got := out.String()
	for _, bad := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%d", []byte(secret)), hash, fmt.Sprint(root.file.Hash[:])} {
		if strings.Contains(got, bad) {
			t.Errorf("%q is printed in:\n%s", bad, got)
		}
	}
	if !strings.Contains(got, redacted) {
		t.Errorf("nothing says that something is hidden:\n%s", got)
	}
	if s := (Credential{}).String(); s != "" {
		t.Errorf("no credential prints as %q", s)
	}
}

func TestRootKeyMatchesOnlyItself(t *testing.T) {
	root := NewRootKey("the root key")
	for _, c := range []struct {
		name string
		key  *RootKey
		cred string
		want bool
	}{
		{"the key", root, "the root key", true},
		{"another key", root, "the root kez", false},
		{"a prefix", root, "the root ke", false},
		{"a longer text", root, "the root key ", false},
		{"nothing", root, "", false},
		{"no root key, nothing", nil, "", false},
		{"no root key, something", nil, "x", false},
		{"an empty root key, nothing", NewRootKey(""), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.key.Match(Credential{Value: c.cred}); got != c.want {
				t.Errorf("Match = %v, want %v", got, c.want)
			}
		})
	}
	if a, b := NewRootKey("k"), NewRootKey("k"); a.file.Hash == b.file.Hash {
		t.Error("two root keys of one text have the same hash: no salt")
	}
}

func TestHashDependsOnSaltAndEveryByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.StringN(0, -1, 300).Draw(t, "a")
		b := rapid.StringN(0, -1, 300).Draw(t, "b")
		s, other := NewSalt(), NewSalt()
		h := s.Hash(a)
		stored := s.Hash(b)
		if got := h.Equal(stored[:]); got != (a == b) {
			t.Fatalf("Equal = %v for %q and %q", got, a, b)
		}
		if o := other.Hash(a); h.Equal(o[:]) {
			t.Fatal("another salt gives the same hash")
		}
		if h.Equal(nil) || h.Equal(h[:HashSize-1]) {
			t.Fatal("a hash equals nothing, or a part of it")
		}
	})
}

func TestGeneratedKeysAreLongAndDiffer(t *testing.T) {
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	a, b := GenerateKey(), GenerateKey()
	if !form.MatchString(a) || a == b {
		t.Errorf("got %q and %q", a, b)
	}
}

func BenchmarkHash(b *testing.B) {
	s := NewSalt()
	b.ReportAllocs()
	for b.Loop() {
		s.Hash("0123456789012345678901234567890123456789012")
	}
}
