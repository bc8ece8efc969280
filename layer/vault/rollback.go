package vault

import (
	"fmt"
	"slices"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// maxRolledBack bounds the variables that one commit takes back: their
// versions may set a lower one, see maxChangeOps.
const maxRolledBack = 5000

// RolledBack is what taking an environment back did, or would do. Keys are in
// their order.
type RolledBack struct {
	Restored  []string // have their value, or their name, of then again
	Deleted   []string // were not there then
	Unchanged int
	Unknown   []string // left alone: what they were is not kept, or their name is taken by one of those
}

// Rollback says how far an environment is to be taken back.
type Rollback struct {
	At     Moment
	Keys   []string // only variables that have one of these keys, or had it then, up to MaxImported; nil = all
	DryRun bool     // write nothing, which a transaction that only reads may do too
}

// RollBackEnvironment makes an environment what it was at a moment, all of it
// or nothing: variables get their values and keys of then as new versions, those
// that were deleted since are back under their ids, and those that were made
// since are deleted. It writes one entry to the audit log. A value of then that
// does not open is Undecryptable, and more than a commit has room for
// errs.TooLarge.
func (s *Session) RollBackEnvironment(environment uint64, to Rollback) (RolledBack, error) {
	at, err := s.environment(environment, RollBack)
	if err != nil {
		return RolledBack{}, err
	}
	when, err := to.At.when(s.now())
	if err != nil {
		return RolledBack{}, err
	}
	if err := checkKeys(to.Keys); err != nil {
		return RolledBack{}, err
	}
	f, err := s.fatesSince(at, when, false)
	if err != nil {
		return RolledBack{}, err
	}
	b := takingBack{s: s, at: at}
	if to.Keys != nil {
		b.named = make(map[string]bool, len(to.Keys))
		for _, k := range to.Keys {
			b.named[k] = false
		}
	}
	if err := f.each(b.plan); err != nil {
		return RolledBack{}, err
	}
	if err := b.met(); err != nil {
		return RolledBack{}, err
	}
	b.yield()
	if err := b.fits(); err != nil {
		return RolledBack{}, err
	}
	done := b.result()
	if to.DryRun {
		return done, nil
	}
	if err := b.write(); err != nil {
		return RolledBack{}, err
	}
	if err := b.tell(); err != nil {
		return RolledBack{}, err
	}
	return done, s.audit(event{at.project.Organization, verbRollBack, targetEnvironment, environment, details{
		"at": time.Unix(when, 0).UTC().Format(time.RFC3339), "restored_count": len(done.Restored), "deleted_count": len(done.Deleted),
		"unknown_count": len(done.Unknown), "environment": at.environment.Name, "project": at.project.Name,
	}})
}

// checkKeys returns FieldErrors for a list of keys that is given and empty, or
// too long.
func checkKeys(keys []string) error {
	f := FieldErrors{}
	switch n := len(keys); {
	case keys != nil && n == 0:
		f.Add("keys", "This list may not be empty.")
	case n > MaxImported:
		f.Add("keys", fmt.Sprintf("Ensure this field has no more than %d elements.", MaxImported))
	}
	return f.Err()
}

// takingBack is the work of one rollback.
type takingBack struct {
	s         *Session
	at        *place
	named     map[string]bool // keys of those to be taken back, and whether there was one; nil = all
	todo      []*fate         // to be made what they were
	left      []*fate         // left alone, whatever they are
	unknown   []string        // keys of those among them that nobody can take back
	unchanged int
}

// plan decides what is to be done about a variable.
func (b *takingBack) plan(one *fate) error {
	if !b.wanted(one) {
		b.left = append(b.left, one)
		return nil
	}
	switch {
	case one.lost:
		b.left, b.unknown = append(b.left, one), append(b.unknown, one.key)
		return nil
	case one.then == one.now:
		b.left, b.unchanged = append(b.left, one), b.unchanged+1
		return nil
	case one.then != nil && one.now != nil && one.then.key == one.now.key:
		value, err := b.value(one)
		if err != nil {
			return err
		}
		same, err := b.s.hasValue(b.at, *one.now, value)
		if err != nil {
			return err
		}
		if same {
			b.left, b.unchanged = append(b.left, one), b.unchanged+1
			return nil
		}
	}
	b.todo = append(b.todo, one)
	return nil
}

// wanted reports whether a variable is to be taken back: it has a key that was
// named, or had it then.
func (b *takingBack) wanted(one *fate) bool {
	if b.named == nil {
		return true
	}
	wanted := false
	meet := func(key string) {
		if _, named := b.named[key]; named {
			b.named[key], wanted = true, true
		}
	}
	meet(one.key)
	if one.then != nil {
		meet(one.then.key)
	}
	return wanted
}

// met returns FieldErrors for keys that were named and that no variable has, or
// had then: they are misspelt.
func (b *takingBack) met() error {
	var missing []string
	for key, met := range b.named {
		if !met {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	return unknownKeys(missing)
}

// value returns the clear value that a variable had.
func (b *takingBack) value(one *fate) (string, error) {
	plain, err := b.s.openValue(b.at.organization, b.at.environment, one.then.key, one.then.row.Value)
	if errs.Is(err, errs.Internal) {
		return "", Undecryptable{one.then.key}
	}
	return string(plain), err
}

// yield leaves alone whose key is that of one that is left alone, and so on.
func (b *takingBack) yield() {
	taken := map[string]bool{}
	for _, one := range b.left {
		if one.now != nil {
			taken[one.now.key] = true
		}
	}
	for again := true; again; {
		again = false
		b.todo = slices.DeleteFunc(b.todo, func(one *fate) bool {
			if one.then == nil || !taken[one.then.key] {
				return false
			}
			if one.now != nil {
				taken[one.now.key], again = true, true
			}
			b.unknown = append(b.unknown, one.then.key)
			return true
		})
	}
}

func (b *takingBack) result() RolledBack {
	done := RolledBack{Restored: []string{}, Deleted: []string{}, Unchanged: b.unchanged, Unknown: append([]string{}, b.unknown...)}
	for _, one := range b.todo {
		if one.then != nil {
			done.Restored = append(done.Restored, one.then.key)
		}
	}
	slices.Sort(done.Restored)
	for _, one := range b.todo { // a key that has another owner again is not gone
		if _, back := slices.BinarySearch(done.Restored, one.key); one.then == nil && !back {
			done.Deleted = append(done.Deleted, one.key)
		}
	}
	slices.Sort(done.Deleted)
	slices.Sort(done.Unknown)
	return done
}

// fits returns errs.TooLarge for more than one commit has room for.
func (b *takingBack) fits() error {
	if len(b.todo) > maxRolledBack {
		return errs.E(errs.TooLarge, "more than %d variables have changed since, which is too much to take back at once: give some of their keys", maxRolledBack)
	}
	size, ops := 0, 0
	for _, one := range b.todo {
		size += one.weight()
		switch {
		case one.then == nil:
			ops += b.at.deletionOps(one.now.row)
		case one.now == nil:
			ops += b.at.deletionOps(one.gone.row)
		default:
			ops += opsOfChange
		}
	}
	if ops > maxChangeOps {
		return errTooManyVersions()
	}
	if size > maxWritten {
		return errTooMuchToWrite()
	}
	return nil
}

// write takes the variables back: first all keys that they leave, since one may
// be another's then.
func (b *takingBack) write() error {
	more := 0
	for _, one := range b.todo {
		switch {
		case one.then == nil:
			if err := b.s.dropVariable(b.at, *one.now); err != nil {
				return err
			}
			more--
		case one.now == nil:
			more++
		case one.then.key != one.now.key:
			b.s.tx.Delete(byIDText(variableByte, b.at.environmentID, one.now.key))
		}
	}
	if err := b.s.room(countVariables, b.at.environmentID, more); err != nil {
		return err
	}
	for _, one := range b.todo {
		if one.then == nil {
			continue
		}
		if err := b.restore(one); err != nil {
			return err
		}
	}
	if more != 0 {
		addCount(b.s.tx, countVariables, b.at.environmentID, int64(more))
	}
	return nil
}

// weight is about what a commit takes in bytes for taking a variable back.
func (one *fate) weight() int {
	n := 0
	for _, h := range []*held{one.then, one.now} {
		if h != nil {
			n += weigh(pair{key: h.key}, h.row)
		}
	}
	return n
}

// restore makes a variable what it was.
func (b *takingBack) restore(one *fate) error {
	value, err := b.value(one)
	if err != nil {
		return err
	}
	next := pair{one.then.key, value}
	if one.now == nil {
		return b.s.undelete(b.at, *one.gone, next, changeRolledBack)
	}
	return b.s.putVersion(b.at, one.now, next, changeRolledBack)
}

// tell tells webhooks of what was taken back.
func (b *takingBack) tell() error {
	told := map[verb][]toldVariable{}
	for _, one := range b.todo {
		switch {
		case one.then == nil:
			told[verbDelete] = append(told[verbDelete], toldVariable{id: one.now.row.ID, key: one.key})
		case one.now == nil:
			told[verbCreate] = append(told[verbCreate], toldVariable{id: one.then.row.ID, key: one.then.key})
		default:
			t := toldVariable{id: one.then.row.ID, key: one.then.key}
			if one.key != t.key {
				t.oldKey = one.key
			}
			told[verbUpdate] = append(told[verbUpdate], t)
		}
	}
	for _, v := range []verb{verbDelete, verbCreate, verbUpdate} {
		if err := b.s.tellVariables(b.at, v, told[v]...); err != nil {
			return err
		}
	}
	return nil
}
