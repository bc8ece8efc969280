package server

import (
	"net"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// listener is an address that the node listens on.
type listener struct{ flag, addr string }

// checkAddresses refuses addresses that are none, that clash, or that other
// nodes could not dial. Whether names resolve is not asked.
func (c *Config) checkAddresses() error {
	var seen []listener
	for _, l := range []listener{
		{"--http-addr", c.HTTPAddr}, {"--peer-addr", c.PeerAddr}, {"--gossip-addr", c.GossipAddr}, {"--kot-addr", c.KOT.Addr}, {"--pprof-addr", c.PprofAddr},
	} {
		if l.addr == "" && l.flag != "--http-addr" {
			continue // off, or the node's to refuse
		}
		_, port, err := net.SplitHostPort(l.addr)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			return errs.E(errs.Invalid, "%s %q: host:port is needed, such as 127.0.0.1:8700", l.flag, l.addr)
		}
		for _, other := range seen {
			if clash(l.addr, other.addr) {
				return errs.E(errs.Invalid, "%s %s and %s %s are the same port: each needs one of its own", other.flag, other.addr, l.flag, l.addr)
			}
		}
		seen = append(seen, l)
	}
	for _, addr := range c.Join {
		if strings.ContainsAny(addr, " \t/") {
			return errs.E(errs.Invalid, "--join %q: gossip addresses are needed, host:port, separated by commas", addr)
		}
	}
	return c.checkAdvertised()
}

// clash reports whether nobody can listen on both addresses. Port 0 is any that
// is free.
func clash(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	return portA == portB && portA != "0" && (hostA == hostB || everyHost(hostA) || everyHost(hostB))
}

// everyHost reports whether host means all addresses of the machine.
func everyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func (c *Config) checkAdvertised() error {
	host, _, withPort := strings.Cut(c.Advertise, ":")
	switch {
	case c.Advertise == "":
		return nil // the node tells whether the peer address will do
	case strings.ContainsAny(c.Advertise, " \t/") || withPort && net.ParseIP(c.Advertise) == nil:
		return errs.E(errs.Invalid, "--advertise %q: a host or an IP alone is needed; its ports are those of --peer-addr and --gossip-addr", c.Advertise)
	case everyHost(host) || everyHost(c.Advertise):
		return errs.E(errs.Invalid, "--advertise %s is every interface of a machine and none that members can dial: give the name or IP they reach this node by", c.Advertise)
	}
	return nil
}
