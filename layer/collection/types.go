package collection

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fault is what is wrong with a value.
type fault struct {
	text  string
	codes []string
}

func typeFault(text string, kind ...string) *fault {
	return &fault{text, append([]string{codeType}, kind...)}
}

// read returns a value as a field of the rule's type holds it.
func (r *fieldRule) read(value []byte) ([]byte, *fault) {
	switch r.Type {
	case typeImage, typeFile:
		return readMedia(value)
	case typeCollection:
		return r.readLookup(value)
	}
	if isNull(value) {
		return value, nil
	}
	switch r.Type {
	case typeText, typeRichText, typeEmail:
		return r.readTexts(value)
	case typeNumber:
		if _, ok := integer(value); !ok {
			return nil, typeFault("this is not an integer", typeNumber)
		}
	case typeFloat:
		if !isNumber(value) {
			return nil, typeFault("this is not a number", typeFloat)
		}
	case typeMoney:
		return readMoney(value)
	case typeBool:
		if value[0] != 't' && value[0] != 'f' {
			return nil, typeFault("this is neither true nor false", typeBool)
		}
	case typeJSON:
		if value[0] != '{' && value[0] != '[' {
			return nil, typeFault("this is neither an object nor an array", typeJSON)
		}
	case typeDate, typeDateTime, typeTime:
		return r.readDate(value)
	case typeOption:
		return r.readOption(value)
	}
	return value, nil
}

// readText returns what the text of a form stands for in a field of the rule's
// type, and the text itself if it stands for nothing.
func (r *fieldRule) readText(value []byte) []byte {
	var starts string
	switch r.Type {
	case typeNumber, typeFloat, typeMoney:
		starts = "-0123456789"
	case typeBool:
		starts = "tf"
	case typeJSON:
		starts = "{["
	default:
		return value
	}
	text := bytes.TrimSpace(plainText(value))
	if len(text) == 0 {
		return []byte("null")
	}
	if strings.IndexByte(starts, text[0]) >= 0 {
		if p, err := compact(nil, text); err == nil && depth(p) < maxDepth {
			return p
		}
	}
	return value
}

func (r *fieldRule) readTexts(value []byte) ([]byte, *fault) {
	if !isText(value) {
		return nil, typeFault("this is not a text", r.Type)
	}
	text := plainText(value)
	if len(text) == 0 {
		return value, nil
	}
	if r.Type == typeEmail && !validEmail(string(text)) {
		return nil, typeFault("this is not an e-mail address", typeEmail)
	}
	if r.pattern != nil && !r.pattern.Match(text) {
		return nil, &fault{"this does not match the pattern of the field", []string{codeRegex}}
	}
	return value, nil
}

// validEmail looks for what every address has; only its owner knows the rest.
func validEmail(text string) bool {
	local, domain, ok := strings.Cut(text, "@")
	if !ok || local == "" || len(local) > 64 || len(text) > 254 || strings.ContainsAny(text, " \t\r\n<>()[],;:\\\"") {
		return false
	}
	if strings.Contains(domain, "@") || !strings.Contains(domain, ".") {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// readMoney rounds to two decimals: what a client has computed is seldom exact.
func readMoney(value []byte) ([]byte, *fault) {
	if !isNumber(value) {
		return nil, typeFault("this is not an amount of money", typeMoney)
	}
	_, decimals, _ := strings.Cut(string(value), ".")
	if len(decimals) <= 2 && !bytes.ContainsAny(value, "eE") {
		return value, nil
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(number(value), 'f', 2, 64), 64)
	if err != nil {
		return value, nil
	}
	if p, err := floatText(rounded); err == nil {
		return p, nil
	}
	return value, nil
}

// readMedia returns an array of media ids.
func readMedia(value []byte) ([]byte, *fault) {
	list, ok := listOf(value)
	if !ok {
		return nil, typeFault("this is not a list of media ids")
	}
	for _, e := range list {
		if !isText(e) || len(e) == len(`""`) {
			return nil, typeFault("this is not a list of media ids")
		}
	}
	return joinArray(list), nil
}

// listOf returns the elements of an array, or the one value that stands for it;
// null and the empty text stand for none.
func listOf(value []byte) ([][]byte, bool) {
	switch {
	case value[0] == '[':
		return slices.Collect(elements(value)), true
	case isNull(value) || string(value) == `""`:
		return nil, true
	}
	return [][]byte{value}, isText(value) || value[0] == '{'
}

// readLookup returns an array of the ids of documents, whatever was sent.
func (r *fieldRule) readLookup(value []byte) ([]byte, *fault) {
	list, ok := listOf(value)
	ids := make([][]byte, 0, len(list))
	for _, e := range list {
		if e[0] == '{' {
			e = find(e, "_id")
		}
		id, is := oidOf(e)
		if ok = ok && is; !ok {
			break
		}
		ids = append(ids, quote(id.String()))
	}
	switch {
	case !ok:
		return nil, typeFault("this does not name documents of "+r.Collection, typeCollection)
	case r.Relation == relationOne && len(ids) > 1:
		return nil, typeFault("only one document of "+r.Collection+" can stand here", typeCollection)
	}
	return joinArray(ids), nil
}

// readOption accepts one of the options, or an array of them.
func (r *fieldRule) readOption(value []byte) ([]byte, *fault) {
	list := [][]byte{value}
	if value[0] == '[' {
		list = slices.Collect(elements(value))
	}
	for _, e := range list {
		text := string(e)
		if isText(e) {
			text = textOf(e)
		} else if !isNumber(e) {
			return nil, typeFault("this is not an option", typeOption)
		}
		if text != "" && len(r.Options) > 0 && !slices.Contains(r.Options, text) {
			return nil, typeFault("this is none of the options", typeOption)
		}
	}
	return value, nil
}

// dateLayouts are the forms of ISO 8601 that are read; each also with a
// fraction of a second.
var dateLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02", "2006-01-02T15:04:05", "2006-01-02T15:04",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700",
}

// readDate returns a time as an ISO text, in UTC and to the millisecond. It
// takes such texts with and without a zone, unix milliseconds, and either as a
// $date.
func (r *fieldRule) readDate(value []byte) ([]byte, *fault) {
	if value[0] == '{' {
		if list := split(value); len(list) == 1 && list[0].is("$date") {
			value = list[0].value
		}
	}
	at, ok := time.Time{}, false
	switch {
	case string(value) == `""`:
		return value, nil
	case isText(value):
		at, ok = r.parseDate(textOf(value))
	case isNumber(value):
		var ms int64
		ms, ok = integer(value)
		at = time.UnixMilli(ms)
	}
	if at = at.UTC(); !ok || at.Year() < 0 || at.Year() > 9999 {
		return nil, typeFault("this is not a "+r.Type, r.Type)
	}
	if r.Type == typeTime {
		at = time.Date(1970, 1, 1, at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
	}
	return quote(timeText(at)), nil
}

func (r *fieldRule) parseDate(text string) (time.Time, bool) {
	if r.Type == typeTime {
		for _, layout := range []string{"15:04:05", "15:04"} {
			if at, err := time.Parse(layout, text); err == nil {
				return at, true
			}
		}
	}
	if len(text) > len("2006-01-02") && text[len("2006-01-02")] == ' ' {
		text = strings.Replace(text, " ", "T", 1)
	}
	for _, layout := range dateLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
