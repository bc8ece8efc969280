// Package bucket is the data model of the KVdb API: buckets that hold keys,
// and the policy that says who may do what with them.
//
// A bucket has an id and a policy row: its default TTL, salted hashes of its
// secret, write and read key, and its signing key, sealed. Keys are byte
// strings of 1 to 128 bytes in byte order; a value is bytes, and is a number
// when its whole text is one JSON number. Everything is a function over a
// transaction (kv.Tx); nothing here does I/O or keeps state between
// transactions, and the time is the transaction's.
//
// # The door
//
// The only way to a bucket's data is Buckets.Open, which judges the caller's
// credential against the policy inside the transaction: the policy is data,
// what was read of it is guarded, and so a write that is acknowledged was
// allowed by the policy at the moment it was committed. Each method of a
// Bucket checks the caller's rights again, so a Bucket that was opened to read
// cannot write. Checks come in the order bucket, credential, policy,
// parameters; a caller that parses parameters before the transaction keeps the
// error and returns it after Open. A stale read judges by the policy of the
// state that it reads.
//
// A Watch is the one right that outlives its transaction. It says what to follow
// in a feed, and reads its events; the policy row is among what it follows, so
// that a watcher learns when its caller must be judged anew.
//
// # Before the transaction
//
// A closure may run several times, so randomness and encryption belong before
// it: Buckets.Draft prepares a creation, Buckets.Change a change of policy.
// Hashing a key needs the bucket's salt and happens inside; it is a fast,
// pure function.
//
// # Guarantees
//
// Deleting a bucket is one span delete and the removal of its policy row, in
// one commit, however large the bucket is. A write that opened the bucket
// before cannot land after it, because it has read the policy row; so a
// bucket created again under the same id begins empty.
//
// Values come back byte for byte. Keys and tokens never appear in an error, in
// a log line or in the store as plain text. An access token is valid in one
// bucket only, and all of a bucket's tokens die with its signing key.
package bucket
