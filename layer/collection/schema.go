package collection

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// The types of fields.
const (
	typeText       = "text"
	typeNumber     = "number" // an integer
	typeFloat      = "float_number"
	typeMoney      = "money" // two decimals
	typeEmail      = "email"
	typeRichText   = "richtext"
	typeBool       = "bool"
	typeJSON       = "JSON" // an object or an array
	typeDate       = "date"
	typeDateTime   = "datetime"
	typeTime       = "time"
	typeImage      = "image"
	typeFile       = "file"
	typeOption     = "option"
	typeCollection = "collection" // a relation
)

// The relations of a field of type collection.
const (
	relationOne   = "one"
	relationMany  = "many"
	relationChild = "child"
)

var fieldTypes = []string{
	typeText, typeNumber, typeFloat, typeMoney, typeEmail, typeRichText, typeBool, typeJSON,
	typeDate, typeDateTime, typeTime, typeImage, typeFile, typeOption, typeCollection,
}

// Limits of schemas.
const (
	maxFields      = 500
	maxFieldName   = 128
	maxOptions     = 1_000
	maxSchemaText  = 1_000 // of a pattern, an option, a formula
	maxDescription = 10_000
)

// validField reports whether a field of a schema may be called name. Names with
// a dot cannot be reached by a query, and _ and $ begin those that are ours.
func validField(name string) bool {
	return name != "" && len(name) <= maxFieldName && utf8.ValidString(name) &&
		!strings.ContainsAny(name, ".\x00") && name[0] != '_' && name[0] != '$'
}

// lookup reports whether the field holds ids of documents.
func (f *Field) lookup() bool { return f.Type == typeCollection && f.Relation != relationChild }

// child reports whether the field stands for documents that have this one as
// their parent.
func (f *Field) child() bool { return f.Type == typeCollection && f.Relation == relationChild }

// rules are a schema made ready for work.
type rules struct {
	list   []*fieldRule // in the order of the schema
	byName map[string]*fieldRule
	strict bool
}

// fieldRule is one field of a schema.
type fieldRule struct {
	Field
	pattern *regexp.Regexp // nil: none
	formula *formula       // nil: none
}

// compiled is a schema's rules, made when they are first needed.
type compiled struct {
	once  sync.Once
	rules *rules
	err   error
}

// rules returns the rules of the row's schema; nil if it has none.
func (r *row) rules() (*rules, error) {
	r.compiled.once.Do(func() { r.compiled.rules, r.compiled.err = r.Schema.compile() })
	if r.compiled.err != nil {
		return nil, &errs.Error{Kind: errs.Internal, Msg: "the schema of a collection is damaged", Err: r.compiled.err}
	}
	return r.compiled.rules, nil
}

// compile checks a schema. errs.Invalid says which field is wrong.
func (s *Schema) compile() (*rules, error) {
	if len(s.Fields) == 0 && !s.Strict {
		return nil, nil
	}
	if len(s.Fields) > maxFields {
		return nil, errs.E(errs.Invalid, "a schema of %d fields, the limit is %d", len(s.Fields), maxFields)
	}
	if len(s.Description) > maxDescription {
		return nil, errs.E(errs.Invalid, "a description of %d bytes, the limit is %d", len(s.Description), maxDescription)
	}
	r := &rules{byName: make(map[string]*fieldRule, len(s.Fields)), strict: s.Strict}
	for i := range s.Fields {
		f := &s.Fields[i]
		if !validField(f.Name) {
			return nil, errs.E(errs.Invalid, "field %d: %.200q is no name for a field", i, f.Name)
		}
		if r.byName[f.Name] != nil {
			return nil, errs.E(errs.Invalid, "field %s: the schema has it twice", f.Name)
		}
		one, err := f.compile()
		if err != nil {
			return nil, errs.E(errs.Invalid, "field %s: %w", f.Name, err)
		}
		r.list = append(r.list, one)
		r.byName[f.Name] = one
	}
	return r, nil
}

func (f *Field) compile() (*fieldRule, error) {
	r := &fieldRule{Field: *f}
	if !slices.Contains(fieldTypes, f.Type) {
		return nil, errs.E(errs.Invalid, "%.100q is none of the types %s", f.Type, strings.Join(fieldTypes, ", "))
	}
	for _, check := range []func(*fieldRule) error{checkRelation, checkOptions, checkFlags, compilePattern, compileFormula} {
		if err := check(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func checkRelation(r *fieldRule) error {
	switch {
	case r.Type != typeCollection && (r.Collection != "" || r.Relation != ""):
		return errs.E(errs.Invalid, "only fields of type collection have a collection and a relation")
	case r.Type != typeCollection:
		return nil
	case r.Relation != relationOne && r.Relation != relationMany && r.Relation != relationChild:
		return errs.E(errs.Invalid, "the relation is one, many or child, not %.100q", r.Relation)
	case !ValidName(r.Collection):
		return errs.E(errs.Invalid, "%.100q is no name of a collection", r.Collection)
	}
	return nil
}

func checkOptions(r *fieldRule) error {
	if len(r.Options) > 0 && r.Type != typeOption {
		return errs.E(errs.Invalid, "only fields of type option have options")
	}
	if len(r.Options) > maxOptions {
		return errs.E(errs.Invalid, "%d options, the limit is %d", len(r.Options), maxOptions)
	}
	for _, o := range r.Options {
		if len(o) > maxSchemaText {
			return errs.E(errs.Invalid, "an option of %d bytes, the limit is %d", len(o), maxSchemaText)
		}
	}
	return nil
}

// checkFlags refuses what could never hold, or would be without effect.
func checkFlags(r *fieldRule) error {
	single := !slices.Contains([]string{typeJSON, typeImage, typeFile}, r.Type) && !r.child()
	switch {
	case r.Unique && !single:
		return errs.E(errs.Invalid, "values of this type cannot be unique")
	case r.AutoIncrement && r.Type != typeNumber:
		return errs.E(errs.Invalid, "only fields of type number count up")
	case r.Required && r.child():
		return errs.E(errs.Invalid, "children cannot be required: they are created after their parent")
	case r.Required && len(r.Formula) > 0:
		return errs.E(errs.Invalid, "a field with a formula cannot be required: clients do not send it")
	}
	return nil
}

func compilePattern(r *fieldRule) (err error) {
	if r.Regex == "" {
		return nil
	}
	if r.Type != typeText && r.Type != typeEmail && r.Type != typeRichText {
		return errs.E(errs.Invalid, "only texts have a regex")
	}
	if len(r.Regex) > maxSchemaText {
		return errs.E(errs.Invalid, "a regex of %d bytes, the limit is %d", len(r.Regex), maxSchemaText)
	}
	if r.pattern, err = regexp.Compile(r.Regex); err != nil {
		return errs.E(errs.Invalid, "regex: %w", err)
	}
	return nil
}

func compileFormula(r *fieldRule) (err error) {
	if len(r.Formula) == 0 || isNull(r.Formula) {
		return nil
	}
	if r.Type != typeFloat && r.Type != typeText {
		return errs.E(errs.Invalid, "only fields of type float_number and text have a formula")
	}
	if !isText(r.Formula) {
		return errs.E(errs.Invalid, "the formula is not a text")
	}
	r.formula, err = parseFormula(textOf(r.Formula))
	return err
}

// Names of the indexes that schemas keep.
const (
	uniqueIndex = "schema_unique_" // with the field's name
	parentIndex = "schema_parent"
)

// SetSchema gives a collection a schema, in place of the one it has, and creates
// the collection if there is none. Documents that are there already are not
// checked, only what is written from now on; the numbers of a new auto-increment
// field go on from the greatest one that is there. errs.Invalid says what is
// wrong with the schema.
//
// Unique fields get an index, which is built as any other; until it is ready
// only documents that are already in it are compared. So do the children of
// the collection, by their parent; their collections are created, too.
func (s *Store) SetSchema(tx *kv.Tx, db, coll string, schema Schema) error {
	now, err := schema.compile()
	if err != nil {
		return err
	}
	r, err := s.rowOf(tx, db, coll)
	if err != nil {
		return err
	}
	before := r.Schema
	r = r.clone()
	r.Schema = schema
	tx.Set(collectionKey(db, coll), r.encode(), 0)
	if err := s.uniqueIndexes(tx, db, coll, r); err != nil {
		return err
	}
	for i := range schema.Fields {
		f := &schema.Fields[i]
		had := slices.ContainsFunc(before.Fields, func(o Field) bool { return o.Name == f.Name && o.AutoIncrement })
		if f.AutoIncrement && !had {
			if err := s.startNumbers(tx, r, f.Name); err != nil {
				return err
			}
		}
	}
	if now == nil {
		return nil
	}
	for _, rule := range now.list {
		if !rule.child() {
			continue
		}
		child, err := s.rowOf(tx, db, rule.Collection)
		if err != nil {
			return err
		}
		if child.index(parentIndex) != nil {
			continue
		}
		spec := IndexSpec{Name: parentIndex, Paths: []string{"_parent_id"}}
		if _, err := s.addIndex(tx, db, rule.Collection, spec); err != nil {
			return err
		}
	}
	return nil
}

// Schema returns the schema of a collection. errs.NotFound if there is no such
// collection. It must not be changed.
func (s *Store) Schema(tx *kv.Tx, db, coll string) (Schema, error) {
	r, err := s.operatorRow(tx, db, coll)
	if err != nil {
		return Schema{}, err
	}
	return r.Schema, nil
}

// rowOf returns the row of a collection, which it creates if there is none.
func (s *Store) rowOf(tx *kv.Tx, db, coll string) (*row, error) {
	r, err := s.operatorRow(tx, db, coll)
	if !errs.Is(err, errs.NotFound) || !ValidName(coll) {
		return r, err
	}
	if err := s.CreateCollection(tx, db, coll); err != nil {
		return nil, err
	}
	return s.operatorRow(tx, db, coll)
}

// uniqueIndexes adds the indexes that the schema of r wants and drops those that
// an earlier one wanted.
func (s *Store) uniqueIndexes(tx *kv.Tx, db, coll string, r *row) error {
	wanted := make(map[string]bool)
	for i := range r.Schema.Fields {
		if f := &r.Schema.Fields[i]; f.Unique {
			wanted[uniqueIndex+f.Name] = true
		}
	}
	for _, ix := range r.Indexes {
		if strings.HasPrefix(ix.Name, uniqueIndex) && !wanted[ix.Name] {
			if err := s.dropIndex(tx, db, coll, ix.Name); err != nil {
				return err
			}
		}
		delete(wanted, ix.Name) // it is there
		// Another may do the same: the one that users are created with, or the operator's.
		if ix.Unique && len(ix.Paths) == 1 && ix.State != Failed {
			delete(wanted, uniqueIndex+ix.Paths[0])
		}
	}
	for i := range r.Schema.Fields {
		f := &r.Schema.Fields[i]
		if !wanted[uniqueIndex+f.Name] {
			continue
		}
		spec := IndexSpec{Name: uniqueIndex + f.Name, Paths: []string{f.Name}, Unique: true}
		if _, err := s.addIndex(tx, db, coll, spec); err != nil {
			return err
		}
	}
	return nil
}

// startNumbers makes the numbers of an auto-increment field go on from the
// greatest one that is there.
func (s *Store) startNumbers(tx *kv.Tx, r *row, field string) error {
	lo, hi := documentSpan(r.Number)
	var greatest int64
	seen := 0
	for rec, err := range tx.Scan(lo, hi) {
		if err != nil {
			return err
		}
		if seen++; seen > s.cfg.MaxExamined {
			return errs.E(errs.TooLarge, "field %s: more than %d documents to look for its numbers in", field, s.cfg.MaxExamined)
		}
		d, err := openDocument(rec.Value)
		if err != nil {
			return err
		}
		if n, ok := integer(find(d.JSON, field)); ok {
			greatest = max(greatest, n)
		}
	}
	tx.Set(sequenceKey(r.Number, field), command.Int(greatest).Append(nil), 0)
	return nil
}
