package vault

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// MaxCopied is how many variables one copy may name, and change.
const MaxCopied = MaxImported

// CopyOrder is what a request says of variables that another environment is to
// be given. The zero value is everything.
type CopyOrder struct {
	To        *uint64  // the environment; required
	Keys      []string // which; nil is all
	Overwrite bool     // also those that are there with other values; else these are Conflicts

	// RemoveMissing deletes what is there and not in the source: of all
	// variables, or of those that Keys names.
	RemoveMissing bool

	DryRun bool // find out what would be done, and write nothing
}

// Copied is what a copy has done, or would do. Keys are in their order.
type Copied struct {
	Created, Updated, Deleted []string
	Unchanged                 int
}

// Copy gives variables of an environment to another one, all of them in one
// commit: what has its value there already stays as it is, the others get a new
// version. References are copied as they are. The caller must be allowed to
// read values in both and to import into the other. Keys that are nowhere are
// FieldErrors, values that do not open Undecryptable, more changes than MaxCopied
// errs.TooLarge. One entry in the audit log tells of the copy, and one in that
// of the source that it was read; a dry run is among the Readings.
func (s *Session) Copy(from uint64, o CopyOrder) (*Copied, error) {
	o.RemoveMissing = false
	return s.copyVariables(from, o, changeCopied)
}

// Promote is Copy that overwrites. With RemoveMissing the caller must be allowed
// to delete variables too.
func (s *Session) Promote(from uint64, o CopyOrder) (*Copied, error) {
	o.Overwrite = true
	return s.copyVariables(from, o, changePromoted)
}

func (s *Session) copyVariables(from uint64, o CopyOrder, c change) (*Copied, error) {
	source, err := s.environment(from, ReadValue)
	if err != nil {
		return nil, err
	}
	target, err := s.copyTarget(from, o)
	if err != nil {
		return nil, err
	}
	pairs, missing, err := s.copySource(source, o.Keys)
	if err != nil {
		return nil, err
	}
	surplus, err := s.surplus(target, o, pairs, missing)
	if err != nil {
		return nil, err
	}
	w, err := s.planWriting(target, pairs)
	if err != nil {
		return nil, err
	}
	done := &Copied{Created: w.created(), Updated: w.updated(), Deleted: []string{}, Unchanged: w.unchanged()}
	for _, h := range surplus {
		done.Deleted = append(done.Deleted, h.key)
	}
	if len(done.Updated) > 0 && !o.Overwrite {
		return nil, Conflicts(done.Updated)
	}
	if err := w.fits(surplus); err != nil {
		return nil, err
	}
	if o.DryRun {
		s.reads(source.viewed(len(pairs)))
		s.reads(target.viewed(len(pairs) - len(done.Created)))
		return done, nil
	}
	if err := s.dropAll(target, surplus); err != nil {
		return nil, err
	}
	if err := s.write(w, c); err != nil {
		return nil, err
	}
	if err := s.audit(source.viewed(len(pairs))); err != nil {
		return nil, err
	}
	return done, s.audit(copyEvent(source, target, o, c, done))
}

// copyTarget opens the environment that variables are to be given to, and finds
// out what is wrong with the order by itself.
func (s *Session) copyTarget(from uint64, o CopyOrder) (at *place, err error) {
	f := FieldErrors{}
	switch {
	case o.To == nil:
		f.Add("to", textRequired)
	case *o.To == from:
		f.Add("to", "This is the environment itself.")
	default:
		needs := []Action{Import, ReadValue} // what is unchanged tells values
		if o.RemoveMissing {
			needs = append(needs, DeleteVariable)
		}
		for _, a := range needs {
			if at, err = s.environment(*o.To, a); err != nil {
				break
			}
		}
		if err := f.unknown("to", *o.To, err); err != nil {
			return nil, err
		}
	}
	switch n := len(o.Keys); {
	case o.Keys != nil && n == 0:
		f.Add("keys", "This list may not be empty.")
	case n > MaxCopied:
		f.Add("keys", fmt.Sprintf("Ensure this field has no more than %d elements.", MaxCopied))
	}
	return at, f.Err()
}

// copySource returns the variables that are to be copied, by key, and those of
// keys, if it is not nil, that are not there.
func (s *Session) copySource(at *place, keys []string) (pairs []pair, missing []string, err error) {
	var broken Undecryptable
	take := func(h held) error {
		plain, err := s.openValue(at.organization, at.environment, h.key, h.row.Value)
		switch {
		case errs.Is(err, errs.Internal):
			broken = append(broken, h.key)
			return nil
		case err != nil:
			return err
		}
		pairs = append(pairs, pair{h.key, string(plain)})
		return s.hold(len(plain), func() (int, error) { return sizeOf(s.tx, at.environmentID) })
	}
	if keys == nil {
		room := maxShown
		err = scanVariables(s.tx, at.environmentID, &room, take)
	} else {
		missing, err = s.visitVariables(at.environmentID, keys, take)
	}
	if err == nil && broken != nil {
		err = broken
	}
	return pairs, missing, err
}

// visitVariables visits the variables that keys names, by key, each once, and
// returns the keys that are not there.
func (s *Session) visitVariables(environment uint64, keys []string, visit func(held) error) (missing []string, err error) {
	for _, k := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		row, err := readVariable(s.tx, byIDText(variableByte, environment, k))
		if err == nil && row == nil {
			missing = append(missing, k)
			continue
		}
		if err == nil {
			err = visit(held{k, row})
		}
		if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// surplus returns the variables of the target that are to be deleted, by key.
// Keys that are named and are nowhere are FieldErrors.
func (s *Session) surplus(at *place, o CopyOrder, pairs []pair, missing []string) (gone []held, err error) {
	if o.RemoveMissing && o.Keys == nil {
		in := make(map[string]bool, len(pairs))
		for _, p := range pairs {
			in[p.key] = true
		}
		room := maxListed
		err := scanKeys(s.tx, at.environmentID, &room, func(_ uint64, key string) {
			if !in[key] {
				missing = append(missing, key)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 && o.RemoveMissing {
		missing, err = s.visitVariables(at.environmentID, missing, func(h held) error {
			gone = append(gone, h)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return gone, unknownKeys(missing)
}

// dropAll deletes variables of an environment, and tells of it.
func (s *Session) dropAll(at *place, gone []held) error {
	if len(gone) == 0 {
		return nil
	}
	told := make([]toldVariable, len(gone))
	for i, h := range gone {
		told[i] = toldVariable{id: h.row.ID, key: h.key}
		if err := s.dropVariable(at, h); err != nil {
			return err
		}
	}
	addCount(s.tx, countVariables, at.environmentID, -int64(len(gone)))
	return s.tellVariables(at, verbDelete, told...)
}

// maxNamed is how many keys an error names.
const maxNamed = 10

// unknownKeys is what is wrong with an order that names keys that are nowhere.
func unknownKeys(keys []string) error {
	f := FieldErrors{}
	for _, k := range keys[:min(len(keys), maxNamed)] {
		f.Add("keys", fmt.Sprintf("There is no variable %q.", strings.ToValidUTF8(k[:min(len(k), maxKey)], "")))
	}
	return f.Err()
}

// fits returns errs.TooLarge for a writing that is too much for one commit
// together with the variables that are to be deleted.
func (w *writing) fits(gone []held) error {
	n, ops, size := len(gone), 0, 0
	for _, h := range gone {
		ops += w.at.deletionOps(h.row)
		size += weigh(pair{key: h.key}, h.row)
	}
	for _, i := range w.items {
		if i.same {
			continue
		}
		if n++; i.row != nil {
			size += len(i.row.Value)
		}
		size += weigh(i.pair, new(variableRow))
	}
	if n > MaxCopied {
		return errs.E(errs.TooLarge, "%d variables differ, and at most %d are changed at once: name a part of the keys", n, MaxCopied)
	}
	if ops+opsOfChange*n > maxChangeOps {
		return errTooManyVersions()
	}
	if size > maxWritten {
		return errTooMuchToWrite()
	}
	return nil
}

// copyEvent is what the audit log of the target tells of a copy. Where the
// source is in another organization, it is not named: whoever reads this log
// need not know of it.
func copyEvent(source, target *place, o CopyOrder, c change, done *Copied) event {
	told := details{
		"created_count": len(done.Created), "updated_count": len(done.Updated), "unchanged_count": done.Unchanged,
		"source_environment_id": source.environmentID, "environment": target.environment.Name, "project": target.project.Name,
	}
	if source.project.Organization == target.project.Organization {
		told["source_environment"], told["source_project"] = source.environment.Name, source.project.Name
	}
	verb := verbCopy
	if c == changePromoted {
		verb = verbPromote
		told["deleted_count"], told["remove_missing"] = len(done.Deleted), o.RemoveMissing
	} else {
		told["overwrite_enabled"] = o.Overwrite
	}
	return event{target.project.Organization, verb, targetEnvironment, target.environmentID, told}
}
