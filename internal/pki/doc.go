// Package pki makes and reads the certificates of a cluster: a private CA, and
// the certificates of nodes and of clients that it signs. It stands on
// crypto/x509 alone; keys are ECDSA on P-256.
//
// A certificate made here says whose it is in a URI among its alternative
// names: covey://node/ID for a node, which may serve and dial, or
// covey://client/NAME for a client, which may only dial. So a node can be held
// to its id wherever its address moves, and a client's certificate of the same
// CA never opens the port of nodes. Identify reads that name. Certificates of
// other tools have none, and prove a host as usual.
//
// It guarantees that a certificate never outlives the CA that signed it, that a
// request for one decides nothing but the public key, that a file which is there
// is never overwritten unless Replace is called, and that keys are written with
// mode 0600, as a whole or not at all. A CA's key that others than its owner may
// read is refused.
//
// It never logs, its errors never hold a key, and it never reaches the network:
// there are no revocation lists. A certificate is withdrawn by its end, or by a
// new CA.
package pki
