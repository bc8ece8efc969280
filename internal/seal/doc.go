// Package seal encrypts small secrets before they enter the replicated log,
// so that log, snapshots and backups hold ciphertext only.
//
// A Keyring is a file with one or more AES-256 keys, each with an id, and the
// id of the primary one. Seal uses the primary key; Open finds the key by the
// id in the sealed bytes, so a new primary can be added while old keys still
// open what they have sealed. All nodes of a cluster need the same keyring.
//
// Sealed bytes are bound to a place, such as a bucket's id and a field's name:
// bytes copied to another place do not open. Sealing is authenticated
// (AES-256-GCM with a random nonce); a changed byte is an error, never a wrong
// plaintext.
//
// Where the key is a caller's and not the cluster's, Passphrases derives one
// from the caller's text and a stored salt, slowly, so that a weak text is not
// guessed from what is stored.
//
// The package never logs, and its errors never hold a key or a plaintext. It
// replaces a keyring file only where it is asked to, and as a whole.
//
// The format that a Keyring seals: one byte for the format (1), one for the length of the key
// id, the id, a nonce of 12 bytes, and the ciphertext with its tag of 16 bytes.
// Everything before the nonce is authenticated together with the place. That of
// a PassphraseKey: one byte for the format (1), 32 random bytes, the ciphertext
// and its tag; key and nonce are derived from the random bytes, which are
// authenticated together with the place.
package seal
