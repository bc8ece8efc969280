// Package admin serves the operator's API: health for load balancers and
// people, what the cluster knows of itself, the databases of documents with their
// keys, settings, collections and indexes, the accounts and audit logs of KeyNest,
// the master keys with what they have sealed, and the keys of the cluster itself:
// join tokens, its CA, gossip keys and root keys. Everything under /cluster needs
// a root key, but for /cluster/join, which takes a join token; health needs none
// and tells no secret. A node that is behind learns what became of a root key
// before it judges it, or says that it cannot. The text of an access key, a token
// and a root key is answered once, to the request that creates it; of master keys
// and gossip keys only names are shown, and gossip keys go to nodes that may join.
//
// Answers are JSON, but for health, which is text. Errors are JSON of the form
// {"error":{"code":"not_found","message":"...","request_id":"..."}}. The API
// is not for browsers: it sends no CORS headers.
//
// The package never learns what a node is made of: it asks a Cluster.
package admin
