package vault

import (
	"github.com/coveydb/covey/internal/errs"
)

// maxWritten bounds the bytes that one commit writes as variables, old versions
// included: a command has room for 32 MiB, keys and audit entry with them.
const maxWritten = 26 << 20

// A writing is what it comes to when variables of an environment are given
// values, all of them in one commit. It is the way of whatever writes many:
//
//	w, err := s.planWriting(at, pairs)  // reads, and writes nothing
//	... w.conflicts(), w.created(), w.updated(), w.unchanged() tell what would happen
//	err = s.write(w, changeImported)    // writes it, each variable a new version
//
// A variable that has its value already is left as it is, without a new
// version: who imports the same file every day would lose all history. The
// caller has checked the rights in at, and keys and values as an import or
// VariableFields does; no key may be twice in pairs. Webhooks are told by write;
// recording it in the audit log is the caller's.
type writing struct {
	at    *place
	items []item
}

// item is one variable of a writing.
type item struct {
	pair
	row  *variableRow // as it is stored, nil: the key is not there
	same bool         // it has the value already
}

// planWriting finds out what it comes to when the variables of an environment
// are given these values, which are in the order of the result.
func (s *Session) planWriting(at *place, pairs []pair) (*writing, error) {
	w := &writing{at: at, items: make([]item, len(pairs))}
	for i, p := range pairs {
		row, err := readVariable(s.tx, byIDText(variableByte, at.environmentID, p.key))
		if err != nil {
			return nil, err
		}
		same := false
		if row != nil {
			if same, err = s.hasValue(at, held{p.key, row}, p.value); err != nil {
				return nil, err
			}
		}
		w.items[i] = item{p, row, same}
	}
	return w, nil
}

// hasValue reports whether a variable has a value. One that does not open has
// none.
func (s *Session) hasValue(at *place, h held, value string) (bool, error) {
	if len(h.row.Value) != valueOverhead+len(value) {
		return false, nil
	}
	plain, err := s.openValue(at.organization, at.environment, h.key, h.row.Value)
	if errs.Is(err, errs.Internal) {
		return false, nil
	}
	same := string(plain) == value
	clear(plain)
	return same, err
}

// created returns the keys that are not there yet.
func (w *writing) created() []string { return w.keys(func(i item) bool { return i.row == nil }) }

// conflicts returns the keys that are there, whatever their values.
func (w *writing) conflicts() []string { return w.keys(func(i item) bool { return i.row != nil }) }

// updated returns the keys that are there with other values.
func (w *writing) updated() []string {
	return w.keys(func(i item) bool { return i.row != nil && !i.same })
}

// unchanged is how many have their values already.
func (w *writing) unchanged() int { return len(w.keys(func(i item) bool { return i.same })) }

func (w *writing) keys(which func(item) bool) []string {
	keys := []string{}
	for _, i := range w.items {
		if which(i) {
			keys = append(keys, i.key)
		}
	}
	return keys
}

// write does what was planned in the same transaction. More variables than an
// environment may have are FieldErrors, and more bytes than a commit has room
// for, with the versions that are kept, errs.TooLarge.
func (s *Session) write(w *writing, c change) error {
	fresh := len(w.created())
	if err := s.room(countVariables, w.at.environmentID, fresh); err != nil {
		return err
	}
	id, err := takeIDs(s.tx, "variable", fresh)
	if err != nil {
		return err
	}
	size := 0
	var made, changed []toldVariable
	for _, i := range w.items {
		if i.same {
			continue
		}
		row := i.row
		if row == nil {
			row = &variableRow{ID: id, Created: s.now(), Creator: s.Author()}
			made = append(made, toldVariable{id: id, key: i.key})
			id++
		} else {
			changed = append(changed, toldVariable{id: row.ID, key: i.key})
		}
		if size += weigh(i.pair, row); size > maxWritten {
			return errTooMuchToWrite()
		}
		if err := s.putVersion(w.at, &held{i.key, row}, i.pair, c); err != nil {
			return err
		}
	}
	if fresh > 0 {
		addCount(s.tx, countVariables, w.at.environmentID, int64(fresh))
	}
	if err := s.tellVariables(w.at, verbCreate, made...); err != nil {
		return err
	}
	return s.tellVariables(w.at, verbUpdate, changed...)
}

// weigh is about what a commit takes in bytes for a new version of a variable.
func weigh(next pair, row *variableRow) int {
	const around = 256 // of ops, ids and numbers
	return len(next.value) + len(row.Value) + 4*len(next.key) + around
}

func errTooMuchToWrite() error {
	return errs.E(errs.TooLarge, "the new values and the old ones, which are kept as versions, are more than %d MiB: change fewer variables at once", maxWritten>>20)
}
