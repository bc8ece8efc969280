// Package kot serves the KOT API: databases of keys behind form posts, one
// password and fixed sentences, so that clients of `KOT api` work unchanged.
// docs/kot.md describes it for users.
//
// A request is checked in one order whatever it is: whether the API is on, the
// password, the path, the method, restriction, the body, the rate limit. Then
// it becomes one transaction on layer/database and is rendered. The table of
// endpoints in routes.go is all there is; a path is looked up as it was sent,
// never cleaned or redirected.
//
// Guarantees: a sentence of success is answered only for a change that is
// durable on a quorum; HEAD changes nothing; no name, key, value, encryption
// key or password reaches a log, a metric or an error's text, but for the
// messages that the log endpoints are there to print. What the real server does
// to its users' data by accident (files deleted by value, a database lost when
// it is renamed to nothing, restrictions passed by through /execute) has no way
// to happen here.
//
// The package never encrypts or compresses by itself and keeps no state but the
// counters of rate limits.
package kot
