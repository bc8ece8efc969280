// Package backup is the format of a backup: one file that holds the whole state
// of a cluster at one version.
//
//	magic "COVEYBACKUP", format byte
//	length of the header (4, little endian), header (JSON), CRC32C of all so far (4)
//	frames: length (4), bytes of the state stream as package fsm writes it
//	a frame of length 0 ends them; then the SHA-256 of everything before it (32)
//
// An encrypted backup is such a file inside age (age-encryption.org/v1), so that
// the age tool opens it too.
//
// What is guaranteed: a file that was read to its end without an error is, byte
// for byte, what Write wrote. A byte that was flipped, lost or added anywhere is an
// error, and the error tells a damaged file from one that is cut, from one that
// is no backup, and from one that a newer release wrote. Nothing is held in
// memory but a frame. What is never done: to open a connection or a file, to know
// of a node, or to look into a record.
//
// The file holds what the state holds: secrets as ciphertexts, and hashes. The
// keyring that opens them, certificates and the root key are not in it.
package backup
