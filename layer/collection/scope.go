package collection

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
)

// Bounds of what a key's scope may list.
const (
	maxScope     = 100 // entries of one list
	maxScopeText = 256 // bytes of one entry
)

// methods are those that a scope can name.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// normalize checks a spec and writes it in one way.
func (k *KeySpec) normalize() error {
	if len(k.Note) > maxNote || !printable(k.Note) {
		return errs.E(errs.Invalid, "access key: a note has at most %d printable bytes", maxNote)
	}
	if k.Expires < 0 {
		return errs.E(errs.Invalid, "access key: the time of its expiry is negative")
	}
	if !k.Web && len(k.Paths)+len(k.Methods)+len(k.Realtime)+len(k.Channels) > 0 {
		return errs.E(errs.Invalid, "access key: only a web key has paths, methods, events or channels")
	}
	if k.Web && (len(k.Paths) == 0 || len(k.Methods) == 0 || len(k.Origins) == 0) {
		return errs.E(errs.Invalid, "access key: a web key needs a path, a method and an origin (** and * stand for any)")
	}
	for _, list := range []struct {
		what  string
		texts *[]string
		check func(string) (string, error)
	}{
		{"path", &k.Paths, normalizeGlob},
		{"method", &k.Methods, normalizeMethod},
		{"origin", &k.Origins, normalizeOrigin},
		{"event", &k.Realtime, normalizeEvent},
		{"channel", &k.Channels, normalizeChannel},
	} {
		if len(*list.texts) > maxScope {
			return errs.E(errs.Invalid, "access key: %d times %s, the limit is %d", len(*list.texts), list.what, maxScope)
		}
		texts := slices.Clone(*list.texts)
		for i, text := range texts {
			if len(text) > maxScopeText {
				return errs.E(errs.Invalid, "access key: %s of %d bytes, the limit is %d", list.what, len(text), maxScopeText)
			}
			var err error
			if texts[i], err = list.check(text); err != nil {
				return err
			}
		}
		*list.texts = texts
	}
	return nil
}

// normalizeGlob takes a path off its leading slash and /rest/.
func normalizeGlob(text string) (string, error) {
	path := text
	if rooted, ok := strings.CutPrefix(path, "/"); ok {
		path = strings.TrimPrefix(rooted, "rest/")
	}
	path = strings.TrimSuffix(path, "/")
	bad := path == "" || !utf8.ValidString(path) || strings.Contains(path, "//") || strings.ContainsAny(path, "?#%\\") ||
		strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == 0x7f })
	if bad {
		return "", errs.E(errs.Invalid, "path %q: it must be what follows /rest/, such as items, items/* or **", text)
	}
	for i, part := range strings.Split(path, "/") {
		if !canMatch(part, i == 0) {
			return "", errs.E(errs.Invalid, "path %q: no request has %q there: a collection's name is up to 64 letters, digits, _ and -, and no part has a dot", text, part)
		}
	}
	return path, nil
}

// canMatch reports whether what stands between slashes of a glob can stand in
// a request's path: first the name of a collection, then ids and fields.
func canMatch(part string, first bool) bool {
	if strings.Contains(part, ".") {
		return false
	}
	head, _, _ := strings.Cut(part, "**") // behind it may be other parts
	head = strings.ReplaceAll(head, "*", "")
	head = strings.TrimPrefix(head, "_") // as the paths of the system begin
	return !first || head == "" || ValidName(head)
}

func normalizeMethod(text string) (string, error) {
	m := strings.ToUpper(text)
	if !slices.Contains(methods, m) {
		return "", errs.E(errs.Invalid, "method %q: it must be one of %s", text, strings.Join(methods, ", "))
	}
	return m, nil
}

func normalizeEvent(text string) (string, error) {
	method, coll, ok := strings.Cut(text, ":")
	m, err := normalizeMethod(method)
	if !ok || err != nil || coll != "*" && !ValidName(coll) {
		return "", errs.E(errs.Invalid, "event %q: it must be a method, a colon and a collection, such as POST:items", text)
	}
	return m + ":" + coll, nil
}

func normalizeChannel(text string) (string, error) {
	if text == "" || !printable(text) {
		return "", errs.E(errs.Invalid, "channel %q: it must be a printable name", text)
	}
	return text, nil
}

// printable reports whether text is UTF-8 without control characters: what JSON
// keeps as it is, and terminals show.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// compileGlob compiles a path that was normalized: * stands for anything
// within one segment, ** for anything; a trailing /** also covers what is
// before it, and a bare collection's name all below it.
func compileGlob(path string) *regexp.Regexp {
	below := !strings.ContainsAny(path, "*/")
	if head, ok := strings.CutSuffix(path, "/**"); ok && head != "" {
		path, below = head, true
	}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i, part := range strings.Split(path, "**") {
		if i > 0 {
			b.WriteString(`.*`)
		}
		for j, literal := range strings.Split(part, "*") {
			if j > 0 {
				b.WriteString(`[^/]*`)
			}
			b.WriteString(regexp.QuoteMeta(literal))
		}
	}
	if below {
		b.WriteString(`(?:/.*)?`)
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String()) // nothing but literals and stars
}

// origin is what a key says of the pages that may use it. What is empty
// matches anything: a bare domain stands for each of its schemes and ports.
type origin struct {
	any          bool // also "null"
	scheme, host string
	port         string
	below        bool // the domains below host, and not host
}

func normalizeOrigin(text string) (string, error) {
	text = strings.ToLower(strings.TrimSuffix(text, "/"))
	if text == "null" { // what sandboxed pages of anybody send
		return "", errs.E(errs.Invalid, "origin null: it is no page's own, and only * stands for it")
	}
	_, err := parseOrigin(text)
	return text, err
}

// parseOrigin reads *, or a host with an optional port, behind an optional
// scheme; *. in front of the host stands for all domains below it.
func parseOrigin(text string) (origin, error) {
	if text == "*" {
		return origin{any: true}, nil
	}
	bad := errs.E(errs.Invalid, "origin %q: it must be like https://app.example.com, app.example.com, *.example.com or *", text)
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "", text
	}
	wild, below := strings.CutPrefix(rest, "*.")
	u, err := url.Parse("//" + wild)
	if err != nil || u.Host != wild || u.Hostname() == "" || strings.HasSuffix(wild, ":") || !isHost(u.Hostname()) ||
		ok && scheme == "" || strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" {
		return origin{}, bad
	}
	port := u.Port()
	if scheme != "" && port == "" {
		port = defaultPort(scheme)
	}
	return origin{scheme: scheme, host: u.Hostname(), port: port, below: below}, nil
}

// isHost refuses what no browser writes as a host: names are in Punycode.
func isHost(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") == "" && !strings.HasPrefix(name, ".")
}

// allows compares with the value of an Origin header.
func (o origin) allows(text string) bool {
	if o.any {
		return true
	}
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	port := u.Port()
	if port == "" {
		port = defaultPort(u.Scheme)
	}
	hostOK := u.Hostname() == o.host
	if o.below {
		hostOK = strings.HasSuffix(u.Hostname(), "."+o.host)
	}
	return hostOK && (o.scheme == "" || o.scheme == u.Scheme) && (o.port == "" || o.port == port)
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}
