package store

import "sync/atomic"

// Snapshot reads the store as it was at one moment. It is safe for concurrent
// use until it is closed. While it is open the space of what it sees is not
// reclaimed.
//
// Snapshots are cheap: those of one moment share their state.
type Snapshot struct {
	db     *DB
	gen    *generation // nil: the store was closed already
	p      *sharedSnapshot
	closed atomic.Bool
}

var _ Reader = (*Snapshot)(nil)

// Snapshot returns a view of everything committed so far. It must be closed.
// On a closed store all its reads return errs.Unavailable.
func (db *DB) Snapshot() *Snapshot {
	s := &Snapshot{db: db, gen: db.acquire()}
	if s.gen != nil {
		s.p = s.gen.keeper.acquire()
	}
	return s
}

func (s *Snapshot) usable() error {
	if s.gen == nil || s.closed.Load() {
		return errClosed(s.db.dir)
	}
	return nil
}

// Get implements Reader.
func (s *Snapshot) Get(key []byte) (value []byte, ok bool, err error) {
	if err := s.usable(); err != nil {
		return nil, false, err
	}
	return get(s.p, s.gen.dir, key)
}

// View implements Reader.
func (s *Snapshot) View(key []byte, fn func(value []byte) error) (ok bool, err error) {
	if err := s.usable(); err != nil {
		return false, err
	}
	return view(s.p, s.gen.dir, key, fn)
}

// Scan implements Reader.
func (s *Snapshot) Scan(lo, hi []byte) *Iter { return s.scan(span{lo, hi}, false) }

// ScanBack implements Reader.
func (s *Snapshot) ScanBack(lo, hi []byte) *Iter { return s.scan(span{lo, hi}, true) }

func (s *Snapshot) scan(sp span, back bool) *Iter {
	if err := s.usable(); err != nil {
		return &Iter{err: err}
	}
	return scan(s.p, s.gen.dir, sp, back)
}

// Close ends the snapshot. All its iterators must be closed before. It may be
// called again.
func (s *Snapshot) Close() error {
	if s.gen == nil || s.closed.Swap(true) {
		return nil
	}
	s.gen.keeper.release(s.p)
	s.db.release(s.gen)
	return nil
}
