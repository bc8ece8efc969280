package backup

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/coveydb/covey/internal/errs"
)

const ageMagic = "age-encryption.org/v1"

// maxKeyFile bounds a file of recipients, identities or a passphrase.
const maxKeyFile = 1 << 20

// Recipients reads those for whom backups are encrypted, as the age tool's -R
// does: one a line, as age1..., empty lines and those that begin with # are
// skipped.
func Recipients(r io.Reader) ([]age.Recipient, error) {
	all, err := age.ParseRecipients(io.LimitReader(r, maxKeyFile))
	if err != nil {
		return nil, errs.E(errs.Invalid, "age recipients: %w", err)
	}
	return all, nil
}

// Identities reads the secret keys that open backups, as age-keygen writes them.
// Its errors never hold a key.
func Identities(r io.Reader) ([]age.Identity, error) {
	all, err := age.ParseIdentities(io.LimitReader(r, maxKeyFile))
	if err != nil {
		// age's own error quotes the line that it cannot read.
		return nil, errs.E(errs.Invalid, "age identities: a line is no secret key (AGE-SECRET-KEY-...), or there is none")
	}
	return all, nil
}

// Passphrase reads a passphrase, the first line of r, and returns it as the one
// recipient of a backup, and as what opens it. It costs a second of computing by
// design, at encryption and at decryption.
func Passphrase(r io.Reader) (age.Recipient, age.Identity, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxKeyFile)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	phrase := strings.TrimRight(line, "\r\n")
	if phrase == "" {
		return nil, nil, errs.E(errs.Invalid, "the passphrase is empty")
	}
	to, err := age.NewScryptRecipient(phrase)
	if err != nil {
		return nil, nil, errs.E(errs.Internal, "age: %w", err)
	}
	id, err := age.NewScryptIdentity(phrase)
	if err != nil {
		return nil, nil, errs.E(errs.Internal, "age: %w", err)
	}
	return to, id, nil
}

// Encrypt returns a writer that encrypts to w for all of to, of which there is
// at least one. Only after its Close w holds a file that can be decrypted; Close
// does not close w.
func Encrypt(w io.Writer, to ...age.Recipient) (io.WriteCloser, error) {
	e, err := age.Encrypt(w, to...)
	if err != nil {
		return nil, errs.E(errs.Invalid, "age: %w", err)
	}
	return e, nil
}

// Open returns the backup in r, decrypted if it is encrypted, and whether it was.
// One of ids must open it then, else the error's cause is ErrEncrypted. Errors of
// a file that is damaged come from the returned reader.
func Open(r io.Reader, ids ...age.Identity) (plain io.Reader, encrypted bool, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(len(ageMagic))
	if err != nil && !ended(err) {
		return nil, false, err
	}
	if !bytes.Equal(head, []byte(ageMagic)) {
		return br, false, nil
	}
	if len(ids) == 0 {
		return nil, true, refuse(ErrEncrypted, "none was given")
	}
	d, err := age.Decrypt(br, ids...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, true, refuse(ErrEncrypted, "what was given does not open it")
	case err != nil && ended(err):
		return nil, true, refuse(ErrTruncated, "it ends in its age header")
	case err != nil:
		return nil, true, refuse(ErrDamaged, "%v", err)
	}
	return decrypted{d}, true, nil
}

// decrypted gives the errors of age's payload this package's causes.
type decrypted struct{ r io.Reader }

// Read implements io.Reader.
func (d decrypted) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // io.EOF itself is the end; wrapped it is a file that is cut
	case ended(err):
		err = refuse(ErrTruncated, "its last encrypted block is missing")
	default:
		err = refuse(ErrDamaged, "it does not decrypt: %v", err)
	}
	return n, err
}
