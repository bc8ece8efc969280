package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
)

func keyring(t testing.TB, primary string, ids ...string) *Keyring {
	t.Helper()
	keys := map[string][]byte{}
	for _, id := range ids {
		keys[id] = bytes.Repeat([]byte(id[:1]), keySize)
	}
	k, err := newKeyring(primary, keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealedBytesOpenInTheirPlaceOnly(t *testing.T) {
	k := keyring(t, "a1", "a1")
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "plain")
		place := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "place")
		other := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "other")
		sealed, err := k.Seal(plain, place)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Open(sealed, place)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("Open = %x, %v, want %x", got, err, plain)
		}
		if _, err := k.Open(sealed, other); (err == nil) != bytes.Equal(place, other) {
			t.Fatalf("sealed for %x, opened for %x: %v", place, other, err)
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		sealed[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if p, err := k.Open(sealed, place); !errs.Is(err, errs.Internal) && !errs.Is(err, errs.Unavailable) { // in the id it names another key
			t.Fatalf("byte %d changed, and it opens: %x, %v", at, p, err)
		}
	})
}

func TestSameTextSealsDifferently(t *testing.T) {
	k := keyring(t, "a", "a")
	a, err := k.Seal([]byte("text"), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.Seal([]byte("text"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) {
		t.Error("two seals of one text are the same: the nonce is not random")
	}
	if bytes.Contains(a, []byte("text")) {
		t.Error("the plaintext shows")
	}
}

func TestOldKeysOpenAfterRotation(t *testing.T) {
	before := keyring(t, "old", "old")
	after := keyring(t, "new", "old", "new")
	sealed, err := before.Seal([]byte("p"), []byte("here"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := after.Open(sealed, []byte("here")); err != nil || string(p) != "p" {
		t.Errorf("Open = %q, %v", p, err)
	}
	sealed, err = after.Seal([]byte("p"), []byte("here"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = before.Open(sealed, []byte("here"))
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "lacks the master key new") {
		t.Errorf("a key that is not there: %v, want that it is unavailable, by its name", err)
	}
}

func TestWithoutKeyringTheErrorSaysWhatToDo(t *testing.T) {
	var k *Keyring
	_, sealing := k.Seal(nil, nil)
	_, opening := k.Open(nil, nil)
	for err, want := range map[error]errs.Kind{sealing: errs.Invalid, opening: errs.Unavailable} {
		if !errs.Is(err, want) || !strings.Contains(err.Error(), "--keyring-file") {
			t.Errorf("got %v, want one that is %v", err, want)
		}
	}
}

func TestCreateThenLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	created, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %o, want 600", got)
	}
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := created.Seal([]byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := loaded.Open(sealed, nil); err != nil || string(p) != "p" {
		t.Errorf("what Create's keyring sealed opens as %q, %v", p, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); !errs.Is(err, errs.Exists) {
		t.Errorf("second Create: %v, want it to exist", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the second Create changed the file (%v)", err)
	}
	for _, text := range []string{fmt.Sprintf("%v", created), fmt.Sprintf("%+v", created), fmt.Sprintf("%#v", created), fmt.Sprintf("%d", created)} {
		if text != "[keyring]" {
			t.Errorf("a keyring prints as %s", text)
		}
	}
}

func TestCreateInAMissingFolderLeavesNothing(t *testing.T) {
	if _, err := Create(filepath.Join(t.TempDir(), "no", "k")); !errs.Is(err, errs.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestParseReadsTheContentOfAFile(t *testing.T) {
	path, k := created(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal([]byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := parsed.Open(sealed, nil); err != nil || string(p) != "p" {
		t.Errorf("opens as %q, %v", p, err)
	}
	if changed, err := parsed.Reload(); changed || err != nil {
		t.Errorf("a reload without a file: %v, %v", changed, err)
	}
	for _, bad := range []string{"", "{}", string(text) + "x", `{"primary":"a","keys":[{"id":"a","key":"c2VjcmV0"}]}`} {
		if _, err := Parse(bad); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, keySize))
	good := `{"primary":"a","keys":[{"id":"a","key":"` + key + `"}]}`
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"a file others may read", good, 0o644, "chmod 600"},
		{"a file the group may read", good, 0o640, "chmod 600"},
		{"a file others may write", good, 0o602, "chmod 600"},
		{"no JSON", "hello " + key, 0o600, "not a JSON object"},
		{"an unknown field", `{"primery":"a"}`, 0o600, "not a JSON object"},
		{"two values", good + good, 0o600, "not a JSON object"},
		{"an empty file", "", 0o600, "not a JSON object"},
		{"no keys", `{"primary":"a"}`, 0o600, "primary"},
		{"a primary that is not there", strings.Replace(good, `"a"`, `"b"`, 1), 0o600, "primary"},
		{"a short key", `{"primary":"a","keys":[{"id":"a","key":"AAAA"}]}`, 0o600, "32 bytes"},
		{"an id that could not be sealed with", `{"primary":"a b","keys":[{"id":"a b","key":"` + key + `"}]}`, 0o600, "id"},
		{"an id twice", `{"primary":"a","keys":[{"id":"a","key":"` + key + `"},{"id":"a","key":"` + key + `"}]}`, 0o600, "twice"},
		{"a file over the limit", good + strings.Repeat(" ", maxFile), 0o600, "not a JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), key) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !errs.Is(err, errs.NotFound) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Load(t.TempDir()); !errs.Is(err, errs.Invalid) {
		t.Errorf("a folder: %v", err)
	}
}

// golden is "plain", sealed with key k1 for "place".
const golden = "AQJrMdEY4ivYwI9QDStHlMw2UD4vaLci8D1ouAvZfQnlAdLaBA=="

// The format is stored: bytes that were sealed once must open for ever.
func TestGoldenSealedBytesOpen(t *testing.T) {
	k := keyring(t, "k1", "k1")
	sealed, err := base64.StdEncoding.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := k.Open(sealed, []byte("place")); err != nil || string(p) != "plain" {
		t.Errorf("Open = %q, %v", p, err)
	}
}

func FuzzOpen(f *testing.F) {
	k := keyring(f, "k1", "k1")
	sealed, err := base64.StdEncoding.DecodeString(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{format1, 2, 'k', '1'})
	f.Add([]byte{format1, 255})
	f.Fuzz(func(t *testing.T, p []byte) {
		if plain, err := k.Open(p, []byte("place")); err == nil && !bytes.Equal(p, sealed) {
			t.Errorf("%x was never sealed and opens as %x", p, plain)
		}
	})
}

func FuzzParseFile(f *testing.F) {
	good, err := json.Marshal(file{Primary: "a", Keys: []fileKey{{ID: "a", Key: make([]byte, keySize)}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"primary":"","keys":[{}]}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		f, err := decodeFile(p)
		if err != nil {
			return
		}
		k, err := f.keyring()
		if err != nil {
			return
		}
		sealed, err := k.Seal([]byte("x"), nil)
		if err != nil {
			t.Fatalf("a keyring that loads does not seal: %v", err)
		}
		if x, err := k.Open(sealed, nil); err != nil || string(x) != "x" {
			t.Errorf("Open = %q, %v", x, err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	k := keyring(b, "k1", "k1")
	sealed, err := k.Seal(make([]byte, 43), []byte("bucket/field"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(sealed, []byte("bucket/field")); err != nil {
			b.Fatal(err)
		}
	}
}
