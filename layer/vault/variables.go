package vault

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// Bounds of variables.
const (
	MaxValue     = 64 << 10 // bytes of a value, on every way in
	MaxVariables = 10_000   // of an environment
	maxKey       = 255
)

// maxShown bounds the sealed bytes that one request opens and shows at once: a
// thousand of the largest values.
const maxShown = 80 << 20

// What stands in the place of a value that is not shown. Clients compare the
// first one literally.
const (
	MaskHidden  = "[HIDDEN]"           // the caller is a viewer
	MaskDamaged = "[DECRYPTION_ERROR]" // the value does not open
)

const textDuplicateKey = "A variable with this key already exists in this environment."

var variableKeys = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// Variable is a variable as a member of its organization sees it.
type Variable struct {
	ID              uint64
	Key             string
	Value           string     // or one of the masks
	Unresolved      Unresolved // why it is MaskUnresolved, else ""
	Environment     uint64
	EnvironmentName string
	Created         int64 // unix seconds
	Updated         int64
	CreatorName     string // "First Last", "" if the creator has no names
	Version         uint64 // of the value and key, from 1
}

// VariableFields is what a request says of a variable. What is nil the request
// does not have. A value is stored as it is, blanks included.
type VariableFields struct {
	Whole       bool // a POST or PUT: what is required must be there
	Key         *string
	Value       *string
	Environment *uint64
	Version     *uint64 // change the variable only if this is its version
}

// Outdated is that a variable has another version than a change was for. As an
// error it is errs.Exists.
type Outdated struct{ Version uint64 } // the present one

func (o Outdated) Error() string { return "The variable has changed." }

// Unwrap gives the error its kind.
func (o Outdated) Unwrap() error { return &errs.Error{Kind: errs.Exists, Msg: o.Error()} }

// check returns the key as it is stored.
func (v VariableFields) check(f FieldErrors) (key string) {
	switch {
	case v.Key != nil:
		key = checkVariableKey(f, *v.Key)
	case v.Whole:
		f.Add("key", textRequired)
	}
	if v.Environment == nil && v.Whole {
		f.Add("environment", textRequired)
	}
	switch {
	case v.Value == nil:
	case len(*v.Value) > MaxValue:
		f.Add("value", "Ensure this field has no more than "+strconv.Itoa(MaxValue)+" bytes.")
	case !utf8.ValidString(*v.Value):
		f.Add("value", textNotText)
	case strings.IndexByte(*v.Value, 0) >= 0:
		f.Add("value", textNUL)
	}
	return key
}

func checkVariableKey(f FieldErrors, key string) string {
	switch key = strings.TrimSpace(key); {
	case key == "":
		f.Add("key", "Variable key cannot be empty.")
	case utf8.RuneCountInString(key) > maxKey:
		f.Add("key", textTooLong(maxKey))
	case !variableKeys.MatchString(key):
		f.Add("key", "Variable key must start with a letter and contain only uppercase letters, numbers, and underscores.")
	}
	return key
}

// variableRef is where a variable is.
type variableRef struct {
	Environment uint64 `json:"environment"`
	Key         string `json:"key"`
}

// held is a variable with its key.
type held struct {
	key string
	row *variableRow
}

// CreateVariable makes a variable, without a value an empty one. A key that
// the environment has already is errs.Exists.
func (s *Session) CreateVariable(fields VariableFields) (Variable, error) {
	fields.Whole = true
	f := FieldErrors{}
	k := fields.check(f)
	var at *place
	if fields.Environment != nil {
		var err error
		at, err = s.environment(*fields.Environment, CreateVariable)
		if err := f.unknown("environment", *fields.Environment, err); err != nil {
			return Variable{}, err
		}
	}
	if err := f.Err(); err != nil {
		return Variable{}, err
	}
	if err := s.checkFree(at, k); err != nil {
		return Variable{}, err
	}
	if err := s.room(countVariables, at.environmentID, 1); err != nil {
		return Variable{}, err
	}
	id, err := nextID(s.tx, "variable")
	if err != nil {
		return Variable{}, err
	}
	value := ""
	if fields.Value != nil {
		value = *fields.Value
	}
	h := held{k, &variableRow{ID: id, Created: s.now(), Creator: s.Author()}}
	if err := s.putVersion(at, &h, pair{k, value}, changeCreated); err != nil {
		return Variable{}, err
	}
	addCount(s.tx, countVariables, at.environmentID, 1)
	if err := s.tellVariables(at, verbCreate, toldVariable{id: id, key: k}); err != nil {
		return Variable{}, err
	}
	if err := s.audit(at.variableEvent(verbCreate, id, k)); err != nil {
		return Variable{}, err
	}
	return s.showVariable(at, h, value)
}

// checkFree returns errs.Exists if the environment has the key.
func (s *Session) checkFree(at *place, k string) error {
	_, ok, err := s.tx.Get(byIDText(variableByte, at.environmentID, k))
	if err == nil && ok {
		err = duplicate("key", textDuplicateKey)
	}
	return err
}

// Variable returns a variable. That a value was shown is among the Readings.
func (s *Session) Variable(id uint64) (Variable, error) {
	at, h, err := s.variable(id, ReadOrganization)
	if err != nil {
		return Variable{}, err
	}
	l := lister{s: s, most: func() (int, error) { return MaxValue, nil }}
	v, clear, err := l.show(at, h)
	if err != nil {
		return Variable{}, err
	}
	if clear {
		s.reads(at.variableEvent(verbView, id, h.key))
	}
	others, opened := l.opened()
	for _, at := range others {
		s.reads(at.viewed(opened[at.environmentID]))
	}
	return v, nil
}

// UpdateVariable changes what fields has, as a new version if anything differs.
// Without a value the one there is stays, also when the key changes, and that
// it was shown is in the audit log. Another version than fields asks for is
// Outdated. A variable stays in its environment: another one is errs.Invalid.
func (s *Session) UpdateVariable(id uint64, fields VariableFields) (Variable, error) {
	at, h, err := s.variable(id, UpdateVariable)
	if err != nil {
		return Variable{}, err
	}
	f := FieldErrors{}
	k := fields.check(f)
	if fields.Environment != nil && *fields.Environment != at.environmentID {
		_, err := s.environment(*fields.Environment, ReadOrganization)
		if err := f.immovable("environment", *fields.Environment, err, "A variable cannot be moved to another environment."); err != nil {
			return Variable{}, err
		}
	}
	if err := f.Err(); err != nil {
		return Variable{}, err
	}
	if fields.Version != nil && *fields.Version != h.row.Version {
		return Variable{}, Outdated{h.row.Version}
	}
	told := details{"environment_name": at.environment.Name, "value_updated": fields.Value != nil, "had_value": len(h.row.Value) > valueOverhead}
	next, err := s.nextOf(at, h, fields, k)
	if err != nil {
		return Variable{}, err
	}
	if next.key != h.key {
		told["old_key"] = h.key
	}
	if err := s.changeVariable(at, &h, next); err != nil {
		return Variable{}, err
	}
	told["key"], told["variable_key"] = h.key, h.key
	if err := s.audit(event{at.project.Organization, verbUpdate, targetVariable, id, told}); err != nil {
		return Variable{}, err
	}
	if fields.Value == nil { // the caller is shown one that was not its own
		if err := s.audit(at.variableEvent(verbView, id, h.key)); err != nil {
			return Variable{}, err
		}
	}
	return s.showVariable(at, h, next.value)
}

// nextOf is what a variable is to be with the fields, k being their key.
func (s *Session) nextOf(at *place, h held, fields VariableFields, k string) (next pair, err error) {
	if next.key = h.key; fields.Key != nil {
		next.key = k
	}
	if fields.Value != nil {
		next.value = *fields.Value
		return next, nil
	}
	plain, err := s.openValue(at.organization, at.environment, h.key, h.row.Value)
	next.value = string(plain)
	return next, err
}

// changeVariable makes a new version of a variable, unless it is what next is
// already. A key that is taken is errs.Exists.
func (s *Session) changeVariable(at *place, h *held, next pair) error {
	if next.key != h.key {
		if err := s.checkFree(at, next.key); err != nil {
			return err
		}
		old := h.key
		s.tx.Delete(byIDText(variableByte, at.environmentID, old))
		if err := s.putVersion(at, h, next, changeRenamed); err != nil {
			return err
		}
		return s.tellVariables(at, verbUpdate, toldVariable{h.row.ID, h.key, old})
	}
	if same, err := s.hasValue(at, *h, next.value); same || err != nil {
		return err
	}
	if err := s.putVersion(at, h, next, changeUpdated); err != nil {
		return err
	}
	return s.tellVariables(at, verbUpdate, toldVariable{id: h.row.ID, key: h.key})
}

// DeleteVariable removes a variable. Its versions are kept for KeepDeleted, for
// the environment as it was.
func (s *Session) DeleteVariable(id uint64) error {
	at, h, err := s.variable(id, DeleteVariable)
	if err != nil {
		return err
	}
	if err := s.dropVariable(at, h); err != nil {
		return err
	}
	addCount(s.tx, countVariables, at.environmentID, -1)
	if err := s.tellVariables(at, verbDelete, toldVariable{id: id, key: h.key}); err != nil {
		return err
	}
	return s.audit(at.variableEvent(verbDelete, id, h.key))
}

// variable opens a variable for an action, as organization does.
func (s *Session) variable(id uint64, a Action) (*place, held, error) {
	ref, err := readRow[variableRef](s.tx, byID(variableIDByte, id))
	if err != nil {
		return nil, held{}, err
	}
	if ref == nil {
		return nil, held{}, errNotFound()
	}
	at, err := s.environment(ref.Environment, a)
	if err != nil {
		return nil, held{}, err
	}
	row, err := readVariable(s.tx, byIDText(variableByte, ref.Environment, ref.Key))
	if err != nil {
		return nil, held{}, err
	}
	if row == nil {
		return nil, held{}, errNotFound()
	}
	return at, held{ref.Key, row}, nil
}

// showVariable shows a variable whose value the caller may see.
func (s *Session) showVariable(at *place, h held, value string) (Variable, error) {
	creator, err := s.creatorName(h.row.Creator)
	if err != nil {
		return Variable{}, err
	}
	return Variable{
		ID: h.row.ID, Key: h.key, Value: value, Environment: at.environmentID, EnvironmentName: at.environment.Name,
		Created: h.row.Created, Updated: h.row.Updated, CreatorName: creator, Version: h.row.Version,
	}, nil
}

// variableEvent is what was done to one of the place's variables.
func (p *place) variableEvent(v verb, id uint64, k string) event {
	return event{p.project.Organization, v, targetVariable, id, details{
		"variable_key": k, "environment_name": p.environment.Name,
		"key": k, "environment": p.environment.Name, "project": p.project.Name,
	}}
}

// scanVariables visits the variables of an environment by key. What it hands
// out is valid until the visit ends. room is how many bytes may still be read.
func scanVariables(tx *kv.Tx, environment uint64, room *int, visit func(held) error) error {
	prefix := byID(variableByte, environment)
	lo, hi := tuple.Span(prefix)
	for rec, err := range tx.Scan(lo, hi) {
		if err != nil {
			return err
		}
		if *room -= len(rec.Value); *room < 0 {
			return errTooMuchShown()
		}
		k, _, err := tuple.String(rec.Key[len(prefix):])
		if err != nil {
			return damaged(err)
		}
		var row variableRow
		if err := row.decode(rec.Value); err != nil {
			return err
		}
		if err := visit(held{k, &row}); err != nil {
			return err
		}
	}
	return nil
}

func errTooMuchShown() error {
	return errs.E(errs.TooLarge, "these are too many bytes of variables for one answer: ask for a part of them")
}
