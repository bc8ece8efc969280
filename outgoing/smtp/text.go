package smtp

import (
	"html"
	"strings"
)

// Tags whose content is not shown, and those that begin a line.
var (
	hidden = map[string]bool{"script": true, "style": true, "head": true, "title": true, "template": true}
	breaks = map[string]bool{
		"p": true, "br": true, "div": true, "tr": true, "li": true, "ul": true, "ol": true, "table": true, "hr": true, "blockquote": true,
		"h1": true, "h2": true, "h3": true, "h4": true, "h5": true, "h6": true, "section": true, "header": true, "footer": true, "pre": true,
	}
)

// plainText makes the text alternative of a mail: what its HTML shows, a line
// for each block, and the targets of its links behind them. It reads HTML of any
// quality in one pass and renders nothing.
func plainText(source string) string {
	var t textMaker
	for source != "" {
		at := strings.IndexByte(source, '<')
		if at < 0 {
			at = len(source)
		}
		t.text(source[:at])
		if source = source[at:]; source == "" {
			break
		}
		source = t.markup(source)
	}
	return t.lines()
}

type textMaker struct {
	b      strings.Builder
	inside string // the tag whose content is hidden
	link   string // the target of the link that is open
}

func (t *textMaker) text(s string) {
	if t.inside == "" {
		t.b.WriteString(strings.Map(func(c rune) rune {
			if c == '\n' || c == '\r' || c == '\t' {
				return ' '
			}
			return c
		}, html.UnescapeString(s)))
	}
}

// markup reads what begins with < and returns what follows.
func (t *textMaker) markup(s string) (rest string) {
	if strings.HasPrefix(s, "<!--") {
		_, rest, _ = strings.Cut(s, "-->")
		return rest
	}
	name := strings.ToLower(tagName(strings.TrimPrefix(s[1:], "/")))
	if name == "" && !strings.HasPrefix(s, "<!") && !strings.HasPrefix(s, "<?") {
		t.text("<") // no tag: a sign
		return s[1:]
	}
	end := tagEnd(s)
	tag, closing := s[:end], strings.HasPrefix(s, "</")
	switch {
	case t.inside != "":
		if closing && name == t.inside {
			t.inside = ""
		}
	case hidden[name] && !closing && !strings.HasSuffix(tag, "/>"):
		t.inside = name
	case breaks[name]:
		t.b.WriteByte('\n')
	case name == "td" || name == "th":
		t.b.WriteByte(' ')
	case name == "a" && closing:
		if t.link != "" {
			t.b.WriteString(" (" + t.link + ")")
		}
		t.link = ""
	case name == "a":
		t.link = target(tag)
	}
	return s[end:]
}

// tagName returns the letters and digits that s begins with.
func tagName(s string) string {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (i == 0 || s[i] < '0' || s[i] > '9') {
			return s[:i]
		}
	}
	return s
}

// tagEnd is where what follows a tag begins. A > between quotes does not end it.
func tagEnd(s string) int {
	var quote byte
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return len(s)
}

// target returns where a link leads, if that can be shown: the web or a mail.
func target(tag string) string {
	lower := strings.ToLower(tag)
	at := strings.Index(lower, "href=")
	if at < 0 || len(lower) != len(tag) {
		return ""
	}
	value := tag[at+len("href="):]
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		value, _, _ = strings.Cut(value[1:], value[:1])
	} else {
		value = strings.TrimRight(strings.SplitN(value, " ", 2)[0], ">")
	}
	value = strings.TrimSpace(html.UnescapeString(value))
	for _, scheme := range []string{"http://", "https://", "mailto:"} {
		if strings.HasPrefix(strings.ToLower(value), scheme) {
			return value
		}
	}
	return ""
}

// lines returns the text without blanks around lines and with one empty line
// where there were several.
func (t *textMaker) lines() string {
	var out []string
	for line := range strings.SplitSeq(t.b.String(), "\n") {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, line)
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n"
}
