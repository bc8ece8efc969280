// Package admin serves the operator's API: health for load balancers and
// people, what the cluster knows of itself, the databases of documents with their
// keys, settings, collections and indexes, the accounts and audit logs of KeyNest,
// and the master keys with what they have sealed. Everything under /cluster needs
// the cluster's root key; health needs none and tells no secret. The text of an
// access key is answered once, to the request that creates it; of a master key
// only the id is shown.
//
// Answers are JSON, but for health, which is text. Errors are JSON of the form
// {"error":{"code":"not_found","message":"...","request_id":"..."}}. The API
// is not for browsers: it sends no CORS headers.
//
// The package never learns what a node is made of: it asks a Cluster.
package admin
