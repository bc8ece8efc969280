package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"
)

// A Message is one mail to one receiver. Header fields hold no control
// characters: Send refuses them.
type Message struct {
	// ID is the part of the Message-ID before the @; what follows is the domain of
	// the relay's From. Receivers know a repeat by it. Letters, digits, dots and dashes.
	ID          string
	Date        time.Time // of the mail, not of the try
	SenderName  string    // in the place of the name in Config.From, if it is not empty
	To          string    // an address without a name
	Subject     string
	HTML        string // the text alternative is made of it
	Unsubscribe string // URL of the List-Unsubscribe header, "" = none; it takes a one-click POST (RFC 8058)
}

// An Error is a mail that the relay did not take.
type Error struct {
	Code      int  // of the relay's answer; 0 if it gave none
	Permanent bool // the relay will never take this mail
	text      string
}

// Error says what happened, with the relay's words. It holds no credentials.
func (e *Error) Error() string { return e.text }

// Temporary reports whether trying again makes sense.
func (e *Error) Temporary() bool { return !e.Permanent }

// Send hands m to the relay. nil means that the relay has taken it. Any error
// is an *Error; after one that is temporary the relay may have taken the mail
// all the same, when its answer was lost. Permanent are answers of the 500s to
// the mail itself; what is wrong with the way to the relay, wrong credentials
// too, is temporary: the operator sets it right, and no mail is lost.
func (r *Relay) Send(ctx context.Context, m Message) error {
	msg, err := r.message(m)
	if err != nil {
		return &Error{Permanent: true, text: "the mail cannot be sent: " + err.Error()}
	}
	// The library looks at ctx only while it dials: ending ctx ends the connection.
	ctx, cancel := context.WithTimeout(ctx, 2*r.timeout)
	defer cancel()
	var conns dialer
	defer conns.end()
	client, err := gomail.NewClient(r.host, r.options(conns.dial(ctx, r))...)
	if err != nil {
		return &Error{text: r.words("cannot be called: " + err.Error())}
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() { // then only the goodbye failed
		return nil
	}
	return r.failure(ctx, err)
}

func (r *Relay) options(dial gomail.DialContextFunc) []gomail.Option {
	all := []gomail.Option{
		gomail.WithTimeout(r.timeout), gomail.WithTLSPolicy(r.policy()), gomail.WithTLSConfig(r.tls()), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(dial),
	}
	if r.user == "" {
		return all
	}
	all = append(all, gomail.WithUsername(r.user), gomail.WithPassword(r.password))
	if r.local && r.security != required && r.security != fromOutset {
		return append(all, gomail.WithOpportunisticSMTPAuth(
			gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthCramMD5, gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc))
	}
	// Unencrypted, this takes only what does not show the password.
	return append(all, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover))
}

func (r *Relay) tls() *tls.Config {
	return &tls.Config{ServerName: r.host, RootCAs: r.roots, MinVersion: tls.VersionTLS12}
}

// dialer opens the connection of one mail and sees to its end.
type dialer struct {
	conn net.Conn
	stop func() bool
}

func (d *dialer) dial(ctx context.Context, r *Relay) gomail.DialContextFunc {
	return func(dialing context.Context, network, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(dialing, network, r.Addr())
		if err != nil {
			return nil, err
		}
		conn = &bounded{Conn: conn, left: maxAnswers}
		d.conn = conn
		d.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
		if r.security != fromOutset {
			return conn, nil
		}
		secured := tls.Client(conn, r.tls())
		if err := secured.HandshakeContext(dialing); err != nil {
			return nil, err
		}
		return secured, nil
	}
}

// maxAnswers bounds what a relay may say while it takes one mail, in bytes with
// those of TLS. The library keeps a line, and all lines of an answer, in memory.
const maxAnswers = 256 << 10

var errTalks = fmt.Errorf("it says more than %d bytes", maxAnswers)

// bounded is a connection that so many bytes can be read from.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTalks
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// end closes the connection, which the library leaves open after some errors.
func (d *dialer) end() {
	if d.conn != nil {
		d.stop()
		_ = d.conn.Close()
	}
}

// message puts the mail together.
func (r *Relay) message(m Message) (*gomail.Msg, error) {
	for what, text := range map[string]string{
		"id": m.ID, "sender's name": m.SenderName, "receiver": m.To, "subject": m.Subject, "link to unsubscribe": m.Unsubscribe,
	} {
		if strings.ContainsFunc(text, isControl) || !utf8.ValidString(text) {
			return nil, fmt.Errorf("its %s holds a control character", what)
		}
	}
	to, err := mail.ParseAddress(m.To)
	if err != nil || to.Name != "" {
		return nil, errors.New("its receiver is no address")
	}
	from := *r.from
	if m.SenderName != "" {
		from.Name = m.SenderName
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&from)
	msg.ToMailAddress(to)
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Date)
	_, domain, _ := strings.Cut(r.from.Address, "@")
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	if m.Unsubscribe != "" {
		msg.SetListUnsubscribe(m.Unsubscribe)
		msg.SetListUnsubscribePost()
	}
	msg.SetBodyString(gomail.TypeTextPlain, plainText(m.HTML))
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}

func isControl(c rune) bool {
	return c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029'
}

// failure says what an error of the library means.
func (r *Relay) failure(ctx context.Context, err error) error {
	var send *gomail.SendError
	if errors.As(err, &send) && send.ErrorCode() > 0 {
		text, _, _ := strings.Cut(send.Error(), ", affected ")
		// 53x: the relay wants other credentials, or encryption.
		code := send.ErrorCode()
		return &Error{Code: code, Permanent: code >= 500 && code/10 != 53, text: r.words(text)}
	}
	var answer *textproto.Error
	if errors.As(err, &answer) {
		// It may be about a password, and repeat it: the code has to do.
		return &Error{Code: answer.Code, text: r.words(fmt.Sprintf("answers %d to the connection's beginning", answer.Code))}
	}
	if ctx.Err() != nil {
		return &Error{text: r.words("does not answer in time")}
	}
	return &Error{text: r.words(err.Error())}
}

// maxWords bounds the text of an Error.
const maxWords = 500

// words makes the text of an Error.
func (r *Relay) words(text string) string {
	text = strings.ToValidUTF8(strings.Map(func(c rune) rune {
		if isControl(c) {
			return ' '
		}
		return c
	}, text), "")
	if r.password != "" {
		text = strings.ReplaceAll(text, r.password, "***")
	}
	text = "mail relay " + r.Addr() + ": " + text
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "")
	}
	return text
}
