package query

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// maxMoment bounds the text of a date format.
const maxMoment = 200

// momentTokens are the tokens of the moment library's format(), for an English
// locale, in the order in which they are tried at each place: a longer token
// stands before its beginnings. See https://momentjs.com/docs/#/displaying/format/.
var momentTokens = []string{
	"hmmss", "Hmmss", "hmm", "Hmm",
	"Mo", "MMMM", "MMM", "MM", "M",
	"Do", "DDDo", "DDDD", "DDD", "DD", "D",
	"dddd", "ddd", "dd", "do", "d",
	"wo", "ww", "w", "Wo", "WW", "W", "Qo", "Q",
	"NNNNN", "NNNN", "NNN", "NN", "N",
	"YYYYYY", "YYYYY", "YYYY", "YY", "Y", "yyyy", "yyy", "yy", "yo", "y",
	"ggggg", "gggg", "gg", "GGGGG", "GGGG", "GG",
	"e", "E", "a", "A", "hh", "h", "HH", "H", "kk", "k", "mm", "m", "ss", "s",
	"SSSSSSSSS", "SSSSSSSS", "SSSSSSS", "SSSSSS", "SSSSS", "SSSS", "SSS", "SS", "S",
	"x", "X", "zz", "z", "ZZ", "Z",
}

// momentLocal is a token that stands for a whole format.
type momentLocal struct{ token, format string }

var momentLocals = []momentLocal{
	{"LTS", "h:mm:ss A"},
	{"LT", "h:mm A"},
	{"LLLL", "dddd, MMMM D, YYYY h:mm A"},
	{"LLL", "MMMM D, YYYY h:mm A"},
	{"LL", "MMMM D, YYYY"},
	{"L", "MM/DD/YYYY"},
	{"llll", "ddd, MMM D, YYYY h:mm A"},
	{"lll", "MMM D, YYYY h:mm A"},
	{"ll", "MMM D, YYYY"},
	{"l", "M/D/YYYY"},
}

// momentPart is a token or, with token empty, literal text.
type momentPart struct{ token, literal string }

// momentFormat is a parsed date format. Any text is one: what is no token
// stands for itself.
type momentFormat []momentPart

// parseMoment cuts a format into its parts. Text in [brackets] and behind a
// backslash is literal.
func parseMoment(format string) momentFormat {
	var f momentFormat
	for rest := momentExpanded(format); rest != ""; {
		part, n := momentNext(rest)
		f, rest = append(f, part), rest[n:]
	}
	return f
}

// momentNext returns the part at the beginning of a text, and its length.
func momentNext(s string) (part momentPart, n int) {
	if n := momentBracket(s); n > 0 {
		return momentPart{literal: s[1 : n-1]}, n
	}
	if s[0] == '\\' {
		lit := s[1:min(len(s), 2)]
		if t := momentToken(s[1:]); t != "" {
			lit = t
		}
		return momentPart{literal: strings.Trim(lit, `\`)}, 1 + len(lit)
	}
	if t := momentToken(s); t != "" {
		return momentPart{token: t}, len(t)
	}
	return momentPart{literal: s[:1]}, 1
}

// momentBracket returns the length of the [literal] at the beginning of a
// text, 0 if there is none. As with moment it ends at the last bracket before
// the next literal, so it may hold a closing one.
func momentBracket(s string) int {
	if !strings.HasPrefix(s, "[") {
		return 0
	}
	within := s[1:]
	if next := strings.IndexByte(within, '['); next >= 0 {
		within = within[:next]
	}
	end := strings.LastIndexByte(within, ']')
	if end < 0 {
		return 0
	}
	return end + 2
}

func momentToken(s string) string {
	for _, t := range momentTokens {
		if strings.HasPrefix(s, t) {
			return t
		}
	}
	return ""
}

// momentExpanded replaces the tokens that stand for a whole format. That comes
// before all else: their text may join with what follows.
func momentExpanded(format string) string {
	var b strings.Builder
	for s := format; s != ""; {
		n := max(1, momentBracket(s))
		if l, ok := momentLocalToken(s); ok {
			b.WriteString(l.format)
			s = s[len(l.token):]
			continue
		}
		if s[0] == '\\' {
			l, _ := momentLocalToken(s[1:])
			n = 1 + len(l.token)
		}
		b.WriteString(s[:n])
		s = s[n:]
	}
	return b.String()
}

func momentLocalToken(s string) (local momentLocal, ok bool) {
	for _, l := range momentLocals {
		if strings.HasPrefix(s, l.token) {
			return l, true
		}
	}
	return momentLocal{}, false
}

// append appends t, which is in UTC, in the format.
func (f momentFormat) append(dst []byte, t time.Time) []byte {
	for _, p := range f {
		if p.token == "" {
			dst = append(dst, p.literal...)
		} else {
			dst = appendMoment(dst, p.token, t)
		}
	}
	return dst
}

func appendMoment(dst []byte, token string, t time.Time) []byte {
	switch token[0] {
	case 'Y', 'y', 'N', 'G', 'g':
		return appendMomentYear(dst, token, t)
	case 'M', 'Q', 'D', 'd', 'e', 'E', 'w', 'W':
		return appendMomentDay(dst, token, t)
	case 'z':
		if token == "zz" {
			return append(dst, "Coordinated Universal Time"...)
		}
		return append(dst, "UTC"...)
	case 'Z':
		if token == "ZZ" {
			return append(dst, "+0000"...)
		}
		return append(dst, "+00:00"...)
	}
	return appendMomentTime(dst, token, t)
}

func appendMomentYear(dst []byte, token string, t time.Time) []byte {
	era, eraName, eraYear := "AD", "Anno Domini", t.Year()
	if eraYear <= 0 {
		era, eraName, eraYear = "BC", "Before Christ", 1-eraYear
	}
	switch token {
	case "NNNN":
		return append(dst, eraName...)
	case "N", "NN", "NNN", "NNNNN":
		return append(dst, era...)
	case "yo":
		return appendOrdinal(dst, eraYear)
	case "y", "yy", "yyy", "yyyy":
		return appendPadded(dst, eraYear, len(token))
	case "Y":
		if t.Year() > 9999 {
			dst = append(dst, '+')
		}
		return appendPadded(dst, t.Year(), 4)
	case "YYYYYY":
		if t.Year() >= 0 {
			dst = append(dst, '+')
		}
		return appendPadded(dst, t.Year(), 6)
	}
	year := t.Year()
	switch token[0] {
	case 'G':
		year, _ = t.ISOWeek()
	case 'g':
		year, _ = localWeek(t)
	}
	if len(token) == 2 {
		year %= 100
	}
	return appendPadded(dst, year, len(token))
}

func appendMomentDay(dst []byte, token string, t time.Time) []byte {
	n := 0
	switch token {
	case "MMMM":
		return append(dst, t.Month().String()...)
	case "MMM":
		return append(dst, t.Month().String()[:3]...)
	case "dddd":
		return append(dst, t.Weekday().String()...)
	case "ddd":
		return append(dst, t.Weekday().String()[:3]...)
	case "dd":
		return append(dst, t.Weekday().String()[:2]...)
	case "M", "MM", "Mo":
		n = int(t.Month())
	case "Q", "Qo":
		n = (int(t.Month()) + 2) / 3
	case "D", "DD", "Do":
		n = t.Day()
	case "DDD", "DDDo":
		n = t.YearDay()
	case "DDDD":
		return appendPadded(dst, t.YearDay(), len("366"))
	case "d", "do", "e":
		n = int(t.Weekday())
	case "E":
		n = (int(t.Weekday())+6)%7 + 1
	case "w", "ww", "wo":
		_, n = localWeek(t)
	case "W", "WW", "Wo":
		_, n = t.ISOWeek()
	}
	if token[len(token)-1] == 'o' {
		return appendOrdinal(dst, n)
	}
	if len(token) == 2 {
		return appendPadded(dst, n, 2)
	}
	return appendPadded(dst, n, 1)
}

func appendMomentTime(dst []byte, token string, t time.Time) []byte {
	hour12 := (t.Hour()+11)%12 + 1
	switch token {
	case "a":
		return append(dst, [2]string{"am", "pm"}[t.Hour()/12]...)
	case "A":
		return append(dst, [2]string{"AM", "PM"}[t.Hour()/12]...)
	case "H", "HH":
		return appendPadded(dst, t.Hour(), len(token))
	case "h", "hh":
		return appendPadded(dst, hour12, len(token))
	case "k", "kk":
		return appendPadded(dst, (t.Hour()+23)%24+1, len(token))
	case "m", "mm":
		return appendPadded(dst, t.Minute(), len(token))
	case "s", "ss":
		return appendPadded(dst, t.Second(), len(token))
	case "X":
		return strconv.AppendInt(dst, t.Unix(), 10)
	case "x":
		return strconv.AppendInt(dst, t.UnixMilli(), 10)
	}
	if token[0] == 'S' { // milliseconds are all that moment knows
		digits := appendPadded(nil, t.Nanosecond()/int(time.Millisecond), 3)
		digits = append(digits, "000000"...)
		return append(dst, digits[:len(token)]...)
	}
	if token[0] == 'h' {
		dst = strconv.AppendInt(dst, int64(hour12), 10)
	} else {
		dst = strconv.AppendInt(dst, int64(t.Hour()), 10)
	}
	dst = appendPadded(dst, t.Minute(), 2)
	if len(token) == len("hmmss") {
		dst = appendPadded(dst, t.Second(), 2)
	}
	return dst
}

// localWeek returns the year and number of a week as the United States count:
// it begins on a Sunday, and the week with January 1 is the first.
func localWeek(t time.Time) (year, week int) {
	saturday := t.AddDate(0, 0, int(time.Saturday-t.Weekday()))
	return saturday.Year(), (saturday.YearDay()-1)/7 + 1
}

// appendOrdinal appends 1st, 2nd, 3rd, 4th.
func appendOrdinal(dst []byte, n int) []byte {
	dst = strconv.AppendInt(dst, int64(n), 10)
	if n/10%10 == 1 || n%10 == 0 || n%10 > 3 {
		return append(dst, "th"...)
	}
	return append(dst, [4]string{"", "st", "nd", "rd"}[n%10]...)
}

// appendPadded appends n with leading zeros up to a width, its sign apart.
func appendPadded(dst []byte, n, width int) []byte {
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	for limit := int(math.Pow10(width - 1)); n < limit && limit > 1; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(n), 10)
}
