package vault

import (
	"slices"
	"strconv"
	"strings"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// Sizes of pages.
const (
	DefaultPageSize = 20
	MaxPageSize     = 100
)

// Paging names a page of a list. The zero value is the first one, of the
// default size.
type Paging struct {
	Number int // from 1; 0 is 1
	Size   int // up to MaxPageSize; 0 is DefaultPageSize
	Last   bool
}

// Page is one page of a list, ids ascending.
type Page[T any] struct {
	Count  int // of the whole list
	Number int // of this page, also when the last one was asked for
	Size   int
	Items  []T
}

// cut returns the part of ids that a page shows. A page past the end is
// errs.NotFound; an empty list has one page.
func (p Paging) cut(ids []uint64) (Page[uint64], error) {
	p, lo, hi, err := p.bounds(len(ids))
	if err != nil {
		return Page[uint64]{}, err
	}
	return Page[uint64]{Count: len(ids), Number: p.Number, Size: p.Size, Items: ids[lo:hi]}, nil
}

// bounds returns p with its size and number filled in, and the part [lo, hi)
// of a list of count things that it shows.
func (p Paging) bounds(count int) (full Paging, lo, hi int, err error) {
	if p.Size == 0 {
		p.Size = DefaultPageSize
	}
	if p.Number == 0 {
		p.Number = 1
	}
	if p.Size < 0 || p.Size > MaxPageSize || p.Number < 1 {
		return p, 0, 0, errs.E(errs.NotFound, "Invalid page.")
	}
	pages := max(1, (count+p.Size-1)/p.Size)
	if p.Last {
		p.Number = pages
	}
	if p.Number > pages {
		return p, 0, 0, errs.E(errs.NotFound, "Invalid page.")
	}
	lo = (p.Number - 1) * p.Size
	return p, lo, min(lo+p.Size, count), nil
}

// page shows a page of the things that have ids, in the order of ids.
func page[T any](p Paging, ids []uint64, show func(id uint64) (T, error)) (Page[T], error) {
	slices.Sort(ids)
	part, err := p.cut(ids)
	if err != nil {
		return Page[T]{}, err
	}
	shown := Page[T]{Count: part.Count, Number: part.Number, Size: part.Size, Items: make([]T, 0, len(part.Items))}
	for _, id := range part.Items {
		item, err := show(id)
		if err != nil {
			return Page[T]{}, err
		}
		shown.Items = append(shown.Items, item)
	}
	return shown, nil
}

// maxListed bounds what one list goes over.
const maxListed = 100_000

// appendIDs appends the ids that a kind of key has after an owner's.
func appendIDs(tx *kv.Tx, ids []uint64, kind byte, owner uint64) ([]uint64, error) {
	prefix := byID(kind, owner)
	lo, hi := tuple.Span(prefix)
	for rec, err := range tx.Scan(lo, hi) {
		if err != nil {
			return nil, err
		}
		if len(ids) == maxListed {
			return nil, errTooMany()
		}
		id, _, err := tuple.Uint(rec.Key[len(prefix):])
		if err != nil {
			return nil, damaged(err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func errTooMany() error {
	return errs.E(errs.TooLarge, "the list has more than %d entries: narrow it down by a filter", maxListed)
}

func damaged(err error) error {
	return &errs.Error{Kind: errs.Internal, Msg: "a stored row is damaged", Err: err}
}

// readRow returns the row under key, and nil if there is none.
func readRow[T any](tx *kv.Tx, key []byte) (*T, error) {
	rec, ok, err := tx.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	return decode[T](rec.Value)
}

// nextID takes the next id of a type: counted from 1, without gaps, never
// given twice. Two transactions that take one conflict.
func nextID(tx *kv.Tx, what string) (uint64, error) {
	k := byText(idByte, what)
	last, err := readNumber(tx, k)
	if err != nil {
		return 0, err
	}
	last++
	tx.Set(k, strconv.AppendUint(nil, last, 10), 0)
	return last, nil
}

// readNumber returns the decimal number under key, 0 if there is none.
func readNumber(tx *kv.Tx, key []byte) (uint64, error) {
	rec, ok, err := tx.Get(key)
	if err != nil || !ok {
		return 0, err
	}
	n, err := strconv.ParseUint(string(rec.Value), 10, 64)
	if err != nil {
		return 0, damaged(err)
	}
	return n, nil
}

// What is counted, and of whom.
const (
	countMembers       = "members"        // of an organization
	countProjects      = "projects"       // of an organization
	countEnvironments  = "environments"   // of a project
	countVariables     = "variables"      // of an environment
	countServiceTokens = "service tokens" // of an organization
)

func addCount(tx *kv.Tx, what string, owner uint64, n int64) {
	tx.Add(countKey(what, owner), command.Int(n), 0)
}

func readCount(tx *kv.Tx, what string, owner uint64) (int, error) {
	n, err := readNumber(tx, countKey(what, owner))
	return int(n), err
}

// limits are how many an owner may have of what is counted, and what is said
// to those who would have more.
var limits = map[string]struct {
	most int
	text string
}{
	countProjects:      {MaxProjects, "Organization has reached the maximum number of projects."},
	countEnvironments:  {MaxEnvironments, "Project has reached the maximum number of environments."},
	countVariables:     {MaxVariables, "Environment has reached the maximum number of variables."},
	countServiceTokens: {MaxServiceTokens, "Organization has reached the maximum number of service tokens."},
}

// room returns FieldErrors if an owner may not have n more.
func (s *Session) room(what string, owner uint64, n int) error {
	has, err := readCount(s.tx, what, owner)
	if err == nil && has+n > limits[what].most {
		err = FieldErrors{"non_field_errors": {limits[what].text}}
	}
	return err
}

// contains reports whether one of the texts has a part, whatever the case. The
// part is in lower case.
func contains(part string, texts ...string) bool {
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), part) })
}
