// Package e2e tests clusters of real processes of the real binary, over real
// sockets and disks: kills, restarts, joins. It builds the binary itself and
// needs nothing but Go.
//
// By default the tests run in sizes that fit into every run of the suite.
//
//	go test ./test/e2e -full
//
// runs them in the sizes that releases are held to.
package e2e
