package webhook

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/dial"
	"github.com/coveydb/covey/internal/errs"
)

const maxURL = 2048 // bytes

// CheckURL says with errs.Invalid why a message cannot be posted to a URL: it
// is https, and to the public internet at its port 443 or 80, unless private
// addresses are allowed; it has no password, and at most 2,048 bytes. Names are
// not resolved here: a Poster judges what they stand for at each post.
func CheckURL(text string, allowPrivate bool) error {
	_, err := parseURL(text, allowPrivate)
	return err
}

func parseURL(text string, allowPrivate bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return nil, errs.E(errs.Invalid, "webhook URL: %d bytes, at most %d", len(text), maxURL)
	case err != nil || !utf8.ValidString(text) || strings.ContainsFunc(text, notPrintable) || u.Hostname() == "" || u.Opaque != "":
		return nil, errs.E(errs.Invalid, "webhook URL: not a URL such as https://example.com/hook")
	case u.User != nil:
		return nil, errs.E(errs.Invalid, "webhook URL: no user name or password in it; a receiver verifies the signature")
	case u.Fragment != "":
		return nil, errs.E(errs.Invalid, "webhook URL: a fragment is not sent, leave out what follows #")
	case u.Scheme == "http" && !allowPrivate:
		return nil, errs.E(errs.Invalid, "webhook URL: it must begin with https://, unless private addresses are allowed")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errs.E(errs.Invalid, "webhook URL: it must begin with https://")
	}
	return u, checkHost(u, allowPrivate)
}

// checkHost refuses early what the guard would refuse at each post.
func checkHost(u *url.URL, allowPrivate bool) error {
	port := u.Port()
	if port != "" && strings.Trim(port, "0123456789") != "" || len(port) > 5 {
		return errs.E(errs.Invalid, "webhook URL: %.10q is no port", port)
	}
	guard := dial.Guard(allowPrivate)
	if guard == nil {
		return nil
	}
	if port != "" && port != "443" && port != "80" {
		return errs.E(errs.Invalid, "webhook URL: port %s; it must be 443 or 80, unless private addresses are allowed", port)
	}
	private := strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), "localhost")
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		network := "tcp6"
		if addr.Is4() {
			network = "tcp4"
		}
		private = guard(network, netip.AddrPortFrom(addr, 443).String(), nil) != nil
	}
	if private {
		return errs.E(errs.Invalid, "webhook URL: %s is not on the public internet, and private addresses are not allowed", u.Hostname())
	}
	return nil
}

func notPrintable(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }
