// Package fleet is what operators keep in the cluster about the cluster itself:
// tokens with which new nodes join, the authority that signs their certificates,
// the keys that encrypt gossip, the root keys, and what is wanted of the
// membership.
//
// All of it is rows of the replicated state, changed in transactions, so every
// node has the same and a change is never half done: a token is redeemed once
// though two nodes present it at the same moment, and a key is dropped on all
// nodes or on none.
//
// Secrets that nodes must read (the authority's key, gossip keys) are sealed by
// the cluster's keyring and named to package kv/sealed, so that they are sealed
// anew with everything else. Secrets that are only compared (tokens, root keys)
// are kept as hashes. A row about gossip keys names its cluster: one that a
// backup brought into another cluster counts for nothing there.
//
// The package never draws a secret inside of a transaction, never signs a
// certificate, never logs, and knows nothing of nodes but their names. What a
// gossip key is called is its caller's business.
package fleet
