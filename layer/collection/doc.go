// Package collection is the data model of the RestDB API: databases of
// collections that hold JSON documents, found by a query language, kept to
// schemas and indexes, and guarded by keys, roles and scopes.
//
// # The door
//
// A request enters with Store.Enter, which decides by key or JWT what the
// caller may do and gives a Session; Session.Collection opens a collection for
// one need. Both read what they decide by inside the transaction, so a write
// that began before a key was revoked, a role was taken away or a schema
// changed does not commit after it. There is no other way to documents but
// Store.Operator, for the holder of the cluster's root key.
//
// # Documents
//
// A document is one compact JSON object: _id, the client's fields in the order
// in which they were sent, _parent_*, and a tail of metafields. Numbers and
// texts are kept as they were written. The record is a format byte, where the
// tail begins, and that text, so that the common answer, without metafields, is
// the stored bytes and a brace. _keywords and _tags are derived when they are
// asked for and never stored.
//
// What the client sent is parsed, checked and bounded before the transaction
// (ParseDrafts, ParseChange); times are drawn there too, and ids are completed
// by the first run of the transaction. Metafields that clients send are ignored,
// but for _id and _parent_* of new documents; so are the values of auto-increment
// fields.
// Duplicate members, texts that are not UTF-8, numbers that no float64 holds
// and more than 100 objects and arrays in each other are refused at every
// depth: a document means the same to all who read it.
//
// # Guarantees
//
// Insert, Update, Delete and Clear are each one atomic change of documents,
// index entries, the collection's counter and auto-increment numbers, together
// with what else the transaction does. Updates of one document are serial: no
// operator is lost, _version counts each. Unique values are unique in every
// committed state. The counter is kept by additions that read nothing, so
// inserts into one collection do not conflict; those that use an
// auto-increment field do, because numbers are given out without gaps among
// what is committed.
//
// # Schemas
//
// With a schema, what is written is brought into the form of its types (lookups
// become arrays of ids, dates ISO texts in UTC, money two decimals), formulas
// are computed, and what does not fit is a *ValidationError, always for the
// whole document. A schema says nothing about documents that were stored before
// it.
//
// # Webhooks
//
// What a write does is told to the webhooks of its database, through kv/outbox:
// the message is committed with the write or not at all. Store.Hooks makes it the
// body of a request.
//
// # What it never does
//
// It knows no HTTP, runs no code of clients, and does no I/O but through its
// transaction, with one exception that is made before one: fetching a JWKS.
// DESIGN.md tells how queries find their documents.
package collection
