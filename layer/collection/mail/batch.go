package mail

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection"
)

// Bounds of one request and of its mails.
const (
	MaxMails     = 1_000    // receivers of one request, and mails
	maxBytes     = 24 << 20 // of all its documents
	maxHTML      = 1 << 20
	maxSubject   = 998 // as a line of a mail
	maxName      = 256 // company and sender
	maxAddress   = 254
	maxTransport = 64
	maxTemplate  = 256 // of its name
)

// A Batch is the mails of one request, made before the transaction.
type Batch struct {
	Drafts   []collection.Draft // one for each receiver, in order; Desk.Post fills in the members
	letters  []letter
	links    []link
	base     string   // of the links
	warnings []string // what the client should know
	left     work     // for templates, in all runs of the transaction
}

// letter is one mail as the client sent it.
type letter struct {
	index     *int // in the client's array; nil: there is none
	to        []string
	subject   string
	company   string
	sender    string
	transport string
	template  string
	html      string         // without a template
	values    map[string]any // with one
	drawn     rendered       // what the template came to in an earlier run
}

// link is what one receiver unsubscribes by.
type link struct {
	token string
	hash  [sha256.Size]byte
}

// Parse reads the body of POST /mail: a mail, or an array of up to MaxMails.
// What the fields must not be is a *collection.ValidationError for the whole
// request; what is no such JSON is errs.Invalid, and too much is errs.TooLarge
// or errs.Invalid. at is the time of the request; base is what the links to
// unsubscribe begin with.
func Parse(body []byte, at time.Time, base string) (*Batch, error) {
	parsed, many, err := collection.ParseDrafts(body, at)
	if err != nil {
		return nil, err
	}
	if len(parsed) > MaxMails {
		return nil, errs.E(errs.Invalid, "%d mails in one request, the limit is %d", len(parsed), MaxMails)
	}
	b := &Batch{base: base, letters: make([]letter, len(parsed)), left: maxWork}
	var r reader
	for i := range parsed {
		if r.index = nil; many {
			r.index = &i
		}
		if err := r.letter(parsed[i].Members, &b.letters[i]); err != nil {
			return nil, err
		}
	}
	if len(r.faults) > 0 {
		return nil, &collection.ValidationError{List: r.faults}
	}
	return b, b.address(at, &r)
}

// address gives every receiver an id, as far as it can be known yet, and a link.
func (b *Batch) address(at time.Time, r *reader) error {
	n := 0
	for i := range b.letters {
		n += len(b.letters[i].to)
	}
	if n > MaxMails {
		return errs.E(errs.Invalid, "%d receivers in one request, the limit is %d: send the others with another one", n, MaxMails)
	}
	b.Drafts, b.links = make([]collection.Draft, n), make([]link, n)
	for i := range n {
		binary.BigEndian.PutUint32(b.Drafts[i].ID[:], uint32(at.Unix()))
		b.links[i] = drawLink()
	}
	if len(r.ignored) > 0 {
		b.warnings = append(b.warnings, "left out: "+strings.Join(r.ignored, ", "))
	}
	if len(r.transports) > 0 {
		b.warnings = append(b.warnings, "the transport is recorded only: "+strings.Join(r.transports, ", "))
	}
	return nil
}

// drawLink draws what an unguessable link is made of.
func drawLink() link {
	var p [32]byte
	_, _ = rand.Read(p[:]) // documented never to return an error
	text := hex.EncodeToString(p[:])
	return link{text, sha256.Sum256([]byte(text))}
}

// reader reads letters and notes what is wrong with them.
type reader struct {
	index      *int
	faults     []collection.FieldError
	ignored    []string // names of fields
	transports []string
}

// Codes of faults, as those of schemas.
const (
	codeRequired = "REQUIRED"
	codeType     = "TYPE"
	codeRegex    = "REGEX"
)

// maxFaults bounds what is told of one request, maxNoted what a warning names.
const (
	maxFaults = 1_000
	maxNoted  = 10
)

func (r *reader) fault(field, text string, code ...string) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, fault(r.index, field, text, code...))
	}
}

func fault(index *int, field, text string, code ...string) collection.FieldError {
	f := collection.FieldError{Field: field, Message: append([]string{text}, code...)}
	if index != nil {
		i := *index
		f.Index = &i
	}
	return f
}

// note adds to what a warning names.
func note(list *[]string, text string) {
	text = strconv.Quote(text)
	text = text[1 : len(text)-1]
	if len(text) > maxTransport {
		text = strings.ToValidUTF8(text[:maxTransport], "") + "..."
	}
	if len(*list) < maxNoted && !slices.Contains(*list, text) {
		*list = append(*list, text)
	}
}

// letter reads one checked JSON object.
func (r *reader) letter(object []byte, l *letter) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return errs.E(errs.Invalid, "a mail is not an object")
	}
	l.index = r.index
	l.to = r.receivers(fields["to"])
	l.subject = r.line("subject", fields["subject"], maxSubject)
	l.company = r.line("company", fields["company"], maxName)
	l.sender = r.line("sendername", fields["sendername"], maxName)
	l.template = r.line("template", fields["template"], maxTemplate)
	l.transport = r.line("transport", fields["transport"], maxTransport)
	if l.transport == "" {
		l.transport = ownTransport
	} else if l.transport != ownTransport {
		note(&r.transports, l.transport)
	}
	if l.template == "" {
		l.html = r.html(fields["html"])
	} else {
		l.values = r.values(fields["html"])
	}
	var others []string
	for name := range fields {
		switch name {
		case "to", "subject", "company", "sendername", "template", "transport", "html":
		default:
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		note(&r.ignored, name)
	}
	return nil
}

// ownTransport is what documents call the relay of the cluster.
const ownTransport = "restdb_mailer"

// receivers reads one address, or an array of them.
func (r *reader) receivers(p json.RawMessage) []string {
	var list []string
	var one string
	switch {
	case nothing(p):
		r.fault("to", "a receiver is needed", codeRequired)
		return nil
	case json.Unmarshal(p, &one) == nil:
		list = []string{one}
	case json.Unmarshal(p, &list) != nil || slices.Contains(list, "") && len(list) > 1:
		r.fault("to", "it is an address, or an array of addresses", codeType, "email")
		return nil
	}
	if len(list) == 0 || list[0] == "" {
		r.fault("to", "a receiver is needed", codeRequired)
		return nil
	}
	for i, text := range list {
		list[i] = strings.Trim(text, " ")
		if !validAddress(list[i]) {
			r.fault("to", "not an e-mail address: "+strconv.QuoteToGraphic(strings.ToValidUTF8(text[:min(len(text), 100)], "")), codeType, "email")
		}
	}
	return list
}

// validAddress reports whether text is local@domain and nothing else: no name,
// no comment, no quotes, no control character.
func validAddress(text string) bool {
	if len(text) > maxAddress || !printable(text) {
		return false
	}
	a, err := mail.ParseAddress(text)
	return err == nil && a.Name == "" && a.Address == text
}

// printable reports whether text has no control characters: such as could end
// a header field of a mail and begin another.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool {
		return c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029'
	})
}

func nothing(p json.RawMessage) bool { return len(p) == 0 || bytes.Equal(p, []byte("null")) }

// line reads a text that may come to stand in a header field.
func (r *reader) line(field string, p json.RawMessage, most int) (text string) {
	if nothing(p) {
		return ""
	}
	switch {
	case json.Unmarshal(p, &text) != nil:
		r.fault(field, "it is a text", codeType, "text")
	case !printable(text):
		r.fault(field, "line breaks and control characters are not allowed", codeRegex)
	case len(text) > most:
		r.fault(field, "it has more than "+strconv.Itoa(most)+" bytes", codeRegex)
	default:
		return text
	}
	return ""
}

// html reads the content of a mail without a template: a text, or an object
// with the text under body.
func (r *reader) html(p json.RawMessage) string {
	var text string
	if !nothing(p) && p[0] == '{' {
		var object struct {
			Body json.RawMessage `json:"body"`
		}
		if err := json.Unmarshal(p, &object); err == nil {
			p = object.Body
		}
	}
	switch {
	case nothing(p):
	case json.Unmarshal(p, &text) != nil:
		r.fault("html", "it is a text, or an object with a text under body", codeType, "text")
		return ""
	}
	if text == "" {
		r.fault("html", "the content of the mail is needed", codeRequired)
	}
	if len(text) > maxHTML {
		r.fault("html", "it has more than "+strconv.Itoa(maxHTML)+" bytes", codeRegex)
	}
	return text
}

// values reads what a template is filled with: an object, the text of one, as
// forms send it, or another text, which is then the value of body.
func (r *reader) values(p json.RawMessage) map[string]any {
	if nothing(p) {
		r.fault("html", "the values for the template are needed", codeRequired)
		return nil
	}
	var text string
	if json.Unmarshal(p, &text) == nil {
		if strings.HasPrefix(strings.TrimSpace(text), "{") {
			if drafts, _, err := collection.ParseDrafts([]byte(text), time.Time{}); err == nil {
				return values(drafts[0].Members)
			}
		}
		return map[string]any{"body": text}
	}
	if p[0] != '{' {
		r.fault("html", "it is an object with the values for the template", codeType, "JSON")
		return nil
	}
	return values(p)
}
