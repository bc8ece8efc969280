package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// AuditEntry is one entry of the audit log. It is stored, exported and hashed
// as its JSON in one line, with the fields in this order and nothing escaped
// that JSON does not ask for.
type AuditEntry struct {
	Chain        string          `json:"chain"`     // o and the organization's id, or u and the user's
	Number       uint64          `json:"number"`    // within the chain, from 1, without gaps
	ID           uint64          `json:"id"`        // unlike that of any other entry
	Timestamp    string          `json:"timestamp"` // UTC, RFC 3339, whole seconds; never before that of the entry before
	User         uint64          `json:"user"`      // 0: no user did it
	UserName     string          `json:"user_name"` // as they were then
	UserEmail    string          `json:"user_email"`
	ServiceToken uint64          `json:"service_token,omitempty"` // which did it, 0 for others
	Action       string          `json:"action"`                  // variable_created
	Verb         string          `json:"verb"`                    // create
	TargetType   string          `json:"target_type"`
	TargetID     uint64          `json:"target_id"`
	Details      json.RawMessage `json:"details"` // an object
	IPAddress    string          `json:"ip_address"`
	Hash         string          `json:"hash,omitempty"` // hex; see link
}

// line is the entry as one line of JSON, without the line's end.
func (e AuditEntry) line() ([]byte, error) { return plainJSON(e) }

// link returns the hash of an entry that follows one with the hash prev: the
// SHA-256 of prev's bytes and the entry's line without its own hash.
func (e AuditEntry) link(prev [sha256.Size]byte) ([sha256.Size]byte, error) {
	e.Hash = ""
	line, err := e.line()
	if err != nil {
		return prev, err
	}
	return sha256.Sum256(append(prev[:], line...)), nil
}

// chain names the entries of one organization or account.
type chain struct {
	kind byte
	id   uint64
}

const (
	organizationChain = 'o'
	accountChain      = 'u'
)

func (c chain) String() string { return string(c.kind) + strconv.FormatUint(c.id, 10) }

// parseChain reads what String writes.
func parseChain(name string) (chain, bool) {
	if len(name) < 2 || name[0] != organizationChain && name[0] != accountChain {
		return chain{}, false
	}
	id, err := strconv.ParseUint(name[1:], 10, 64)
	c := chain{name[0], id}
	return c, err == nil && c.String() == name
}

// root is the hash before a chain's first entry. It is the chain's own, so
// that the entries of one do not verify as those of another.
func root(chain string) [sha256.Size]byte { return sha256.Sum256([]byte("covey audit chain " + chain)) }

// prefix begins the keys of the chain's entries.
func (c chain) prefix() []byte {
	return tuple.AppendUint(append(key(auditByte, 19), c.kind), c.id)
}

func (c chain) entryKey(number uint64) []byte { return tuple.AppendUint(c.prefix(), number) }

func (c chain) headKey() []byte { return tuple.AppendUint(append(key(headByte, 10), c.kind), c.id) }

// headRow is the end of a chain, and the ids that its next entries get. Ids are
// taken many at a time, so that chains seldom wait for each other.
type headRow struct {
	Number    uint64 `json:"number"`
	Hash      string `json:"hash"`
	Timestamp string `json:"timestamp"`
	NextID    uint64 `json:"next_id"`
	LastID    uint64 `json:"last_id"`
}

// idRange is how many ids a chain takes at once.
const idRange = 100

// head returns the end of the chain, as a row that is the caller's.
func (c chain) head(tx *kv.Tx) (*headRow, error) {
	head, err := readRow[headRow](tx, c.headKey())
	if head == nil && err == nil {
		r := root(c.String())
		head = &headRow{Hash: hex.EncodeToString(r[:]), NextID: 1}
	}
	return head, err
}

// append gives e its place at the end of the chain and stores it. The head is
// guarded: of two who append at once, one does it again.
func (c chain) append(tx *kv.Tx, e *AuditEntry) error {
	head, err := c.head(tx)
	if err != nil {
		return err
	}
	if head.NextID > head.LastID {
		if err := head.takeIDs(tx); err != nil {
			return err
		}
	}
	prev, err := parseHash(head.Hash)
	if err != nil {
		return err
	}
	e.Chain, e.Number, e.ID = c.String(), head.Number+1, head.NextID
	e.Timestamp = max(e.Timestamp, head.Timestamp) // a new leader's clock may be behind
	sum, err := e.link(prev)
	if err != nil {
		return err
	}
	e.Hash = hex.EncodeToString(sum[:])
	line, err := e.line()
	if err != nil {
		return err
	}
	head.Number, head.Hash, head.Timestamp = e.Number, e.Hash, e.Timestamp
	head.NextID++
	tx.Set(c.entryKey(e.Number), line, 0)
	tx.Set(c.headKey(), encode(head), 0)
	return nil
}

// takeIDs takes the next ids for a chain.
func (h *headRow) takeIDs(tx *kv.Tx) error {
	k := byText(idByte, "audit")
	last, err := readNumber(tx, k)
	if err != nil {
		return err
	}
	h.NextID, h.LastID = last+1, last+idRange
	tx.Set(k, strconv.AppendUint(nil, h.LastID, 10), 0)
	return nil
}

func parseHash(text string) (sum [sha256.Size]byte, err error) {
	p, err := hex.DecodeString(text)
	if err != nil || len(p) != len(sum) || hex.EncodeToString(p) != text {
		return sum, errs.E(errs.Invalid, "audit: a hash must have %d hexadecimal digits in lower case", 2*len(sum))
	}
	return [sha256.Size]byte(p), nil
}
