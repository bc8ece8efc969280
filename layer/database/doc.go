// Package database is the data model of the KOT API: named databases that hold
// values by key.
//
// A name is a row that points to a place: sixteen random bytes under which the
// database's keys live, and a salt for its encryption keys. So to rename a
// database is to move one row, to empty it is one span delete, and to remove it
// is both, each one commit whose cost does not depend on how much the database
// holds. Places are drawn before the transaction and never used again.
//
// Names and keys are any text of up to MaxName bytes, the empty one included.
// They are bytes of a store key and nothing else: no name is ever a path.
//
// # The door
//
// KOT has one password for everything, which is configuration and not data. It
// is checked before a transaction begins; there is no policy to guard here.
//
// # Values
//
// A Codec packs a value into the bytes that are stored: its kind, compressed
// with zstd on wish, then sealed on wish with a key that is derived from the
// caller's encryption key and the place's salt. The encryption key is part of
// no command, and sealed bytes are bound to place and key, so they open nowhere
// else; a renamed database keeps its place, so its values go on to open.
// Packing is slow and random and so belongs before a transaction. The salt
// must then be known before it: the caller looks the place up, packs, and
// checks in the transaction that the database is still at that place.
//
// # Guarantees
//
// Every function over a transaction is one atomic change together with what
// else the transaction does. A write that opened a database before it was
// renamed or removed cannot land in it afterwards, because it has read the row
// of its name.
package database
