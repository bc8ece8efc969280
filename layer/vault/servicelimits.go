package vault

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What bounds the use of a service token: until when, and from where.

const (
	maxNetworks    = 50
	maxNetworkText = 64             // bytes of one
	maxLifetime    = 100 * yearSecs // a century
	daySecs        = 24 * 60 * 60
	yearSecs       = 365 * daySecs
)

// lifetimes is the form of a lifetime: a number and a unit.
var lifetimes = regexp.MustCompile(`^([0-9]{1,9})([mhdy])$`)

var lifetimeUnits = map[string]int64{"m": 60, "h": 60 * 60, "d": daySecs, "y": yearSecs}

// Texts about the end of a token.
const (
	textBadTime     = "Enter a valid time, such as 2026-01-31T10:30:00Z."
	textBadLifetime = "Enter a lifetime such as 90m, 12h, 30d or 1y."
	textPast        = "This time must be in the future."
	textFar         = "This time is more than 100 years ahead."
	textOneEnd      = "Give expires_at or expires_in, not both."
)

// expiry returns when a token that is made now expires, 0 for never.
func (t ServiceTokenFields) expiry(f FieldErrors, now int64) int64 {
	switch {
	case t.Expires != nil && t.ExpiresIn != nil:
		f.Add("expires_in", textOneEnd)
	case t.Expires != nil:
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(*t.Expires))
		switch {
		case err != nil:
			f.Add("expires_at", textBadTime)
		case at.Unix() <= now:
			f.Add("expires_at", textPast)
		case at.Unix()-now > maxLifetime:
			f.Add("expires_at", textFar)
		default:
			return at.Unix()
		}
	case t.ExpiresIn != nil:
		lifetime, ok := parseLifetime(strings.TrimSpace(*t.ExpiresIn))
		switch {
		case !ok:
			f.Add("expires_in", textBadLifetime)
		case lifetime > maxLifetime:
			f.Add("expires_in", textFar)
		default:
			return now + lifetime
		}
	}
	return 0
}

// parseLifetime returns a lifetime in seconds, which is never 0.
func parseLifetime(text string) (int64, bool) {
	parts := lifetimes.FindStringSubmatch(text)
	if parts == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	return n * lifetimeUnits[parts[2]], err == nil && n > 0
}

// parseNetworks returns addresses and networks as they are stored: as networks,
// without what is beyond their length, in the order given, each once.
func parseNetworks(f FieldErrors, texts []string) []string {
	if len(texts) > maxNetworks {
		f.Add("allowed_networks", "Ensure this field has no more than "+strconv.Itoa(maxNetworks)+" entries.")
		return nil
	}
	var networks []string
	for _, text := range texts {
		network, ok := parseNetwork(strings.TrimSpace(text))
		if !ok {
			f.Add("allowed_networks", strconv.Quote(text[:min(len(text), maxNetworkText)])+" is no address, and no network such as 10.0.0.0/8.")
			return nil
		}
		if text := network.String(); !slices.Contains(networks, text) {
			networks = append(networks, text)
		}
	}
	return networks
}

// parseNetwork reads an address or a network. One of IPv4 in the form of IPv6
// is the one of IPv4: so are the addresses of clients.
func parseNetwork(text string) (netip.Prefix, bool) {
	if len(text) > maxNetworkText {
		return netip.Prefix{}, false
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, false
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if addr, bits := network.Addr(), network.Bits(); addr.Is4In6() {
		if bits < 96 {
			return netip.Prefix{}, false
		}
		network = netip.PrefixFrom(addr.Unmap(), bits-96)
	}
	return network.Masked(), true
}
