// Package auth holds what every door of Covey needs to judge a credential: a
// Credential that cannot be printed, salted hashes of keys, and the cluster's
// root key.
//
// It guarantees that comparisons take a time that does not depend on the
// secret, and that formatting or logging a value of this package never shows
// one. The hash is a fast one, made for long random keys: a key chosen by a
// person is only as safe from somebody who holds the data folder as it is hard
// to guess. Passwords need a slow hash, which does not belong on a path that
// every request takes.
//
// It never decides who may do what (layers do, inside their transactions) and
// never reads requests or files.
package auth
