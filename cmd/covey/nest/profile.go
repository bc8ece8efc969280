package nest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/coveydb/covey/cmd/covey/config"
)

// Variables of KeyNest's users. Each wins over the profile.
const (
	EnvToken     = "KEYNEST_TOKEN"
	EnvTokenFile = "KEYNEST_TOKEN_FILE"
	EnvBaseURL   = "KEYNEST_BASE_URL"
)

// maxPrivate bounds a file that holds a token.
const maxPrivate = 64 << 10

// Profile is what is kept between calls.
type Profile struct {
	Token   string `json:"token,omitempty"`
	BaseURL URLs   `json:"base_url,omitempty"`
}

// URLs are base URLs. In a file they may be a list or one text, comma-separated.
type URLs []string

// UnmarshalJSON reads either.
func (u *URLs) UnmarshalJSON(p []byte) error {
	var one string
	if json.Unmarshal(p, &one) == nil {
		*u = SplitURLs(one)
		return nil
	}
	return json.Unmarshal(p, (*[]string)(u))
}

// SplitURLs reads base URLs that are separated by commas.
func SplitURLs(text string) (urls []string) {
	for u := range strings.SplitSeq(text, ",") {
		if u = strings.TrimSpace(u); u != "" {
			urls = append(urls, u)
		}
	}
	return urls
}

// ProfilePath returns where the profile is: keynest/config.json in the user's
// folder for settings.
func ProfilePath(environ []string) (string, error) {
	if dir := config.Lookup(environ, "XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "keynest", "config.json"), nil
	}
	if dir := config.Lookup(environ, "AppData"); runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "keynest", "config.json"), nil
	}
	home := config.Lookup(environ, "HOME")
	if home == "" {
		return "", errors.New("where the profile is cannot be told: neither HOME nor XDG_CONFIG_HOME is set")
	}
	return filepath.Join(home, ".config", "keynest", "config.json"), nil
}

// LoadProfile reads the profile at path. One that is not there is empty; one that
// others can read is a *ReadableError.
func LoadProfile(path string) (p Profile, err error) {
	text, err := readPrivate(path)
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		// The decoder's own words may hold a piece of the token.
		return Profile{}, fmt.Errorf("%s is no JSON object with token and base_url", path)
	}
	return p, nil
}

// Encode returns the profile as its file holds it.
func (p Profile) Encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(p) // texts only
	return b.Bytes()
}

// ReadToken reads a token's file, or with - stdin.
func ReadToken(path string, stdin io.Reader) (string, error) {
	var text []byte
	var err error
	if path == "-" {
		if text, err = io.ReadAll(io.LimitReader(stdin, maxPrivate+1)); err == nil && len(text) > maxPrivate {
			err = tooLong("standard input")
		}
	} else {
		text, err = readPrivate(path)
	}
	if err != nil {
		return "", err
	}
	return CheckToken(string(text))
}

// CheckToken returns a token without the blanks around it. What cannot be one,
// such as two lines, is an error that does not show it.
func CheckToken(text string) (string, error) {
	token := strings.TrimSpace(text)
	if token == "" {
		return "", errors.New("the token is empty")
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return "", errors.New("the token holds blanks, line breaks or other characters that no token has")
		}
	}
	return token, nil
}

// ReadableError is a file with a secret that others can read or write.
type ReadableError struct {
	Path string
	Mode os.FileMode
}

func (e *ReadableError) Error() string {
	return fmt.Sprintf("%s holds a token, and others can read or write it (mode %04o)", e.Path, e.Mode.Perm())
}

// Mend returns the command that makes the file its owner's alone.
func (e *ReadableError) Mend() string {
	return "chmod 600 '" + strings.ReplaceAll(e.Path, "'", `'\''`) + "'"
}

// readPrivate reads a file that holds a secret. What is no ordinary file, such as
// a pipe of the shell, has no mode that tells anything.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, &ReadableError{path, info.Mode()}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPrivate+1))
	if err == nil && len(text) > maxPrivate {
		err = tooLong(path)
	}
	return text, err
}

func tooLong(what string) error { return fmt.Errorf("%s is larger than %d bytes", what, maxPrivate) }
