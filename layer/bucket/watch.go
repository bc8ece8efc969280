package bucket

import (
	"bytes"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv/feed"
)

// A WatchQuery says which changes to follow: those of keys with Prefix that
// match Pattern.
type WatchQuery struct {
	Prefix  []byte   // empty = all keys, or all below the access token's prefix
	Pattern *Pattern // nil = all
	Values  bool     // with values, which needs the right to read as well
}

// A Watch is the right to follow changes of a bucket, as a door granted it. It
// outlives its transaction, and it is good until Read reports PolicyChanged or
// the time of Expires has come: then the caller must be judged anew, by Open
// and Bucket.Watch on a state that is not older, and either go on with the Watch
// that this gives or stop. Safe for concurrent use.
type Watch struct {
	prefixes [2][]byte // of the policy row and of the keys
	n        int       // how many there are
	head     int       // bytes of a store key before the bucket's key
	pattern  *Pattern
	since    uint64
	expires  int64
}

// Watch returns the right to follow the changes that q asks for. As for List,
// it needs the right to list, and with values the one to list values; a prefix
// outside an access token's is errs.Forbidden.
func (b *Bucket) Watch(q WatchQuery) (*Watch, error) {
	need := List
	if q.Values {
		need = ListValues
	}
	if err := b.allow(need); err != nil {
		return nil, err
	}
	if own := b.caller.prefix; len(q.Prefix) == 0 {
		q.Prefix = own
	} else if !bytes.HasPrefix(q.Prefix, own) {
		return nil, errs.E(errs.Forbidden, "bucket %s: the prefix is outside the access token's", b.id)
	}
	if len(q.Prefix) > MaxKey {
		return nil, errs.E(errs.Invalid, "prefix is %d bytes long, the limit is %d", len(q.Prefix), MaxKey)
	}
	w := &Watch{
		n: 1, head: len(dataKey(b.id, nil)), pattern: q.Pattern, since: b.version, expires: b.caller.expiry,
	}
	w.prefixes[0] = policyKey(b.id)
	if prefix, some := q.Pattern.narrow(q.Prefix); some && len(prefix) <= MaxKey {
		w.prefixes[1] = dataKey(b.id, prefix)
		w.n = 2
	}
	return w, nil
}

// Prefixes returns what a feed has to follow for the Watch. The slices belong
// to it.
func (w *Watch) Prefixes() [][]byte { return w.prefixes[:w.n:w.n] }

// Since is the version of the bucket's present policy. What changed before it
// did so under another policy, or in another bucket of the same id, and is not
// the watcher's to see now.
func (w *Watch) Since() uint64 { return w.since }

// Expires is when the caller's access token ends, in Unix ms; 0 is never.
func (w *Watch) Expires() int64 { return w.expires }

// A ChangeKind says what an event of a feed means to a watcher.
type ChangeKind uint8

// The kinds of changes.
const (
	Nothing       ChangeKind = iota // it is none of the watcher's
	KeySet                          // Key has a value
	KeyDeleted                      // Key is gone
	KeyExpired                      // Key had expired some time ago
	KeyTouched                      // Key has the same value and another Expiry
	KeysDeleted                     // an unknown number of keys are gone at once
	PolicyChanged                   // the caller must be judged anew
	BucketDeleted                   // there is nothing left to watch
)

// A Seen is what a watcher sees of one event. Key aliases the event.
type Seen struct {
	Kind    ChangeKind
	Key     []byte
	Version uint64 // of the commit; what KeySet gave to the key's ETag
	Created bool   // KeySet: the key was not there before
	Expiry  int64  // KeySet, KeyTouched: Unix ms, 0 = never

	stored []byte // KeySet: the value as it is stored
	long   bool   // KeySet: the event did not carry it
}

// Read returns what e, an event of a feed of w's Prefixes, means to the watcher.
func (w *Watch) Read(e *feed.Event) Seen {
	if bytes.HasPrefix(e.Key, w.prefixes[0]) {
		if e.Kind == feed.Delete {
			return Seen{Kind: BucketDeleted, Version: e.Version}
		}
		return Seen{Kind: PolicyChanged, Version: e.Version}
	}
	if e.Kind == feed.DeleteSpan {
		return w.readSpan(e)
	}
	if w.n < 2 || !bytes.HasPrefix(e.Key, w.prefixes[1]) {
		return Seen{}
	}
	s := Seen{Key: e.Key[w.head:], Version: e.Version, Expiry: e.Expiry}
	if !w.pattern.match(s.Key) {
		return Seen{}
	}
	switch e.Kind {
	case feed.Set:
		s.Kind, s.Created, s.stored, s.long = KeySet, e.Created, e.Value, e.Long
	case feed.Delete:
		s.Kind = KeyDeleted
	case feed.Expire:
		s.Kind = KeyExpired
	case feed.Touch:
		s.Kind = KeyTouched
	}
	return s
}

// readSpan judges a deleted span. One of all the bucket's keys is half of the
// bucket's deletion; the other half follows in the same commit.
func (w *Watch) readSpan(e *feed.Event) Seen {
	if policy := w.prefixes[0]; spans(e, policy) {
		return Seen{Kind: BucketDeleted, Version: e.Version}
	}
	if w.n < 2 {
		return Seen{}
	}
	lo, hi := tuple.Span(w.prefixes[1][:w.head])
	if bytes.Compare(e.Key, lo) <= 0 && (e.Hi == nil || bytes.Compare(hi, e.Hi) <= 0) {
		return Seen{}
	}
	return Seen{Kind: KeysDeleted, Version: e.Version}
}

// spans reports whether the span of e holds key.
func spans(e *feed.Event, key []byte) bool {
	return bytes.Compare(e.Key, key) <= 0 && (e.Hi == nil || bytes.Compare(key, e.Hi) < 0)
}

// Long reports whether s is a KeySet whose value is too long for the event to
// carry it. Bucket.Follow finds it.
func (s *Seen) Long() bool { return s.long }

// Value returns the value of a KeySet; ok is false if it is Long. The value aliases the event.
func (s *Seen) Value() (v Value, ok bool, err error) {
	if s.long {
		return Value{}, false, nil
	}
	v, err = decodeValue(s.stored)
	return v, err == nil, err
}

// Follow returns the value that s, a KeySet, has set. ok is false if it is there
// no more: the event that tells why comes later. It needs the right to list
// values.
func (b *Bucket) Follow(s *Seen) (v Value, ok bool, err error) {
	if err := b.allow(ListValues); err != nil {
		return Value{}, false, err
	}
	if !bytes.HasPrefix(s.Key, b.caller.prefix) {
		return Value{}, false, errs.E(errs.Forbidden, "bucket %s: the key is outside the access token's prefix", b.id)
	}
	r, found, err := b.tx.Get(dataKey(b.id, s.Key))
	if err != nil || !found || r.Version != s.Version {
		return Value{}, false, err
	}
	v, err = decodeValue(r.Value)
	return v, err == nil, err
}
