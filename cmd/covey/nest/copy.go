package nest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/seal"
)

// Copy is what an environment was when it was last read, for when no server
// answers. Its file opens only with the token that read it, which is slow to
// guess even where it is short.
type Copy struct {
	Environment uint64    `json:"environment"`
	Name        string    `json:"name"` // what the caller called the environment
	Resolved    bool      `json:"resolved"`
	Taken       time.Time `json:"taken"`
	Variables   Variables `json:"variables"`
}

// Format of the file: the mark, a salt, and what a seal.PassphraseKey sealed.
const (
	copyMark  = "keynest copy 1\n"
	copyPlace = "keynest copy"
)

// maxCopy bounds the file in bytes: more than any environment that a command can
// be given.
const maxCopy = 64 << 20

// errCopy is a file that is none of ours, or was changed, or is for another token.
var errCopy = errors.New("it does not open with this token: it was made with another one, or changed")

// Seal returns the copy's file.
func (c Copy) Seal(ctx context.Context, token string) ([]byte, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode the copy: %w", err)
	}
	var salt [seal.SaltSize]byte
	_, _ = rand.Read(salt[:]) // documented never to return an error
	key, err := seal.NewPassphrases().Key(ctx, token, salt)
	if err != nil {
		return nil, err
	}
	sealed, err := key.Seal(plain, []byte(copyPlace))
	if err != nil {
		return nil, err
	}
	file := append([]byte(copyMark), salt[:]...)
	file = append(file, sealed...)
	if len(file) > maxCopy {
		return nil, fmt.Errorf("the copy would be larger than %d bytes", maxCopy)
	}
	return file, nil
}

// OpenCopy opens a copy's file.
func OpenCopy(ctx context.Context, file []byte, token string) (c Copy, err error) {
	rest, ok := bytes.CutPrefix(file, []byte(copyMark))
	if !ok || len(rest) < seal.SaltSize {
		return c, errors.New("it is no copy of an environment")
	}
	key, err := seal.NewPassphrases().Key(ctx, token, [seal.SaltSize]byte(rest[:seal.SaltSize]))
	if err != nil {
		return c, err
	}
	plain, err := key.Open(rest[seal.SaltSize:], []byte(copyPlace))
	if err != nil {
		return c, errCopy
	}
	if json.Unmarshal(plain, &c) != nil {
		return Copy{}, errors.New("it is of another version of this program")
	}
	return c, nil
}

// CheckCopyPath says why no copy can be kept at path: what is there is no
// ordinary file. A pipe, opened for a copy, would wait for somebody at its other
// end for as long as it takes.
func CheckCopyPath(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no ordinary file", path)
	}
	return nil // one that is not there, or cannot be reached, is told when it is opened
}

// ReadCopy opens the copy at path and checks that it is of the environment that
// is called name and was read the same way.
func ReadCopy(ctx context.Context, path, token, name string, resolved bool) (Copy, error) {
	if err := CheckCopyPath(path); err != nil {
		return Copy{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return Copy{}, err
	}
	defer f.Close()
	file, err := io.ReadAll(io.LimitReader(f, maxCopy+1))
	if err == nil && len(file) > maxCopy {
		err = fmt.Errorf("it is larger than %d bytes", maxCopy)
	}
	var c Copy
	if err == nil {
		c, err = OpenCopy(ctx, file, token)
	}
	switch {
	case err != nil:
	case name != strconv.FormatUint(c.Environment, 10) && !strings.EqualFold(name, c.Name):
		err = fmt.Errorf("it is a copy of environment %d (%q)", c.Environment, c.Name)
	case resolved != c.Resolved:
		err = errors.New("its references are not as --resolve says")
	}
	if err != nil {
		return Copy{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
