// Package vault is the data model of the KeyNest API: users, organizations with
// members and roles, projects, environments, and variables whose values are
// sealed.
//
// # The door
//
// Store.As judges a token inside the transaction and gives a Session, and only
// a Session reaches data. Its methods check the caller's role again, in the
// same transaction: what they read for that is guarded, so a write that is
// acknowledged was allowed when it was committed. What does not exist and what
// the caller may not know of are the same errs.NotFound.
//
// # Secrets
//
// Values are encrypted before they are proposed, under a data key of their
// organization, bound to organization, environment and key. Data keys and
// access tokens are wrapped by the cluster's keyring. Log, state, snapshots and backups
// hold ciphertext only.
//
// # Versions
//
// Each change of a variable's value or key is a version of it. The last ones
// are kept as they were, sealed for the key that they had; those of a deleted
// variable for KeepDeleted. They are found by the variable's id, so that no
// change of key touches them, and they tell what an environment was at a time.
// Nothing of them is read where only present values are asked for.
//
// # Audit
//
// What is to be recorded is recorded in the transaction that does it. The
// entries of an organization are a hash chain, which only grows, so all its
// changes exclude each other: a Recorder takes those of a node in turns.
//
// # Webhooks
//
// Those of an organization are told of a change in the transaction that makes it,
// through kv/outbox, and never of a value. Store.Hooks makes what waits for them
// messages, and keeps the log of what became of each.
//
// Everything is a function over a transaction (kv.Tx); nothing in one draws
// randomness, looks at a clock or hashes a password.
package vault
