// Package smtp hands single mails to a relay, which delivers them.
//
// A mail is accepted whole or not at all: Send returns nil once the relay has
// taken the responsibility for it, and then only. An *Error says whether trying
// again makes sense. Each mail has a connection of its own that ends with it, so
// a relay that hangs holds up one Send until its time is over, and nothing
// else.
//
// Connections are encrypted and the relay's certificate is checked, unless the
// relay is on this machine or the operator says otherwise. A password never
// leaves unencrypted but to this machine, and never stands in an error.
//
// It never decides what is sent to whom, keeps nothing, and does not retry.
package smtp
