package collection

import (
	"math"
	"slices"
	"strconv"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// A ValidationError is a document, or several, that the schema or a unique
// index refuses. It is of kind errs.Invalid.
type ValidationError struct{ List []FieldError }

// A FieldError is what is wrong with one field.
type FieldError struct {
	Field   string   `json:"field"`
	Message []string `json:"message"`         // for people; REQUIRED, UNIQUE, TYPE or REGEX; with TYPE the type
	Index   *int     `json:"index,omitempty"` // of the document, if the client sent an array
}

// Error returns the text that the API answers above the list.
func (e *ValidationError) Error() string { return errValidation.Msg }

// Unwrap returns an error of kind errs.Invalid.
func (e *ValidationError) Unwrap() error { return errValidation }

var errValidation = errs.E(errs.Invalid, "Validation failed")

// Codes of FieldErrors.
const (
	codeRequired = "REQUIRED"
	codeUnique   = "UNIQUE"
	codeType     = "TYPE"
	codeRegex    = "REGEX"
)

// maxFaults bounds the list of a ValidationError.
const maxFaults = 1_000

// checker applies a schema to the documents of one write.
type checker struct {
	c       *Collection
	o       WriteOptions
	index   *int // of the document in the client's array; nil: there is none
	faults  []FieldError
	numbers map[string]*sequence // by auto-increment field
}

// sequence is the last number that an auto-increment field was given.
type sequence struct{ stored, last int64 }

func (c *Collection) checker(o WriteOptions) *checker {
	o.SkipValidate = o.SkipValidate && c.full
	return &checker{c: c, o: o}
}

// add notes a fault of the current document.
func (k *checker) add(field, text string, code ...string) {
	if len(k.faults) < maxFaults {
		f := FieldError{Field: field, Message: append([]string{text}, code...)}
		if k.index != nil {
			i := *k.index
			f.Index = &i
		}
		k.faults = append(k.faults, f)
	}
}

// done ends the write: with a ValidationError, or with the numbers it has used.
func (k *checker) done() error {
	if len(k.faults) > 0 {
		return &ValidationError{List: k.faults}
	}
	for _, r := range k.list() {
		if s := k.numbers[r.Name]; s != nil && s.last != s.stored {
			k.c.tx.Set(sequenceKey(k.c.row.Number, r.Name), command.Int(s.last).Append(nil), 0)
		}
	}
	return nil
}

func (k *checker) list() []*fieldRule {
	r, err := k.c.row.rules()
	if err != nil || r == nil {
		return nil
	}
	return r.list
}

// fields returns the fields of a document as they are to be stored: what the
// types say, numbers given out, formulas computed. ok is false if something is
// wrong with them. before is what an update finds; nil for a new document.
func (k *checker) fields(list, before []pair) (now []pair, ok bool, err error) {
	list = k.c.systemFields(list)
	r, err := k.c.row.rules()
	if err != nil || r == nil {
		return list, err == nil, err
	}
	faults, full := len(k.faults), len(k.faults) == maxFaults
	now = make([]pair, 0, len(list)+2)
	has := make(map[string]bool, len(r.list))
	for _, m := range list {
		rule := r.byName[m.name()]
		switch {
		case rule == nil:
			if (r.strict || k.c.strict) && !k.o.SkipValidate {
				k.add(m.name(), "the schema has no such field", codeType)
			}
			now = append(now, m)
			continue
		case rule.child(): // they are documents of their own; a client sends back what it was shown
			continue
		case rule.formula != nil: // computed below
			continue
		case rule.AutoIncrement: // numbered below; it keeps its place
			now = append(now, m)
			continue
		}
		m.value = k.value(rule, m.value)
		has[rule.Name] = !empty(m.value)
		now = append(now, m)
	}
	if now, err = k.count(r, now, before); err != nil {
		return nil, false, err
	}
	for _, rule := range r.list {
		if rule.Required && !rule.AutoIncrement && !has[rule.Name] && !k.o.SkipValidate {
			k.add(rule.Name, "this field is required", codeRequired)
		}
	}
	return r.compute(now), len(k.faults) == faults && !full, nil
}

// value returns a field's value as it is to be stored.
func (k *checker) value(r *fieldRule, value []byte) []byte {
	if k.o.Texts && isText(value) {
		value = r.readText(value)
	}
	now, fault := r.read(value)
	if fault == nil {
		return now
	}
	if !k.o.SkipValidate {
		k.add(r.Name, fault.text, fault.codes...)
	}
	return value
}

// count sets the auto-increment fields: to the numbers that the document has,
// else to the next ones. What the client sent does not matter, so no number is
// given twice.
func (k *checker) count(r *rules, list, before []pair) ([]pair, error) {
	for _, rule := range r.list {
		if !rule.AutoIncrement {
			continue
		}
		has := func(m pair) bool { return m.is(rule.Name) }
		var m pair
		if i := slices.IndexFunc(before, has); i >= 0 && isNumber(before[i].value) {
			m = before[i]
		} else {
			s, err := k.sequence(rule.Name)
			if err != nil {
				return nil, err
			}
			if s.last == math.MaxInt64 {
				return nil, errs.E(errs.Invalid, "field %s: no number is left", rule.Name)
			}
			s.last++
			m = newPair(rule.Name, strconv.AppendInt(nil, s.last, 10))
		}
		if i := slices.IndexFunc(list, has); i >= 0 {
			list[i] = m
		} else {
			list = append(list, m)
		}
	}
	return list, nil
}

// sequence reads the last number of a field, once for each write.
func (k *checker) sequence(field string) (*sequence, error) {
	if s := k.numbers[field]; s != nil {
		return s, nil
	}
	rec, ok, err := k.c.tx.Get(sequenceKey(k.c.row.Number, field))
	if err != nil {
		return nil, err
	}
	s := &sequence{}
	if ok {
		if s.stored, err = strconv.ParseInt(string(rec.Value), 10, 64); err != nil {
			return nil, errs.E(errs.Internal, "the last number of a field is damaged")
		}
		s.last = s.stored
	}
	if k.numbers == nil {
		k.numbers = make(map[string]*sequence)
	}
	k.numbers[field] = s
	return s, nil
}

// compute appends the fields with formulas, in the order of the schema; each
// sees those before it.
func (r *rules) compute(list []pair) []pair {
	var object []byte
	for _, rule := range r.list {
		if rule.formula == nil {
			continue
		}
		object = joinObject(list)
		list = append(list, newPair(rule.Name, rule.formula.json(object, rule.Type == typeText)))
	}
	return list
}

// empty reports whether a value is none, as far as required fields go.
func empty(value []byte) bool {
	switch string(value) {
	case "null", `""`, "[]":
		return true
	}
	return false
}
