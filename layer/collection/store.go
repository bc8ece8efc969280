package collection

import (
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/dial"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv/memo"
)

// Config is what an operator decides about the documents of all databases.
// Zero values are the defaults.
type Config struct {
	Keyring      *seal.Keyring // seals the secrets among the settings; nil: those cannot be set
	DefaultKey   *auth.RootKey // full access to the default database; nil: only keys that were created
	NoAutoCreate bool          // collections are created by the operator only
	AllowPrivate bool          // outgoing calls may be plain and go to private addresses

	MaxDocument int // bytes of one stored document; 0 = 8 MiB
	MaxExamined int // documents that one request may look at; 0 = 2,000,000
	MaxResult   int // bytes of documents that one request may answer; 0 = 64 MiB
}

// DefaultDatabase is the database that requests mean unless their host names
// another or the operator has chosen another. It is always there.
const DefaultDatabase = "default"

// Store is the layer with its configuration. It holds no data but what it
// remembers of rows. Safe for concurrent use.
type Store struct {
	cfg       Config
	rows      rows
	clusters  memo.Rows[clusterRow]
	databases memo.Rows[databaseRow]
	keys      memo.Rows[accessRow]
	tokens    memo.Rows[jwtRow]
	hooks     memo.Rows[hookRow]
	catalogs  catalogs
	issuers   *issuers
	ids       *idSource
}

// New returns a Store.
func New(cfg Config) *Store {
	if cfg.MaxDocument <= 0 {
		cfg.MaxDocument = 8 << 20
	}
	if cfg.MaxExamined <= 0 {
		cfg.MaxExamined = 2_000_000
	}
	if cfg.MaxResult <= 0 {
		cfg.MaxResult = 64 << 20
	}
	return &Store{cfg: cfg, issuers: newIssuers(dial.Guard(cfg.AllowPrivate), cfg.AllowPrivate), ids: newIDs()}
}
