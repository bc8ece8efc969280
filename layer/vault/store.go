package vault

import (
	"github.com/coveydb/covey/internal/seal"
)

// Config is what an operator decides. Zero values are the defaults.
type Config struct {
	Keyring            *seal.Keyring // wraps data keys and tokens; nil: what needs it is errs.Unavailable
	ClosedRegistration bool          // accounts are made by the operator only
	ViewerExport       bool          // viewers may export
	AllowPrivate       bool          // webhooks may point into private networks, and without TLS
	PasswordCost       seal.Cost     // lower in tests only
}

// Store is the layer with its configuration. It holds no data but what it
// remembers of rows and keys. Safe for concurrent use.
type Store struct {
	cfg       Config
	rows      remembered
	dataKeys  unwrapped
	passwords *seal.Passwords
}

// New returns a Store.
func New(cfg Config) *Store { return &Store{cfg: cfg, passwords: seal.NewPasswords(cfg.PasswordCost)} }
