package nest

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const token = "0123456789abcdef0123456789abcdef01234567"

func sealed(t *testing.T, c Copy) []byte {
	t.Helper()
	file, err := c.Seal(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestACopyOpensOnlyWithItsToken(t *testing.T) {
	c := Copy{Environment: 7, Name: "Web/production", Resolved: true, Taken: time.Unix(1700000000, 0).UTC(), Variables: Variables{"API_KEY": secret}}
	file := sealed(t, c)
	for _, text := range []string{"hunter", "API_KEY", "production", token[:8]} {
		if bytes.Contains(file, []byte(text)) {
			t.Errorf("%q is in the file", text)
		}
	}
	got, err := OpenCopy(t.Context(), file, token)
	if diff := cmp.Diff(c, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if bytes.Equal(file, sealed(t, c)) {
		t.Error("the same copy was sealed to the same bytes")
	}
	changed := bytes.Clone(file)
	changed[len(changed)-1] ^= 1
	salted := bytes.Clone(file)
	salted[len(copyMark)] ^= 1
	for name, tt := range map[string]struct {
		file        []byte
		token, says string
	}{
		"another token": {file, strings.ToUpper(token), "another one, or changed"},
		"a changed bit": {changed, token, "another one, or changed"},
		"another salt":  {salted, token, "another one, or changed"},
		"cut off":       {file[:len(file)-20], token, "another one, or changed"},
		"very short":    {file[:len(copyMark)+3], token, "no copy"},
		"something":     {[]byte("A=1\n"), token, "no copy"},
	} {
		if c, err := OpenCopy(t.Context(), tt.file, tt.token); err == nil || !strings.Contains(err.Error(), tt.says) || c.Variables != nil {
			t.Errorf("%s: %+v, %v; want %q", name, c, err, tt.says)
		}
	}
}

func TestACopyIsForOneEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy")
	file := sealed(t, Copy{Environment: 7, Name: "Web/production", Variables: Variables{"A": secret}})
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, says string
		resolved   bool
	}{
		{"7", "", false},
		{"Web/production", "", false},
		{"web/PRODUCTION", "", false},
		{"8", `is a copy of environment 7 ("Web/production")`, false},
		{"Web/staging", "is a copy of environment 7", false},
		{"7", "--resolve", true},
	} {
		c, err := ReadCopy(t.Context(), path, token, tt.name, tt.resolved)
		if (err == nil) != (tt.says == "") || err == nil && c.Variables["A"] != secret || err != nil && (!strings.Contains(err.Error(), tt.says) || c.Variables != nil) {
			t.Errorf("%s: %+v, %v; want %q", tt.name, c, err, tt.says)
		}
	}
	if _, err := ReadCopy(t.Context(), path+"2", token, "7", false); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
}

// One that is opened for a copy would wait for whom nobody has started.
func TestWhatIsNoOrdinaryFileHoldsNoCopy(t *testing.T) {
	dir := t.TempDir()
	link, listener := filepath.Join(dir, "link"), filepath.Join(dir, "s")
	l, err := net.Listen("unix", listener)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	if err := os.Symlink(listener, link); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{dir, listener, link} {
		if err := CheckCopyPath(path); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := ReadCopy(t.Context(), path, token, "7", false); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
			t.Errorf("read %s: %v", path, err)
		}
	}
	if err := CheckCopyPath(filepath.Join(dir, "none")); err != nil {
		t.Errorf("nothing is there yet: %v", err)
	}
}

func FuzzOpenCopy(f *testing.F) {
	file, err := Copy{Environment: 1, Name: "1"}.Seal(f.Context(), token)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file[:len(copyMark)])
	f.Add(file[:len(file)-1])
	f.Add([]byte(copyMark + "0123456789abcdef\x01"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if c, err := OpenCopy(t.Context(), p, token); err == nil && !bytes.Equal(p, file) {
			t.Errorf("%q opens as %+v", p, c)
		}
	})
}
