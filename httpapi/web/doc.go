// Package web is the plumbing that all HTTP APIs of Covey share: handlers that
// return errors, the one table from kinds of failure to statuses, request ids,
// recovery from panics, the access log and metrics, bounded bodies, a query
// splitter that loses nothing, credentials, client addresses, rate limits, and
// streams of server-sent events that end when the server stops.
//
// It guarantees that a request is answered once, that an internal failure shows
// the client an id and nothing else, and that neither logs nor metrics hold a
// query string, a header, a body, or what is data in a path. It never decides who may do what, never
// knows the shape of an API's answers, and never touches the data.
package web
