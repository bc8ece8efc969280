// Package sdk tests the SDKs of sdk/ and the Go client against clusters of real
// processes, in the languages they are written in, and while leaders are killed. A
// language that this machine does not have is skipped, with the reason.
//
// By default the tests run in sizes that fit into every run of the suite;
//
//	go test ./test/sdk -full
//
// runs them in the sizes that releases are held to.
package sdk
