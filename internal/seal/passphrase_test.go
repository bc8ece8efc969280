package seal

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

func key(t *testing.T, p *Passphrases, text string, salt byte) *PassphraseKey {
	t.Helper()
	k, err := p.Key(t.Context(), text, [SaltSize]byte{salt})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestPassphraseKeys(t *testing.T) {
	p := NewPassphrases()
	for _, text := range []string{"", "a", strings.Repeat("long", 1<<18)} {
		sealed, err := key(t, p, text, 1).Seal([]byte("secret"), []byte("place"))
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			what, text string
			salt       byte
			place      string
			ok         bool
		}{
			{"the same", text, 1, "place", true},
			{"another passphrase", text + "x", 1, "place", false},
			{"another salt", text, 2, "place", false},
			{"another place", text, 1, "Place", false},
		} {
			// A new one, as on another node.
			plain, err := key(t, NewPassphrases(), tt.text, tt.salt).Open(sealed, []byte(tt.place))
			if tt.ok && (err != nil || string(plain) != "secret") {
				t.Errorf("%s: got %q, %v", tt.what, plain, err)
			}
			if !tt.ok && !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: got %q, %v, want invalid", tt.what, plain, err)
			}
		}
	}
}

func TestDamagedPassphraseBytes(t *testing.T) {
	k := key(t, NewPassphrases(), "p", 1)
	sealed, err := k.Seal([]byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad, nil); err == nil {
			t.Errorf("opens with byte %d changed", i)
		}
		if _, err := k.Open(sealed[:i], nil); err == nil {
			t.Errorf("opens with %d of %d bytes", i, len(sealed))
		}
	}
}

func TestKeysAreRememberedAndForgotten(t *testing.T) {
	p := NewPassphrases()
	if first, second := key(t, p, "a", 1), key(t, p, "a", 1); first != second {
		t.Error("the same key was derived twice")
	}
	for i := range maxRemembered {
		p.remember([32]byte{byte(i), byte(i >> 8), 1}, &PassphraseKey{})
	}
	if n := p.recent.Len(); n != maxRemembered || len(p.known) != n {
		t.Errorf("remembers %d and %d keys, want %d", n, len(p.known), maxRemembered)
	}
}

func TestManyWantOneKey(t *testing.T) {
	p := NewPassphrases()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := p.Key(context.Background(), fmt.Sprint(i%3), [SaltSize]byte{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(p.known); n != 3 {
		t.Errorf("remembers %d keys, want 3", n)
	}
}

func TestPassphraseKeysShowNothing(t *testing.T) {
	k := key(t, NewPassphrases(), "p", 1)
	if text := fmt.Sprintf("%v %+v %#v %x", k, k, k, k); text != "[key] [key] [key] [key]" {
		t.Errorf("prints %s", text)
	}
}
