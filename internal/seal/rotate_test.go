package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

func created(t *testing.T) (string, *Keyring) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	k, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, k
}

func TestRotateThenReload(t *testing.T) {
	path, k := created(t)
	first := k.Primary()
	sealed, err := k.Seal([]byte("p"), []byte("here"))
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := k.Reload(); changed || err != nil {
		t.Errorf("reload of the same file: %v, %v", changed, err)
	}
	second, err := Rotate(path)
	if err != nil {
		t.Fatal(err)
	}
	if k.Primary() != first || k.Holds(second) {
		t.Error("the keyring changed before it was reloaded")
	}
	if changed, err := k.Reload(); !changed || err != nil {
		t.Errorf("reload: %v, %v", changed, err)
	}
	if want := slices.Sorted(slices.Values([]string{first, second})); k.Primary() != second || !slices.Equal(k.IDs(), want) {
		t.Errorf("primary %s of %v, want %s of %v", k.Primary(), k.IDs(), second, want)
	}
	if p, err := k.Open(sealed, []byte("here")); err != nil || string(p) != "p" {
		t.Errorf("what the old key sealed opens as %q, %v", p, err)
	}
	again, changed, err := k.Reseal(Seed{1}, sealed, []byte("here"))
	if err != nil || !changed {
		t.Fatalf("reseal: %v, %v", changed, err)
	}
	if id, err := KeyID(again); err != nil || id != second {
		t.Errorf("sealed again under %q, %v", id, err)
	}
	if same, changed, err := k.Reseal(Seed{1}, again, []byte("here")); err != nil || changed || !bytes.Equal(same, again) {
		t.Errorf("what is under the primary key was sealed again: %v, %v", changed, err)
	}
	if _, _, err := k.Reseal(Seed{1}, sealed, []byte("elsewhere")); err == nil {
		t.Error("resealed for another place")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new file: %v, %v", info, err)
	}
}

func TestAddThenPromote(t *testing.T) {
	path, k := created(t)
	first := k.Primary()
	id, err := Add(path)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := k.Reload(); !changed || err != nil || k.Primary() != first || !k.Holds(id) {
		t.Errorf("after Add: %v, %v, primary %s", changed, err, k.Primary())
	}
	if err := Promote(path, id); err != nil {
		t.Fatal(err)
	}
	if changed, err := k.Reload(); !changed || err != nil || k.Primary() != id {
		t.Errorf("after Promote: %v, %v, primary %s", changed, err, k.Primary())
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Promote(path, "other"); !errs.Is(err, errs.NotFound) {
		t.Errorf("an unknown key: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a refused change changed the file (%v)", err)
	}
	if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
		t.Errorf("a refused change left a file: %v", err)
	}
}

func TestEditsAtOnceLoseNoKey(t *testing.T) {
	path, k := created(t)
	var mu sync.Mutex
	var added []string
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			id, err := Rotate(path)
			switch {
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				added = append(added, id)
			case !errs.Is(err, errs.Conflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if len(added) == 0 || len(k.IDs()) != len(added)+1 {
		t.Errorf("%d keys were added, the file has %d", len(added), len(k.IDs()))
	}
}

func TestABadFileLeavesTheKeyringAsItIs(t *testing.T) {
	path, k := created(t)
	id := k.Primary()
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := k.Reload(); changed || !errs.Is(err, errs.Invalid) || k.Primary() != id {
		t.Errorf("reload: %v, %v, primary %s", changed, err, k.Primary())
	}
	if _, err := Rotate(path); err == nil {
		t.Error("rotated a file that is no keyring")
	}
	if _, err := Rotate(filepath.Join(t.TempDir(), "none")); !errs.Is(err, errs.NotFound) {
		t.Error("rotated a file that is not there")
	}
}

func TestSealFromASeed(t *testing.T) {
	k := keyring(t, "a", "a")
	sealed := func(seed byte, plain, place string) string {
		t.Helper()
		p, err := k.SealFrom(Seed{seed}, []byte(plain), []byte(place))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Open(p, []byte(place)); err != nil || string(got) != plain {
			t.Errorf("opens as %q, %v", got, err)
		}
		return string(p)
	}
	if first, again := sealed(1, "plain", "place"), sealed(1, "plain", "place"); first != again {
		t.Error("the same from the same seed differs")
	}
	nonces := map[string]string{}
	for what, p := range map[string]string{
		"one": sealed(1, "plain", "place"), "another seed": sealed(2, "plain", "place"),
		"another plaintext": sealed(1, "Plain", "place"), "another place": sealed(1, "plain", "Place"),
		"the border moved": sealed(1, "eplain", "plac"),
	} {
		nonce := p[3 : 3+nonceSize]
		if other, twice := nonces[nonce]; twice {
			t.Errorf("%s and %s share a nonce", what, other)
		}
		nonces[nonce] = what
	}
	if _, err := k.SealFrom(Seed{}, nil, nil); !errs.Is(err, errs.Internal) {
		t.Errorf("an empty seed: %v", err)
	}
	var none *Keyring
	if _, err := none.SealFrom(Seed{1}, nil, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("no keyring: %v", err)
	}
	if changed, err := none.Reload(); changed || err != nil || none.Holds("a") || none.IDs() != nil {
		t.Error("a keyring that is not there has something")
	}
}

func TestDescribeThenDrop(t *testing.T) {
	path, k := created(t)
	old := k.Primary()
	sealed, err := k.Seal([]byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	next, err := Rotate(path)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := Describe(path)
	if err != nil || len(infos) != 2 || infos[0].ID != old || infos[0].Primary || infos[1].ID != next || !infos[1].Primary {
		t.Errorf("%+v, %v", infos, err)
	}
	for _, i := range infos {
		if age := time.Since(i.Created); age < 0 || age > time.Hour {
			t.Errorf("key %s was made at %v", i.ID, i.Created)
		}
	}
	if err := Drop(path, next); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "primary") {
		t.Errorf("the primary key: %v", err)
	}
	if err := Drop(path, "none"); !errs.Is(err, errs.NotFound) {
		t.Errorf("a key that is not there: %v", err)
	}
	if err := Drop(path, old); err != nil {
		t.Fatal(err)
	}
	if changed, err := k.Reload(); !changed || err != nil || k.Holds(old) || k.Primary() != next {
		t.Errorf("after the drop: %v, %v, keys %v", changed, err, k.IDs())
	}
	if _, err := k.Open(sealed, nil); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), old) {
		t.Errorf("what the dropped key has sealed: %v", err)
	}
	if _, err := Describe(filepath.Join(t.TempDir(), "none")); !errs.Is(err, errs.NotFound) {
		t.Errorf("no file: %v", err)
	}
}

// An older file says of no key when it was made.
func TestAFileWithoutTimesOfCreation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	text := `{"primary":"a","keys":[{"id":"a","key":"` + base64.StdEncoding.EncodeToString(make([]byte, keySize)) + `"}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Add(path); err != nil {
		t.Fatal(err)
	}
	infos, err := Describe(path)
	if err != nil || len(infos) != 2 || !infos[0].Created.IsZero() || infos[1].Created.IsZero() {
		t.Errorf("%+v, %v", infos, err)
	}
}

func TestReloadRefusesAnotherKeyUnderTheSameID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	write := func(fill byte) {
		t.Helper()
		key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, keySize))
		if err := os.WriteFile(path, []byte(`{"primary":"a","keys":[{"id":"a","key":"`+key+`"}]}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	k, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal([]byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	write(2)
	if changed, err := k.Reload(); changed || !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "key a is another") {
		t.Errorf("reload: %v, %v", changed, err)
	}
	if p, err := k.Open(sealed, nil); err != nil || string(p) != "p" {
		t.Errorf("after it: %q, %v", p, err)
	}
}

func TestKeysThatMayNotGoStay(t *testing.T) {
	path, k := created(t)
	old := k.Primary()
	if _, err := Rotate(path); err != nil {
		t.Fatal(err)
	}
	if err := Drop(path, old); err != nil {
		t.Fatal(err)
	}
	var asked []string
	needed := errs.E(errs.Invalid, "needed")
	changed, err := k.ReloadIf(func(ids []string) error { asked = ids; return needed })
	if changed || !errors.Is(err, needed) || !slices.Equal(asked, []string{old}) || k.Primary() != old {
		t.Errorf("asked for %v: %v, %v, and it seals with %s", asked, changed, err, k.Primary())
	}
	if changed, err := k.Reload(); !changed || err != nil || k.Holds(old) {
		t.Errorf("they may: %v, %v, keys %v", changed, err, k.IDs())
	}
}
