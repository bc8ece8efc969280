package nest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const secret = "hunter2hunter2hunter2"

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "it's a file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func TestProfilesAreReadAsTheyWereWritten(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Profile
	}{
		{"as we write it", string(Profile{Token: secret, BaseURL: URLs{"http://a", "http://b"}}.Encode()), Profile{secret, URLs{"http://a", "http://b"}}},
		{"one URL", `{"base_url":"http://a"}`, Profile{BaseURL: URLs{"http://a"}}},
		{"URLs in a text", `{"base_url":"http://a, http://b,"}`, Profile{BaseURL: URLs{"http://a", "http://b"}}},
		{"empty", string(Profile{}.Encode()), Profile{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := LoadProfile(write(t, tt.text, 0o600))
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
	if p, err := LoadProfile(filepath.Join(t.TempDir(), "none")); err != nil || p.Token != "" {
		t.Errorf("no file: %+v, %v", p, err)
	}
	for _, bad := range []string{"", secret, `{"token":` + secret, `{"` + secret + `":1}`, `{"token":["` + secret + `"]}`} {
		if p, err := LoadProfile(write(t, bad, 0o600)); err == nil || strings.Contains(err.Error(), "hunter") || p.Token != "" {
			t.Errorf("%q: %+v, %v", bad, p, err)
		}
	}
}

func TestAFileThatOthersCanReadIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes here")
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700, 0o640, 0o604, 0o620, 0o602, 0o666} {
		path := write(t, `{"token":"`+secret+`"}`, mode)
		_, err := LoadProfile(path)
		var readable *ReadableError
		if want := mode&0o077 != 0; errors.As(err, &readable) != want || !want && err != nil {
			t.Errorf("%o: %v", mode, err)
		}
		_, terr := ReadToken(path, nil)
		if want := mode&0o077 != 0; errors.As(terr, &readable) != want {
			t.Errorf("%o as a token: %v", mode, terr)
		}
		if err == nil {
			continue
		}
		if mend := readable.Mend(); !strings.HasPrefix(mend, "chmod 600 '") || !strings.HasSuffix(mend, `/it'\''s a file'`) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%o: %v, %s", mode, err, mend)
		}
	}
}

func TestTokensAreOneWord(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a line", secret + "\r\n", secret},
		{"blanks around it", "  " + secret + "\t\n", secret},
		{"nothing", "\n", ""},
		{"two lines", secret + "\n" + secret, ""},
		{"a blank within", "Token " + secret, ""},
		{"no text", secret + "\x00", ""},
		{"too long", strings.Repeat("x", maxPrivate+1), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, source := range []string{"-", write(t, tt.text, 0o600)} {
				got, err := ReadToken(source, bytes.NewBufferString(tt.text))
				if got != tt.want || (err == nil) != (tt.want != "") || err != nil && strings.Contains(err.Error(), "hunter") {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
}

func TestTheProfileIsInTheFolderForSettings(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it is elsewhere")
	}
	for _, tt := range []struct {
		environ []string
		want    string
	}{
		{[]string{"HOME=/h"}, "/h/.config/keynest/config.json"},
		{[]string{"HOME=/h", "XDG_CONFIG_HOME=/x"}, "/x/keynest/config.json"},
		{[]string{"HOME=/h", "XDG_CONFIG_HOME=x"}, "/h/.config/keynest/config.json"}, // a relative one is to be ignored
		{nil, ""},
	} {
		if got, err := ProfilePath(tt.environ); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %q, %v; want %q", tt.environ, got, err, tt.want)
		}
	}
}
