// Package dial says which addresses may be dialled for those who name the
// target: users and operators of databases, not the operator of the node. It
// judges addresses and not names, after names are resolved and for every
// connection, so that a name which resolves to another address later, or a
// redirect, does not get past it. It never resolves or dials anything itself.
package dial

import (
	"errors"
	"syscall"

	"code.dny.dev/ssrf"
)

// Control looks at an address before it is dialled, and refuses it with an
// error; it is made for the Control field of a net.Dialer.
type Control = func(network, address string, c syscall.RawConn) error

// Guard refuses what is not the public internet, and ports other than 80 and
// 443. With all it is nil, which refuses nothing.
func Guard(all bool) Control {
	if all {
		return nil
	}
	return ssrf.New().Safe
}

// Refused reports whether err says that a Guard did not let an address be
// dialled.
func Refused(err error) bool {
	for _, cause := range []error{ssrf.ErrProhibitedIP, ssrf.ErrProhibitedPort, ssrf.ErrProhibitedNetwork, ssrf.ErrInvalidHostPort} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}
