package collection

import (
	"bytes"
	"strings"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// A Draft is a document before it is stored, made before the transaction.
type Draft struct {
	ID      OID    // with its second only: Insert draws the rest
	Given   bool   // the client chose the id: it must be free
	Members []byte // a checked, compact JSON object without metafields
	Parent  *Parent
}

// A Parent says what a document is a child of.
type Parent struct {
	ID         string // of the parent
	Collection string // the parent's
	Field      string // of the parent's schema, with relation child
}

// fields returns the _parent_* fields, with a comma before each.
func (p *Parent) fields() []byte {
	if p == nil {
		return nil
	}
	dst := query.AppendText([]byte(`,"_parent_id":`), p.ID)
	dst = query.AppendText(append(dst, `,"_parent_def":`...), p.Collection)
	return query.AppendText(append(dst, `,"_parent_field":`...), p.Field)
}

// ParseDrafts reads the body of a POST: an object, or an array of them (many).
// The ids that the client has not given have the second of at, and get the rest
// from Insert. What is no JSON, or not such JSON as a document may be, is
// errs.Invalid.
func ParseDrafts(body []byte, at time.Time) (drafts []Draft, many bool, err error) {
	p, err := compact(make([]byte, 0, len(body)), body)
	if err != nil {
		return nil, false, err
	}
	if p[0] == '{' {
		d, err := newDraft(p, at)
		return []Draft{d}, false, err
	}
	if p[0] != '[' {
		return nil, false, errs.E(errs.Invalid, "the body is neither an object nor an array of objects")
	}
	for e := range elements(p) {
		if e[0] != '{' {
			return nil, true, errs.E(errs.Invalid, "element %d of the body is not an object", len(drafts))
		}
		if len(drafts) == command.MaxOps {
			return nil, true, errs.E(errs.TooLarge, "more than %d documents in one request", command.MaxOps)
		}
		d, err := newDraft(e, at)
		if err != nil {
			return nil, true, errs.E(errs.KindOf(err), "element %d of the body: %w", len(drafts), err)
		}
		drafts = append(drafts, d)
	}
	return drafts, true, nil
}

// newDraft reads one document of a body.
func newDraft(object []byte, at time.Time) (Draft, error) {
	d := Draft{Members: object}
	var parent [3][]byte // id, collection, field
	var rest []pair
	dropped := false
	for m := range pairs(object) {
		name := m.name()
		switch {
		case strings.HasPrefix(name, "$"):
			return Draft{}, errs.E(errs.Invalid, "%.100q is not a name for a field of a new document", name)
		case !isMetafield(name):
			rest = append(rest, m)
			continue
		case name == "_id" && !isNull(m.value):
			var ok bool
			if d.ID, ok = oidOf(m.value); !ok {
				return Draft{}, errs.E(errs.Invalid, "_id is not a text of 24 lower-case hexadecimal digits")
			}
			d.Given = true
		case name == "_parent_id":
			parent[0] = m.value
		case name == "_parent_def":
			parent[1] = m.value
		case name == "_parent_field":
			parent[2] = m.value
		}
		dropped = true
	}
	if dropped {
		d.Members = joinObject(rest)
	}
	if !d.Given {
		d.ID = idAt(at)
	}
	var err error
	d.Parent, err = newParent(parent)
	return d, err
}

// newParent reads the _parent_* fields that a client has sent; nil if there is
// no _parent_id.
func newParent(fields [3][]byte) (*Parent, error) {
	if fields[0] == nil || isNull(fields[0]) {
		return nil, nil
	}
	p := &Parent{Collection: textOf(fields[1]), Field: textOf(fields[2])}
	id, ok := oidOf(fields[0])
	if !ok {
		return nil, errs.E(errs.Invalid, "_parent_id is not a text of 24 lower-case hexadecimal digits")
	}
	p.ID = id.String()
	if !ValidName(p.Collection) {
		return nil, errs.E(errs.Invalid, "_parent_def does not name a collection")
	}
	if !validField(p.Field) {
		return nil, errs.E(errs.Invalid, "_parent_field does not name a field")
	}
	return p, nil
}

func isNull(value []byte) bool { return bytes.Equal(value, []byte("null")) }

// isText reports whether a value is a text.
func isText(value []byte) bool { return len(value) > 0 && value[0] == '"' }

// textOf returns the text that a value is, "" if it is none.
func textOf(value []byte) string {
	if !isText(value) {
		return ""
	}
	return string(plainText(value))
}

// oidOf returns the id that a value is the text of.
func oidOf(value []byte) (OID, bool) { return ParseOID(textOf(value)) }
