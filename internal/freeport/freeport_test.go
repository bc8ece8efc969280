package freeport

import (
	"net"
	"testing"
)

func TestAddrCanBeListenedOn(t *testing.T) {
	seen := make(map[string]bool)
	for range 20 {
		addr := Addr(t)
		if seen[addr] {
			t.Errorf("%s was given out twice", addr)
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if free(addr) {
			t.Errorf("%s counts as free while it is listened on", addr)
		}
	}
}
