package web

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Proxies are the peers whose X-Forwarded-For and X-Real-IP headers count. The
// zero value trusts nobody.
type Proxies []netip.Prefix

// ParseProxies reads a comma list of addresses and CIDR prefixes.
func ParseProxies(text string) (Proxies, error) {
	var list Proxies
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			addr, err := netip.ParseAddr(item)
			if err != nil {
				return nil, errs.E(errs.Invalid, "trusted proxy %q is neither an address nor a prefix like 10.0.0.0/8", item)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}

func (p Proxies) trust(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the address of the request's client: the peer, unless the
// peer is a trusted proxy that names another. X-Forwarded-For is read from its
// end, past further trusted proxies, because a client can write anything at
// its beginning. The zero Addr stands for a peer without an address.
func (p Proxies) Client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	if !p.trust(client) {
		return client
	}
	chain := r.Header.Values("X-Forwarded-For")
	if len(chain) == 0 {
		if a, ok := parseHop(r.Header.Get("X-Real-Ip")); ok {
			return a
		}
		return client
	}
	for i := len(chain) - 1; i >= 0; i-- {
		hops := strings.Split(chain[i], ",")
		for j := len(hops) - 1; j >= 0; j-- {
			a, ok := parseHop(hops[j])
			if !ok {
				return client
			}
			if client = a; !p.trust(a) {
				return client
			}
		}
	}
	return client
}

// parseHop reads an address as proxies write it: bare, in brackets, or with a
// port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}

// Base is how the client calls this server, for absolute URLs: a scheme and a
// host. Where a proxy ends TLS, it says so by X-Forwarded-Proto; of others that
// header means nothing.
func (p Proxies) Base(r *http.Request) string {
	if r.TLS != nil || p.proxied(r) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// proxied reports whether the peer is a trusted proxy.
func (p Proxies) proxied(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && p.trust(peer.Addr().Unmap().WithZone(""))
}
