package vault

import (
	"encoding/binary"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// How many versions of a variable are kept, the present one included: an
// environment may have a number of its own.
const (
	DefaultVersions = 10
	MaxVersions     = 100
)

// versions is how many versions of each variable the environment keeps.
func (e *environmentRow) versions() uint64 {
	if e.Versions == 0 {
		return DefaultVersions
	}
	return e.Versions
}

// KeepDeleted is for how long the versions of a deleted variable are kept.
const KeepDeleted = 30 * 24 * time.Hour

// change is what made a version of a variable. The numbers are stored.
type change uint64

// The changes. A later release may have more: those read as updates.
const (
	changeCreated change = iota + 1
	changeUpdated
	changeRenamed // and perhaps updated too
	changeDeleted // the version has no value: the variable is not there
	changeImported
	changeRolledBack
	changeCopied
	changePromoted
)

// changeNames are the changes as answers show them.
var changeNames = map[change]string{
	changeCreated: "created", changeUpdated: "updated", changeRenamed: "renamed", changeDeleted: "deleted",
	changeImported: "imported", changeRolledBack: "rolled_back", changeCopied: "copied", changePromoted: "promoted",
}

func (c change) String() string {
	if name, ok := changeNames[c]; ok {
		return name
	}
	return changeNames[changeUpdated]
}

// past is a version of a variable that is not the present one. It is stored as
// it was when it was: its value is sealed for the key that it had then.
type past held

// pastFormat1 begins the stored form: the key with its length before it, and
// the variable's row as it was.
const pastFormat1 = 1

func (p past) encode() []byte {
	row := p.row.encode()
	b := append(make([]byte, 0, 1+binary.MaxVarintLen64+len(p.key)+len(row)), pastFormat1)
	b = append(binary.AppendUvarint(b, uint64(len(p.key))), p.key...)
	return append(b, row...)
}

// decodePast reads what encode wrote. The value is a part of b.
func decodePast(b []byte) (past, error) {
	if len(b) == 0 || b[0] != pastFormat1 {
		return past{}, errs.E(errs.Internal, "a version of a variable is damaged or of a newer format")
	}
	n, size := binary.Uvarint(b[1:])
	if b = b[1+max(size, 0):]; size <= 0 || n > uint64(len(b)) {
		return past{}, errs.E(errs.Internal, "a version of a variable is damaged")
	}
	p := past{key: string(b[:n]), row: new(variableRow)}
	return p, p.row.decode(b[n:])
}

// putVersion makes next what a variable is from now on: a new version of it. h
// is the variable as it is stored, which is kept as a past version, and becomes
// what is stored then; its row may be a new one, of version 0, or that of a
// deletion. Where the key changes, the caller has deleted what was stored under
// the old one. Counts are the caller's too, and telling webhooks.
func (s *Session) putVersion(at *place, h *held, next pair, c change) error {
	sealed, err := s.sealValue(at.organization, at.environment, next.key, []byte(next.value))
	if err != nil {
		return err
	}
	row, env := h.row, at.environmentID
	listed := row.Version > 0 && row.Change != changeDeleted && next.key == h.key
	if row.Version > 0 {
		if err := s.keepVersion(at, *h, 0); err != nil {
			return err
		}
	}
	row.Version, row.Updated, row.Author, row.Change, row.Value = row.Version+1, s.now(), s.Author(), c, sealed
	h.key = next.key
	s.tx.Set(byIDText(variableByte, env, h.key), row.encode(), 0)
	if !listed {
		s.tx.Set(byID(variableIDByte, row.ID), encode(variableRef{env, h.key}), 0)
		s.tx.Set(byIDs(variablesByte, env, row.ID), []byte(h.key), 0)
	}
	return nil
}

// keepVersion makes the present version of a variable a past one, for ttl or
// for ever, and forgets those that are too many then.
func (s *Session) keepVersion(at *place, h held, ttl time.Duration) error {
	row := h.row
	s.tx.Set(pastKey(at.environmentID, row.ID, row.Version), past(h).encode(), ttl)
	return s.trimVersions(at, row.ID, at.oldestKept(row.Version+1))
}

// What one commit does about versions that are too many, besides the one that
// each change pushes out.
const (
	maxTrimSpans = command.MaxSpans // variables that lose many: as a span
	maxTrimOps   = 8_000            // versions that go one by one
	fewVersions  = 8                // of one variable that do
)

// trimVersions forgets the versions of a variable before the oldest one that is
// kept. That is one, unless the environment has come to keep fewer: versions are
// there without gaps, so those before it tell. Spans cost whatever is read later,
// so they are for many versions only. What a commit has no room for stays until
// the next change.
func (s *Session) trimVersions(at *place, variable, oldest uint64) error {
	key := func(n uint64) []byte { return pastKey(at.environmentID, variable, n) }
	first, many := oldest-1, false // what is there, as far as is known
	for at.environment.Versions != 0 && first > 1 && !many {
		_, ok, err := s.tx.Get(key(first - 1))
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		first--
		many = oldest-first > fewVersions
	}
	switch more := int(oldest - 1 - first); {
	case !many && s.trimOps+more <= maxTrimOps:
		s.trimOps += more
		for n := max(first, 1); n < oldest; n++ {
			s.tx.Delete(key(n))
		}
	case s.trimSpans < maxTrimSpans:
		s.trimSpans++
		s.tx.DeleteSpan(key(0), key(oldest))
	}
	return nil
}

// oldestKept is the oldest version that is kept of a variable whose present one
// is given.
func (p *place) oldestKept(version uint64) uint64 {
	return version - min(version, p.environment.versions()) + 1
}

// What a commit may take to change variables, of the ops that a command has room
// for, and what it takes for each. Versions that a deletion gives an end to their
// time, or that lose it again, come on top.
const (
	maxChangeOps = 90_000
	opsOfChange  = 6
)

// deletionOps is how many ops it takes to delete a variable, or at most to take
// that back.
func (p *place) deletionOps(row *variableRow) int {
	return opsOfChange + int(min(row.Version, p.environment.versions()))
}

func errTooManyVersions() error {
	return errs.E(errs.TooLarge, "the variables that are deleted, or come back, have too many versions for one request: name fewer of their keys")
}

// dropVariable deletes a variable, but for the count. Its versions are kept for
// KeepDeleted, the deletion as the last one among them. Telling webhooks is the
// caller's too.
func (s *Session) dropVariable(at *place, h held) error {
	row, env := h.row, at.environmentID
	if err := s.keepVersion(at, h, KeepDeleted); err != nil {
		return err
	}
	gone := *row
	gone.Version, gone.Updated, gone.Author, gone.Change, gone.Value = row.Version+1, s.now(), s.Author(), changeDeleted, nil
	s.tx.Set(pastKey(env, row.ID, gone.Version), past{h.key, &gone}.encode(), KeepDeleted)
	for n := at.oldestKept(gone.Version); n < row.Version; n++ {
		s.tx.Touch(pastKey(env, row.ID, n), KeepDeleted)
	}
	s.tx.Delete(byIDText(variableByte, env, h.key))
	s.tx.Delete(byID(variableIDByte, row.ID))
	s.tx.Delete(byIDs(variablesByte, env, row.ID))
	return nil
}

// undelete stores a variable again whose deletion is its last version, and
// keeps its versions for ever. The caller has seen that the key is free.
func (s *Session) undelete(at *place, gone past, next pair, c change) error {
	row := *gone.row
	for n := at.oldestKept(row.Version); n < row.Version; n++ {
		s.tx.Touch(pastKey(at.environmentID, row.ID, n), 0)
	}
	return s.putVersion(at, &held{gone.key, &row}, next, c)
}
