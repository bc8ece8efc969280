// Package client talks to a Covey cluster over HTTP: the KVdb API, the
// KOT API, the KeyNest API and the operator's part of the admin API.
//
// It holds a list of endpoints and stays with one as long as that one answers.
// When an endpoint cannot be reached or answers 502, 503 or 504 the call moves
// to the next, and after a full round it waits a little. Every write of the KVdb
// and KeyNest APIs carries an Idempotency-Key that is the same for all its
// tries, so a repeat is never applied twice; those of the KOT API have the same
// effect when they are applied again. A write that was sent and never answered
// is reported as ErrUnknown, never as a success and never as a plain failure.
//
// It never logs, never follows redirects, never puts a credential into an
// error, and never retries an answer that a repeat cannot change (4xx, 500). The
// one 4xx that time changes, 429, is tried again by Nest, when the node says.
package client
