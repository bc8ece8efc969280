package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

const (
	maxFile = 1 << 20
	maxKeys = 1000
)

// file is the keyring file's JSON.
type file struct {
	Primary string    `json:"primary"`
	Keys    []fileKey `json:"keys"`
}

type fileKey struct {
	ID      string    `json:"id"`
	Key     []byte    `json:"key"` // base64
	Created time.Time `json:"created,omitzero"`
}

// Load reads the keyring file at path. A file that group or others may read
// or write is refused, as is one that holds no usable primary key
// (errs.Invalid); a missing one is errs.NotFound.
func Load(path string) (*Keyring, error) {
	f, err := readFile(path)
	if err != nil {
		return nil, err
	}
	k, err := f.keyring()
	if err != nil {
		return nil, errs.E(errs.Invalid, "keyring file %s: %w", path, err)
	}
	k.path = path
	return k, nil
}

// Parse makes a keyring of the content of a keyring file, for where that comes
// from somewhere else. It does not change. What is no such content is
// errs.Invalid.
func Parse(text string) (*Keyring, error) {
	f, err := decodeFile([]byte(text))
	if err != nil {
		return nil, errs.E(errs.Invalid, "keyring: %w", err)
	}
	k, err := f.keyring()
	if err != nil {
		return nil, errs.E(errs.Invalid, "keyring: %w", err)
	}
	return k, nil
}

// readFile returns the content of a keyring file that is a sound one.
func readFile(path string) (*file, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.E(errs.NotFound, "keyring file %s does not exist", path)
	}
	if err != nil {
		return nil, errs.E(errs.Invalid, "keyring file: %w", err)
	}
	defer f.Close()
	// The open file is asked, not the path, so that the file that is checked
	// is the one that is read.
	info, err := f.Stat()
	if err != nil {
		return nil, errs.E(errs.Invalid, "keyring file: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() {
		return nil, errs.E(errs.Invalid, "keyring file %s is not a regular file", path)
	} else if mode.Perm()&0o077 != 0 {
		return nil, errs.E(errs.Invalid, "keyring file %s has mode %04o: others than its owner have access; run chmod 600 on it", path, mode.Perm())
	}
	p, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, errs.E(errs.Invalid, "keyring file: %w", err)
	}
	content, err := decodeFile(p)
	if err != nil {
		return nil, errs.E(errs.Invalid, "keyring file %s: %w", path, err)
	}
	return content, nil
}

// decodeFile never puts a decoder's error in its own: those may quote the input.
func decodeFile(p []byte) (*file, error) {
	f := new(file)
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	if len(p) > maxFile || d.Decode(f) != nil || d.Decode(&struct{}{}) != io.EOF {
		return nil, errors.New(`not a JSON object of the form {"primary":ID,"keys":[{"id":ID,"key":BASE64}]}`)
	}
	if len(f.Keys) > maxKeys {
		return nil, errors.New("holds too many keys")
	}
	return f, nil
}

// keyring checks the keys and makes a keyring of them.
func (f *file) keyring() (*Keyring, error) {
	keys := make(map[string][]byte, len(f.Keys))
	for _, k := range f.Keys {
		if !validID(k.ID) {
			return nil, errors.New("a key's id is not 1 to 32 letters, digits, - or _")
		}
		if len(k.Key) != keySize {
			return nil, errors.New("key " + k.ID + " is not 32 bytes long")
		}
		if _, twice := keys[k.ID]; twice {
			return nil, errors.New("key " + k.ID + " is there twice")
		}
		keys[k.ID] = k.Key
	}
	if _, ok := keys[f.Primary]; !ok {
		return nil, errors.New("the primary key is not among the keys")
	}
	return newKeyring(f.Primary, keys)
}

// Create draws a key, writes a keyring file of mode 0600 that holds only it,
// and returns the keyring. An existing file is errs.Exists and stays as it is.
func Create(path string) (*Keyring, error) {
	k := drawKey()
	f := &file{Primary: k.ID, Keys: []fileKey{k}}
	err := writeNew(path, func() ([]byte, error) { return encodeFile(f) })
	if errors.Is(err, fs.ErrExist) {
		return nil, errs.E(errs.Exists, "keyring file %s exists already", path)
	} else if err != nil {
		return nil, fileError(err)
	}
	ring, err := f.keyring()
	if err == nil {
		ring.path = path
	}
	return ring, err
}
