// Package query is the query language of the RestDB API: what a query and its
// hints mean, and whether a document matches. It is pure: it reads no store and
// no clock, and the only state that it has is what was parsed.
//
// A Query is parsed once and then run on the stored bytes of documents, without
// decoding them and, for plain conditions, without allocating. Bounds tells a
// planner what the query implies about single fields; the query itself always
// decides.
//
// # Matching
//
// All members of a query have to be met. A path goes into objects and through
// arrays (see Path), and a condition is met if one of the values that the path
// reaches meets it; an array at the end of the path counts as itself and as each
// of its members. $ne, $nin and $not are met where the operator that they negate
// is not, so a missing field meets them. A missing field is null for equality:
// {"f":null} matches it and {"f":{"$not":null}} means present and not null.
//
// Values are compared within one type only: {"$gt":5} is never met by a text.
// Numbers are float64, so 1 is 1.0. Texts compare by their bytes. Objects are
// equal whatever the order of their members. A $date compares with texts that
// are dates of ISO 8601, as times; without a $date they are texts.
//
// $size, $exists and $elemMatch are about the value at the end of the path and
// not about members of it. $bt takes both ends in and, other than $gte and $lte
// together, wants one member of an array to be within.
//
// # Safety
//
// What a client sends is bounded in size, depth and the cost of its patterns,
// which are RE2. What is not understood is refused: to ignore a condition would
// widen a delete.
package query
