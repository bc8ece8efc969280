package demo

import (
	"fmt"
	"net"
	"strconv"
)

const host = "127.0.0.1"

// addresses is where one node listens.
type addresses struct {
	http, peer, gossip string
}

// chooseAddresses returns addresses for n nodes: first, first+1, first+2 for
// the first one, ten further on for each next one, and ports that the system
// picks where one of those is taken. Another process may still take one before
// the node listens; the node then says so.
func chooseAddresses(n, first int) ([]addresses, error) {
	out := make([]addresses, n)
	given := make(map[int]bool) // the nodes listen on them only later
	for i := range out {
		base := first + 10*i
		ports := []int{base, base + 1, base + 2}
		if first <= 0 || base+2 > 65535 || !allFree(ports, given) {
			var err error
			if ports, err = pickFree(len(ports), given); err != nil {
				return nil, err
			}
		}
		for _, p := range ports {
			given[p] = true
		}
		out[i] = addresses{http: addr(ports[0]), peer: addr(ports[1]), gossip: addr(ports[2])}
	}
	return out, nil
}

func addr(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func allFree(ports []int, given map[int]bool) bool {
	for _, p := range ports {
		if given[p] || !free(p) {
			return false
		}
	}
	return true
}

// free reports whether nobody listens on port, by TCP or UDP: gossip uses both.
func free(port int) bool {
	l, err := net.Listen("tcp", addr(port))
	if err != nil {
		return false
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", addr(port))
	if err != nil {
		return false
	}
	return u.Close() == nil
}

// pickFree returns n different free ports that are not given away yet. All are
// held until the last is found, so that none comes twice.
func pickFree(n int, given map[int]bool) ([]int, error) {
	var ports []int
	for range 100 * n {
		l, err := net.Listen("tcp", addr(0))
		if err != nil {
			return nil, fmt.Errorf("no free port on %s: %w", host, err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		if given[port] {
			continue
		}
		u, err := net.ListenPacket("udp", addr(port))
		if err != nil {
			continue
		}
		defer u.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no free ports on %s", host)
}
