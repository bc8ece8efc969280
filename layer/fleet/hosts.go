package fleet

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Called is a node with the hosts that are its own: names, and addresses without
// ports.
type Called struct {
	Node  string   `json:"node"`
	Hosts []string `json:"hosts"`
}

// maxHost is RFC 1035's bound of a name.
const maxHost = 253

func checkHosts(hosts []string) error {
	if len(hosts) > MaxHosts {
		return errs.E(errs.Invalid, "a join token names at most %d hosts, not %d", MaxHosts, len(hosts))
	}
	for _, h := range hosts {
		if h == "" || len(h) > maxHost || strings.ContainsAny(h, " \t\r\n/*") {
			return errs.E(errs.Invalid, "%.40q is no host: the name or the address of one machine is needed, without a port", h)
		}
		if addr, err := netip.ParseAddr(h); err != nil && strings.Contains(h, ":") || err == nil && addr.IsUnspecified() {
			return errs.E(errs.Invalid, "%.40q is no host: the name or the address of one machine is needed, without a port", h)
		}
	}
	return nil
}

// FindJoined returns what a node may call itself that joined by a token: a
// certificate that is to follow its first one is made out to nothing else. It is
// errs.NotFound for a node that joined otherwise.
func FindJoined(tx *kv.Tx, node string) (c Called, err error) {
	ok, err := get(tx, named(memberByte, node), &c)
	if err == nil && !ok {
		err = errs.E(errs.NotFound, "node %s did not join by a token, so its certificates are made elsewhere", node)
	}
	return c, err
}

// admits is errs.Forbidden, or for a repeated redemption errs.Conflict, unless
// the node of r may be certified for the hosts of r.
func (t *Token) admits(tx *kv.Tx, r Redemption) error {
	if t.UsedAt != 0 {
		first, err := FindJoined(tx, r.Node)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		if err != nil || !slices.Equal(sorted(first.Hosts), sorted(r.Hosts)) {
			return errs.E(errs.Conflict, "the join token %s was used by node %s %s to be called %s: it may ask again for nothing else, so give the node a new token",
				r.ID, t.UsedBy, when(t.UsedAt), strings.Join(first.Hosts, ", "))
		}
	}
	own := sorted(t.Hosts)
	for _, host := range r.Hosts {
		plain := canonical(host)
		if loopback(plain) || slices.Contains(own, plain) {
			continue
		}
		if len(own) > 0 {
			return errs.E(errs.Forbidden, "the join token %s lets its node be called %s and nothing else, not %s", r.ID, strings.Join(t.Hosts, ", "), host)
		}
		owner, err := ownerOf(tx, plain, r)
		if err != nil {
			return err
		}
		if owner != "" {
			return errs.E(errs.Forbidden, "%s is a host of member %s, so no certificate for node %s names it: remove %s if it is gone, or make a token with --host %s if both are on one machine",
				host, owner, r.Node, owner, host)
		}
	}
	return nil
}

// ownerOf returns the member besides r's node that a host belongs to, "" for
// none. What several are reached by is nobody's own: they share a machine. A
// host by which nobody is reached belongs to the one that holds a certificate
// for it, as far as the cluster has signed that.
func ownerOf(tx *kv.Tx, host string, r Redemption) (string, error) {
	var reached, certified []string
	for _, m := range r.Members {
		if m.Node == r.Node {
			continue
		}
		if slices.Contains(sorted(m.Hosts), host) {
			reached = append(reached, m.Node)
		}
		joined, err := FindJoined(tx, m.Node)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return "", err
		}
		if slices.Contains(sorted(joined.Hosts), host) {
			certified = append(certified, m.Node)
		}
	}
	if len(reached) == 0 {
		reached = certified
	}
	if len(reached) == 1 {
		return reached[0], nil
	}
	return "", nil
}

// canonical writes a host in the one way in which it is compared.
func canonical(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(host)
}

// sorted returns hosts as they are compared, each once.
func sorted(hosts []string) []string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		out[i] = canonical(h)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// loopback reports whether host means the machine itself, on every machine.
func loopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost"
}
