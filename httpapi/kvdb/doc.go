// Package kvdb serves the KVdb API: buckets and keys at the root of the path,
// in plain text, so that clients of the hosted service work unchanged. It is
// also Covey's own key-value API, by extensions that such clients never
// notice: consistency levels, Idempotency-Key, entity tags, chosen bucket ids,
// and watches, which stream what changes.
// docs/kvdb.md describes both for users.
//
// A request is parsed, becomes one transaction on layer/bucket, and is
// rendered. Checks come in the contract's order: OPTIONS, rate limit, bucket,
// method, credential, policy, parameters. Since the first three of a bucket's
// checks need the data, a problem with the parameters is noted when it is met
// and reported inside the transaction, past the door.
//
// Guarantees: a success is answered only for a change that is durable on a
// quorum; an error's body is the plain reason phrase and its detail is the
// header Covey-Reason; nothing a client stored can run as a page; no
// credential reaches a log or an answer. The package never decides who may do
// what, and never parses the body of a key.
package kvdb
