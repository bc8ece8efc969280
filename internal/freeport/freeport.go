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

var given sync.Map // port -> nothing

// ours holds the share of this process until it ends: a listener on its first
// port, nil if there is no share left.
var ours = sync.OnceValue(func() net.Listener {
	for begin := first; begin+share <= last; begin += share {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(begin)))
		if err == nil {
			return l
		}
	}
	return nil
})

// Addr returns an address on the loopback interface with a port that is free
// for TCP and UDP.
func Addr(t testing.TB) string {
	t.Helper()
	begin, size := first, last-first
	if l := ours(); l != nil {
		begin, size = l.Addr().(*net.TCPAddr).Port+1, share-1
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
