package smtp

import (
	"crypto/x509"
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/coveydb/covey/internal/errs"
)

// Config is what an operator decides about a relay.
type Config struct {
	// URL is smtp://[user@]host[:587], where TLS begins with STARTTLS, or
	// smtps://[user@]host[:465]. smtp takes ?starttls=required, optional or off;
	// without it TLS is required, and off for a host that is this machine. A
	// password in it is refused: process lists show it.
	URL      string
	Password string        // of the user in URL; both or none
	From     string        // whose mails they are: a@b.example, or Name <a@b.example>
	Timeout  time.Duration // of the connection's beginning, and then of the mail; 0 = 15 s

	roots *x509.CertPool // whom to trust; nil = the system's
}

const defaultTimeout = 15 * time.Second

// security is how a connection is encrypted.
type security uint8

const (
	plain      security = iota // not at all
	optional                   // if the relay offers it
	required                   // or no mail is sent
	fromOutset                 // TLS before the first word
)

// A Relay takes mails to deliver. Safe for concurrent use.
type Relay struct {
	host, port string
	user       string
	password   string
	from       *mail.Address
	security   security
	local      bool // the host is this machine
	timeout    time.Duration
	roots      *x509.CertPool
}

// New returns the Relay that c describes; it does not call it. errs.Invalid if
// c is wrong: the text is for the operator and holds no password.
func New(c Config) (*Relay, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, errs.E(errs.Invalid, "a mail relay is smtp://user@host:587 or smtps://user@host:465")
	}
	r := &Relay{host: u.Hostname(), port: u.Port(), password: c.Password, timeout: c.Timeout, roots: c.roots}
	if r.timeout <= 0 {
		r.timeout = defaultTimeout
	}
	if u.User != nil {
		if _, given := u.User.Password(); given {
			return nil, errs.E(errs.Invalid, "the URL of the mail relay holds a password, which process lists show: give it in a file")
		}
		r.user = u.User.Username()
	}
	if (r.user == "") != (r.password == "") {
		return nil, errs.E(errs.Invalid, "the mail relay needs a user in its URL and a password, or neither")
	}
	ip := net.ParseIP(r.host)
	r.local = r.host == "localhost" || ip != nil && ip.IsLoopback()
	if err := r.secure(u.Scheme, u.Query()); err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(r.port); err != nil || n < 1 || n > 65535 {
		return nil, errs.E(errs.Invalid, "the mail relay has no port %.20q", r.port)
	}
	r.from, err = mail.ParseAddress(c.From)
	if err != nil || strings.ContainsFunc(r.from.Name+r.from.Address, isControl) {
		return nil, errs.E(errs.Invalid, "the sender of mails must be like shop@example.com, or Shop <shop@example.com>")
	}
	return r, nil
}

// secure reads how connections are encrypted, and fills in the usual port.
func (r *Relay) secure(scheme string, query url.Values) error {
	for name := range query {
		if name != "starttls" || scheme != "smtp" {
			return errs.E(errs.Invalid, "the URL of the mail relay takes only ?starttls=required, optional or off, with smtp://")
		}
	}
	switch {
	case scheme == "smtps":
		r.security = fromOutset
		r.usualPort("465")
		return nil
	case scheme != "smtp":
		return errs.E(errs.Invalid, "the URL of the mail relay begins with smtp:// or smtps://")
	}
	r.usualPort("587")
	switch how := query.Get("starttls"); {
	case how == "required", how == "" && !r.local:
		r.security = required
	case how == "optional":
		r.security = optional
	case how == "off", how == "":
		r.security = plain
	default:
		return errs.E(errs.Invalid, "starttls %.20q: it is required, optional or off", how)
	}
	return nil
}

func (r *Relay) usualPort(port string) {
	if r.port == "" {
		r.port = port
	}
}

// From is whose mails they are, as Config has it.
func (r *Relay) From() string {
	if r.from.Name == "" {
		return r.from.Address
	}
	return r.from.String()
}

// Addr is the relay's host:port.
func (r *Relay) Addr() string { return net.JoinHostPort(r.host, r.port) }

// Exposed reports whether mails may pass unencrypted to another machine.
func (r *Relay) Exposed() bool { return !r.local && (r.security == plain || r.security == optional) }

// policy is the library's word for r.security. TLS from the outset is made by
// our own dialing; the library then only has to notice it.
func (r *Relay) policy() gomail.TLSPolicy {
	switch r.security {
	case plain:
		return gomail.NoTLS
	case required:
		return gomail.TLSMandatory
	case optional, fromOutset:
	}
	return gomail.TLSOpportunistic
}

// String shows where the relay is and nothing that is secret.
func (r *Relay) String() string { return r.Addr() }
