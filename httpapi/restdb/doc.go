// Package restdb serves the RestDB API: collections of JSON documents behind
// keys, so that clients of the hosted service work unchanged. docs/restdb.md
// describes it for users.
//
// A request is parsed as a whole before it touches data: its path as it was
// sent, its query string with a splitter that loses nothing, its body. What is
// wrong with it is noted and told only behind the door, so that strangers learn
// nothing but that they are strangers. Then it becomes one View or one Update
// on layer/collection, and is rendered.
//
// Media files are the exception: they are streamed both ways, in chunks, and what
// they may take of a node at once is bounded (see layer/collection/media).
//
// Guarantees: a q that cannot be read never widens a request, least of all a
// deletion; success is answered only for a change that is durable on a quorum; a write under
// an Idempotency-Key takes effect once, through whatever node it is repeated;
// ids, times and date macros are fixed once, before the transaction; a page of a
// foreign origin may read an answer only if its key admits the origin; HEAD
// changes nothing; no key, token, query or document reaches a log, a metric or
// the text of an error.
//
// The package never decides who may do what, which is the layer's, and keeps no
// state but the counters of rate limits.
package restdb
