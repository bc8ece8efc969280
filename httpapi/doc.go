// Package httpapi puts the HTTP APIs of Covey on one port: it decides by the
// first segment of the path which API answers, and runs the server with time
// limits for every phase of a request. The KOT API can have a port of its own
// besides, where old clients look for it.
//
// It guarantees that no path is cleaned, no request redirected (clients drop
// bodies and credentials when they follow), and that the words which belong to
// an API, built or not, can never be taken for a bucket. It knows nothing of
// what the APIs do.
package httpapi
