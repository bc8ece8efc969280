// Package freeport finds ports for tests that start servers whose addresses
// must be known before they run.
//
// The ports lie below those that the kernel gives to outgoing connections, so
// that no connection can take one between its choice and its use; and no port
// is given out twice by one process, nor by two that run at once: a server that
// is down for a while, in a test of that, must find its port free again. It is
// for tests only.
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

// share is how many ports a process has for itself.
const share = 1_700

var (
	given sync.Map     // port -> nothing
	guard net.Listener // holds the share; without a reference to it, it would be closed
)

// ours is where the share of this process begins, 0 if there is none left. It is
// held by a listener on its first port, until the process ends.
var ours = sync.OnceValue(func() int {
	for begin := first; begin+share <= last; begin += share {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(begin)))
		if err == nil {
			guard = l
			return begin
		}
	}
	return 0
})

// Addr returns an address on the loopback interface with a port that is free
// for TCP and UDP.
func Addr(t testing.TB) string {
	t.Helper()
	begin, size := ours()+1, share-1
	if begin == 1 { // there are many processes
		begin, size = first, last-first
	}
	for range 1_000 {
		port := begin + rand.IntN(size)
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
