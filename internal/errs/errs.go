// Package errs names the kinds of failure that Covey knows.
//
// A layer says what went wrong with E; the HTTP plumbing turns the Kind into a
// status, the command line into an exit code, and the peer protocol into one
// byte and a message. A Kind says what the caller can do about a failure, not
// where it happened.
package errs

import (
	"errors"
	"fmt"
)

// Kind classifies a failure by what its caller can do about it. The numbers
// travel between nodes: never renumber, only append.
type Kind uint8

const (
	Internal        Kind = iota // a fault of ours; the text is for the operator, not for the client
	Invalid                     // the request can never succeed as it is
	Unauthenticated             // the credential is wrong
	Forbidden                   // the credential, or its absence, does not allow this
	NotFound                    // what the request names does not exist
	Exists                      // what the request would create exists already
	Conflict                    // a stated precondition does not hold
	TooLarge                    // over a size limit
	NotAcceptable               // none of the wanted output formats is served
	Limited                     // over a rate limit
	Unavailable                 // not applied; the same request may succeed later
	Unknown                     // may or may not have been applied
	NoSpace                     // not applied: the disk is full
	kinds                       // how many there are
)

var kindNames = [kinds]string{
	"internal", "invalid", "unauthenticated", "forbidden", "not found", "exists", "conflict",
	"too large", "not acceptable", "rate limited", "unavailable", "unknown outcome", "no space",
}

// String returns the kind's name as it appears in logs, such as "not found".
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is a failure with a kind and a message that the client may read.
type Error struct {
	Kind   Kind
	Msg    string            // lower case, names what and which; never a secret
	Fields map[string]string // optional: what is wrong with each field of the request
	Err    error             // optional: the cause, for logs only
}

// E returns an error of kind k. A %w verb sets its cause.
func E(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: k, Msg: err.Error(), Err: errors.Unwrap(err)}
}

func (e *Error) Error() string { return e.Msg }

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain, and Internal if
// there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is a failure of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// Append encodes err for the peer protocol: one byte for the kind, the rest
// is the message. Fields and cause stay behind.
func Append(dst []byte, err error) []byte {
	return append(append(dst, byte(KindOf(err))), err.Error()...)
}

// Decode is the reverse of Append. A kind of a newer version reads as Internal.
func Decode(p []byte) *Error {
	if len(p) == 0 {
		return &Error{Kind: Internal, Msg: "a peer sent an empty error"}
	}
	k := Kind(p[0])
	if k >= kinds {
		k = Internal
	}
	return &Error{Kind: k, Msg: string(p[1:])}
}
