package pki

import (
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coveydb/covey/internal/errs"
)

// maxFile bounds a file with certificates or keys.
const maxFile = 1 << 20

// Modes of files.
const (
	modeCert fs.FileMode = 0o644
	modeKey  fs.FileMode = 0o600
)

// LoadAuthority reads a CA from the files of its certificate and of its key. A
// key that others than its owner have access to is errs.Invalid, with what
// mends it.
func LoadAuthority(certPath, keyPath string) (*Authority, error) {
	cert, _, err := readFile(certPath)
	if err != nil {
		return nil, err
	}
	key, mode, err := readFile(keyPath)
	if err != nil {
		return nil, err
	}
	if mode.Perm()&0o077 != 0 {
		return nil, errs.E(errs.Invalid, "the CA's key %s has mode %04o: others than its owner have access to it, and whoever has it can join the cluster. Run: chmod 600 %s", keyPath, mode.Perm(), keyPath)
	}
	a, err := ParseAuthority(cert, key)
	if err != nil {
		return nil, errs.E(errs.KindOf(err), "CA %s and %s: %w", certPath, keyPath, err)
	}
	return a, nil
}

// ReadCertificates reads all certificates of a file, at least one.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	text, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := ParseCertificates(text)
	if err != nil {
		return nil, errs.E(errs.KindOf(err), "%s: %w", path, err)
	}
	return certs, nil
}

func readFile(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		kind := errs.Invalid
		if errors.Is(err, fs.ErrNotExist) {
			kind = errs.NotFound
		}
		return nil, 0, errs.E(kind, "%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errs.E(errs.Invalid, "%w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errs.E(errs.Invalid, "%s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, errs.E(errs.Invalid, "%w", err)
	}
	if len(text) > maxFile {
		return nil, 0, errs.E(errs.Invalid, "%s is larger than %d bytes", path, maxFile)
	}
	return text, info.Mode(), nil
}

// Save writes the pair to new files, the key first and with mode 0600. If one of
// them exists already it is errs.Exists, and nothing is written.
func (p Pair) Save(certPath, keyPath string) error {
	for _, path := range []string{keyPath, certPath} {
		if _, err := os.Lstat(path); err == nil {
			return exists(path)
		}
	}
	if err := Create(keyPath, p.Key, modeKey); err != nil {
		return err
	}
	if err := Create(certPath, p.Cert, modeCert); err != nil {
		return errors.Join(err, os.Remove(keyPath))
	}
	return nil
}

// Replace writes the pair over the files that are there, if any, the key first.
// Each file is whole at any time; who reads both in between finds that they do
// not fit together, and has to read again.
func (p Pair) Replace(certPath, keyPath string) error {
	if err := Replace(keyPath, p.Key, modeKey); err != nil {
		return err
	}
	return Replace(certPath, p.Cert, modeCert)
}

// Create writes a new file as a whole or not at all, and durably. One that
// exists is errs.Exists and stays as it is.
func Create(path string, text []byte, mode fs.FileMode) error {
	return place(path, text, mode, func(tmp string) error {
		// A link, unlike a rename, never replaces what is there.
		err := os.Link(tmp, path)
		if errors.Is(err, fs.ErrExist) {
			return exists(path)
		}
		return errors.Join(err, os.Remove(tmp))
	})
}

// Replace writes a file as a whole or not at all, and durably. What was there is
// gone.
func Replace(path string, text []byte, mode fs.FileMode) error {
	return place(path, text, mode, func(tmp string) error { return os.Rename(tmp, path) })
}

func exists(path string) error {
	return errs.E(errs.Exists, "%s exists already: nothing was written; choose another place, or move it away", path)
}

// place writes a temporary file beside path and has it moved there.
func place(path string, text []byte, mode fs.FileMode, move func(tmp string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return errs.E(errs.Invalid, "write %s: %w", path, err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = move(f.Name())
	}
	if err == nil {
		return syncDir(dir)
	}
	_ = os.Remove(f.Name()) // it may be gone already
	var ours *errs.Error
	if errors.As(err, &ours) {
		return err
	}
	return errs.E(errs.Internal, "write %s: %w", path, err)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return errs.E(errs.Internal, "write to %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return errs.E(errs.Internal, "write to %s: %w", dir, err)
	}
	return nil
}
