// Package freeport finds ports for tests that start servers whose addresses
// must be known before they run.
//
// The ports lie below those that the kernel gives to outgoing connections, so
// that no connection can take one between its choice and its use; and no port
// is given out twice by one process. It is for tests only.
package freeport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

const (
	first = 15_000
	last  = 32_000 // Linux begins at 32768 with the ports of outgoing connections
)

var given sync.Map // port -> nothing

// Addr returns an address on the loopback interface with a port that is free
// for TCP and UDP.
func Addr(t testing.TB) string {
	t.Helper()
	for range 1_000 {
		port := first + rand.IntN(last-first)
		if _, taken := given.LoadOrStore(port, struct{}{}); taken {
			continue
		}
		if addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port)); free(addr) {
			return addr
		}
	}
	t.Fatal("no free port found")
	return ""
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	return u.Close() == nil
}
