package server

import (
	"net"

	"github.com/coveydb/covey/internal/errs"
)

// checkExposure refuses to listen beyond this machine without encryption, unless
// the operator says that it is meant: whoever reaches the ports between nodes
// unencrypted can read all data and join the cluster, and whoever listens to the
// ports for clients has their keys.
func (c *Config) checkExposure() error {
	if c.PprofAddr != "" && !loopback(c.PprofAddr) {
		return errs.E(errs.Invalid, "--pprof-addr %s: profiles tell much and cost much, so they are served on loopback only", c.PprofAddr)
	}
	if c.RequireTLS {
		return c.checkNoClearText()
	}
	if c.Insecure {
		return nil
	}
	if !loopback(c.PeerAddr) && c.PeerTLS == (TLSFiles{}) {
		return errs.E(errs.Invalid, "--peer-addr %s can be reached from other machines, and whoever does so could read all data: give --peer-ca, --peer-cert and --peer-key, or --insecure if you trust the network", c.PeerAddr)
	}
	if !loopback(c.GossipAddr) && !c.gossipEncrypted() {
		return errs.E(errs.Invalid, "--gossip-addr %s can be reached from other machines, and whoever does so could join the cluster: give --gossip-key-file, or --insecure if you trust the network", c.GossipAddr)
	}
	for _, p := range c.clientPorts() {
		if !loopback(p.addr) && c.HTTPTLS.Cert == "" {
			return errs.E(errs.Invalid, "%s %s can be reached from other machines, and keys and data would pass in clear text: give --tls-cert and --tls-key, or --insecure if you trust the network or a proxy before it ends TLS", p.flag, p.addr)
		}
	}
	return nil
}

// checkNoClearText is what --require-tls asks for: it looks at no address, as an
// address may change and a promise may not.
func (c *Config) checkNoClearText() error {
	switch {
	case c.Insecure:
		return errs.E(errs.Invalid, "--require-tls and --insecure exclude each other")
	case c.HTTPTLS.Cert == "":
		return errs.E(errs.Invalid, "--require-tls: clients would be served in clear text: give --tls-cert and --tls-key")
	case c.PeerTLS == (TLSFiles{}):
		return errs.E(errs.Invalid, "--require-tls: nodes would talk in clear text: give --peer-ca, --peer-cert and --peer-key")
	case !c.gossipEncrypted():
		return errs.E(errs.Invalid, "--require-tls: gossip would be in clear text: give --gossip-key-file")
	case c.PprofAddr != "":
		return errs.E(errs.Invalid, "--require-tls: --pprof-addr is in clear text: leave it out, profiles are under /debug/pprof for the holder of the root key")
	}
	return nil
}

// clientPort is a port for clients that an operator wants.
type clientPort struct{ flag, addr string }

func (c *Config) clientPorts() []clientPort {
	ports := []clientPort{{"--http-addr", c.HTTPAddr}}
	if c.KOT.Addr != "" {
		ports = append(ports, clientPort{"--kot-addr", c.KOT.Addr})
	}
	return ports
}

// clearText returns the addresses on which KOT's password and data pass
// unencrypted between machines, as --insecure allows. Other APIs' keys do too,
// but every request carries this password.
func (c *Config) clearText() (addrs []string) {
	if c.KOT.Password == "" || c.HTTPTLS.Cert != "" {
		return nil
	}
	for _, p := range c.clientPorts() {
		if !loopback(p.addr) {
			addrs = append(addrs, p.addr)
		}
	}
	return addrs
}

// loopback reports whether addr can be reached from this machine only. A name
// other than localhost may mean anything.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
