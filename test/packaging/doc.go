// Package packaging tests what Covey is delivered in: the image, the compose
// file, the systemd unit, the Helm chart, the packages and the scripts around
// them.
//
// The standard run reads the files: that they parse, that every setting they
// name exists, and that they agree with each other. It also starts the binary as
// systemd does. With -full it uses the tools that build and run the packages,
// where they are installed or can be built:
//
//	go test ./test/packaging -full
package packaging
