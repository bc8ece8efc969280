package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Client is who makes a request, as far as the protocol knows it.
type Client struct {
	IP   string // for the audit log
	Draw Draw   // of a request that changes something

	// Admit is asked once, in a transaction that comes to hold more than 1 MiB of
	// clear values, and told how many bytes of them there may be. Its error is the
	// transaction's. Nil admits everybody.
	Admit func(most int) error
}

// A Session is a user or a service token that the door has let in, in one
// transaction. All access to data goes through one.
type Session struct {
	store   *Store
	tx      *kv.Tx
	user    uint64   // 0: a service token, see needUser
	row     *userRow // the user's, not to be changed; empty for a service token
	service *service // nil: a user
	ip      string
	byOp    bool // it is the cluster's operator who acts, for the user
	draw    Draw
	drawn   uint64 // how many random values were made up
	admit   func(most int) error
	held    int // bytes of clear values, see hold

	references *resolver // nil: values are shown as they are stored

	told int // bytes of what webhooks are told, see tell

	trimSpans, trimOps int // see trimVersions

	readings []Reading // see Readings
	last     openKey   // the data key that was last used
}

// tokenSize is that of a token in bytes; its text has twice as many digits.
const tokenSize = 20

// Texts of errors at the door.
const (
	textInvalidToken = "Invalid token."
	textDisabled     = "Account is disabled"
)

// As lets the user in whose token is given, or a service token, as of this
// transaction: what it reads for that is guarded, so a logout or a password change
// meanwhile undoes the write. A token that is missing, unknown or revoked, and that of a
// disabled account, is errs.Unauthenticated; see Refused for service tokens.
func (s *Store) As(tx *kv.Tx, cred auth.Credential, who Client) (*Session, error) {
	if strings.HasPrefix(cred.Value, ServicePrefix) {
		return s.asService(tx, cred.Value, who)
	}
	hash, ok := hashToken(cred.Value)
	if !ok {
		return nil, errs.E(errs.Unauthenticated, textInvalidToken)
	}
	rec, ok, err := tx.Get(tokenKey(hash))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errs.E(errs.Unauthenticated, textInvalidToken)
	}
	id, err := decodeID(rec.Value)
	if err != nil {
		return nil, err
	}
	row, err := s.userByID(tx, id)
	if err != nil {
		return nil, err
	}
	if row == nil || row.Disabled {
		return nil, errs.E(errs.Unauthenticated, textInvalidToken)
	}
	return s.session(tx, id, row, who), nil
}

// session is a Session of a user whom somebody has let in.
func (s *Store) session(tx *kv.Tx, id uint64, row *userRow, who Client) *Session {
	return &Session{store: s, tx: tx, user: id, row: row, ip: who.IP, draw: who.Draw, admit: who.Admit}
}

// hashToken returns what a token is looked up by. Tokens are random, so a hash
// without salt is enough, and looking one up tells by its time at most
// something of the hash.
func hashToken(text string) ([]byte, bool) {
	p, err := hex.DecodeString(text)
	if err != nil || len(p) != tokenSize {
		return nil, false
	}
	hash := sha256.Sum256(p)
	return hash[:], true
}

// Tx returns the transaction that the Session belongs to.
func (s *Session) Tx() *kv.Tx { return s.tx }

// now is the transaction's time in unix seconds, as rows hold it.
func (s *Session) now() int64 { return s.tx.Now() / 1000 }

// giveToken makes up a token for a user and adds it to the row, which the
// caller stores.
func (s *Session) giveToken(row *userRow) (string, error) {
	if err := s.store.needKeyring(); err != nil {
		return "", err
	}
	p, err := s.random()
	if err != nil {
		return "", err
	}
	p = p[:tokenSize]
	sealed, err := s.store.cfg.Keyring.SealFrom(s.draw.seed, p, tokenPlace(row.UID))
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(p)
	row.Token, row.TokenHash = sealed, hash[:]
	s.tx.Set(tokenKey(hash[:]), encodeID(s.user), 0)
	return hex.EncodeToString(p), nil
}

// takeToken removes the token of a user from the row, which the caller stores.
func takeToken(tx *kv.Tx, row *userRow) {
	if row.TokenHash != nil {
		tx.Delete(tokenKey(row.TokenHash))
	}
	row.Token, row.TokenHash = nil, nil
}

// token returns the token of a user: the one there is, or a new one, which
// changes the row.
func (s *Session) token(row *userRow) (string, error) {
	if row.Token == nil {
		return s.giveToken(row)
	}
	p, err := s.store.cfg.Keyring.Open(row.Token, tokenPlace(row.UID))
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(p), nil
}
