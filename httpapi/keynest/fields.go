package keynest

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault"
)

// fields are the fields of a body, with what was found wrong as they were read.
// Fields that nobody asks for are ignored.
type fields struct {
	values map[string]any // string, json.Number, bool, nil, []any, map[string]any or file
	form   bool           // all are texts, and "" may stand for nothing
	bad    vault.FieldErrors
}

func newFields(values map[string]any) fields { return fields{values: values, bad: vault.FieldErrors{}} }

// set takes a field of a form. Of several with one name the last counts.
func (f *fields) set(name, value string) error {
	if !utf8.ValidString(value) {
		return parseError("the field %s is not valid UTF-8", strconv.QuoteToASCII(name))
	}
	f.form = true
	f.values[name] = value
	return nil
}

// Texts about single fields, as clients know them.
const (
	textRequired = "This field is required."
	textNull     = "This field may not be null."
	textBlank    = "This field may not be blank."
	textNoString = "Not a valid string."
)

// has reports whether the body has a field.
func (f *fields) has(name string) bool {
	_, ok := f.values[name]
	return ok
}

// require notes which of the fields are missing.
func (f *fields) require(names ...string) {
	for _, name := range names {
		if !f.has(name) {
			f.bad.Add(name, textRequired)
		}
	}
}

// text returns a field that is a text, nil if it is missing or none. Numbers
// count as texts.
func (f *fields) text(name string) *string {
	v, ok := f.values[name]
	if !ok {
		return nil
	}
	switch v := v.(type) {
	case string:
		return &v
	case json.Number:
		text := v.String()
		return &text
	case nil:
		f.bad.Add(name, textNull)
	default:
		f.bad.Add(name, textNoString)
	}
	return nil
}

// given is text with "" for a field that is missing or wrong, which is noted.
func (f *fields) given(name string) string {
	if text := f.text(name); text != nil {
		return *text
	}
	return ""
}

// with adds to what is wrong with the fields what the layer has found: err.
// Whoever may not do what is asked, or whose object is not there, is told only
// that; a field that is wrong by itself is only that. It changes nothing, so a
// transaction may call it in each run.
func (f *fields) with(err error) error {
	var found vault.FieldErrors
	switch kind := errs.KindOf(err); {
	case len(f.bad) == 0:
		return err
	case err == nil || kind == errs.Exists:
	case kind != errs.Invalid:
		return err
	default:
		errors.As(err, &found)
	}
	all := maps.Clone(f.bad)
	for name, texts := range found {
		if _, known := all[name]; !known && name != nonField {
			all[name] = texts
		}
	}
	return all
}

// nonField stands for no one field. What it says of fields together means
// nothing when one of them cannot be read.
const nonField = "non_field_errors"

// plain is text for a field that may as well be missing or null.
func (f *fields) plain(name string) string {
	if v, ok := f.values[name]; !ok || v == nil {
		return ""
	}
	return f.given(name)
}

// description returns a field that may be null.
func (f *fields) description(name string) vault.Description {
	v, ok := f.values[name]
	if !ok || v == nil {
		return vault.Description{Given: ok}
	}
	text := f.text(name)
	return vault.Description{Given: text != nil, Text: text}
}

// id returns a field that names a thing, nil if it is missing or no id. A
// number that nothing can have as its id is math.MaxUint64, which nothing has.
func (f *fields) id(name string) *uint64 {
	text, is, has := f.numeral(name)
	if !has {
		return nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	switch {
	case is && err == nil:
		return &id
	case is && text == "" && f.form:
		f.bad.Add(name, textNull)
	case whole(text):
		f.bad.Add(name, "Invalid pk "+strconv.Quote(cut(text))+" - object does not exist.")
	default:
		f.bad.Add(name, "Incorrect type. Expected pk value, received "+typeName(f.values[name])+".")
	}
	return nil
}

// number returns a field that is a whole number from 0, nil if it is missing or
// none. Texts of digits count as numbers. One that nothing can have is
// math.MaxUint64, which nothing has.
func (f *fields) number(name string) *uint64 {
	text, _, has := f.numeral(name)
	if !has {
		return nil
	}
	if text == "" || strings.Trim(text, "0123456789") != "" {
		f.bad.Add(name, "A valid integer is required.")
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		n = math.MaxUint64
	}
	return &n
}

// numeral returns the text of a field that is a number or a text; is tells
// whether it is one of them, and has whether the field is there. Null is noted.
func (f *fields) numeral(name string) (text string, is, has bool) {
	v, has := f.values[name]
	switch v := v.(type) {
	case nil:
		if has {
			f.bad.Add(name, textNull)
		}
		return "", false, false
	case string:
		return strings.TrimSpace(v), true, true
	case json.Number:
		return v.String(), true, true
	}
	return "", false, true
}

// whole reports whether text is a whole number, of whatever size.
func whole(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

// cut bounds what is repeated in an answer.
func cut(text string) string { return text[:min(len(text), 40)] }

// yes returns a field that says yes or no, or the default if it is missing.
// true, 1 and yes mean yes, also as texts, and what is none of the words for
// that means no: it is asked whether something may be lost.
func (f *fields) yes(name string, missing bool) bool {
	v, ok := f.values[name]
	if !ok {
		return missing
	}
	switch v := v.(type) {
	case bool:
		return v
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true", "t", "1", "yes", "y", "on":
			return true
		}
	case json.Number:
		n, err := v.Float64()
		return err == nil && n != 0
	}
	return false
}

// orNull returns the fields, without the given one if that is null: it is as
// good as missing.
func (f *fields) orNull(name string) *fields {
	if v, ok := f.values[name]; ok && v == nil {
		return &fields{}
	}
	return f
}

// truth returns a field that says yes or no, or the default if it is missing.
// Unlike yes it takes no other word for one of them.
func (f *fields) truth(name string, missing bool) bool {
	v, ok := f.values[name]
	if !ok {
		return missing
	}
	text := ""
	switch v := v.(type) {
	case bool:
		return v
	case string:
		text = strings.ToLower(strings.TrimSpace(v))
	case json.Number:
		text = v.String()
	case nil:
		f.bad.Add(name, textNull)
		return missing
	}
	switch text {
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
		return false
	}
	f.bad.Add(name, "Must be a valid boolean.")
	return missing
}

// texts returns a field that is a list of texts, or one text with commas between
// them, as forms and command lines have it. It is nil if it is missing, null or
// no list, which is noted.
func (f *fields) texts(name string) []string {
	switch v := f.values[name].(type) {
	case nil:
	case string:
		if v = strings.TrimSpace(v); v != "" {
			texts := strings.Split(v, ",")
			for i := range texts {
				texts[i] = strings.TrimSpace(texts[i])
			}
			return texts
		}
	case []any:
		texts := make([]string, 0, len(v))
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				f.bad.Add(name, textNoString)
				return nil
			}
			texts = append(texts, text)
		}
		return texts
	default:
		f.bad.Add(name, "Expected a list of items but got type "+typeName(v)+".")
	}
	return nil
}

// textsIfAny is texts for a list that stands for everything where it is missing
// or null. It is not nil if it is empty or wrong: that does not mean all.
func (f *fields) textsIfAny(name string) []string {
	texts := f.texts(name)
	if texts == nil && f.values[name] != nil {
		texts = []string{}
	}
	return texts
}

// canonical is the same for bodies that mean the same.
func (f *fields) canonical() []byte {
	plain := make(map[string]any, len(f.values))
	for name, v := range f.values {
		if upload, ok := v.(file); ok {
			v = map[string]any{"name": upload.name, "data": upload.data}
		}
		plain[name] = v
	}
	return encode(plain)
}
