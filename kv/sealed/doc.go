// Package sealed knows everything in the store that the cluster's keyring has
// sealed, whichever layer put it there: how much of it is under which master
// key, and how to seal it anew under another one.
//
// Each layer offers its sealed things as Rows, and an Inventory is all of them.
// Count tells what is under which key. A Rewrapper on the node that leads seals
// everything under the primary key, in small commits beside the writers; how far
// it has come is in the store, so that the next leader goes on from there. It
// guards only the records that it changes, goes over everything again until
// there was nothing left to change, and counts and names what it could not open
// instead of stopping there.
//
// Nodes announce which keys they hold, so that an operator, and what promotes or
// drops a key for them, can see whether all have one before anything depends on
// it. Only ids are stored and shown. The package never stores a key, and what it
// decrypts lives no longer than it takes to encrypt it again.
//
// It knows of no layer, and nothing of nodes and leaders but their names.
package sealed
