package fsm

import (
	"bytes"

	"github.com/coveydb/covey/store"
)

const (
	headSlots   = 1 << 14
	maxHeadKey  = 256 // of a key that is kept
	maxNearby   = 32  // of a value that is kept: room for any counter
	maxReadKept = 1 << 20
)

// heads reads records for the applying goroutine, and keeps the heads of some
// that were read or written last, so that a policy that every command reads, or
// a counter that many add to, costs no search in the store. A key has one slot
// it can be in; what is in a slot is what the batch at hand would read. Every
// write to a record must come by here. It is a cache: no result depends on it.
type heads struct {
	slots []headSlot
	age   uint64 // slots of another age are void

	key  []byte // scratch for the key of a read
	got  head   // by the last read of the store
	buf  []byte // its value
	take func(p []byte) error
}

type headSlot struct {
	age    uint64 // 0 is void
	key    []byte
	head   head
	value  [maxNearby]byte
	length int // of value; negative when it is not kept
}

func newHeads(slots int) *heads {
	c := &heads{slots: make([]headSlot, slots), age: 1}
	c.take = func(p []byte) error { // made once: it would escape in every read
		h, value, err := decodeRecord(p)
		c.got = h
		c.buf = append(c.buf[:0], value...)
		return err
	}
	return c
}

// void forgets all.
func (c *heads) void() { c.age++ }

// slot returns the one slot that key can be in (FNV-1a).
func (c *heads) slot(key []byte) *headSlot {
	h := uint64(14695981039346656037)
	for _, b := range key {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return &c.slots[(h^h>>32)%uint64(len(c.slots))]
}

// note keeps what key's record is now.
func (c *heads) note(key []byte, h head, value []byte) {
	if len(key) > maxHeadKey {
		return
	}
	s := c.slot(key)
	s.age, s.head = c.age, h
	s.key = append(s.key[:0], key...)
	if s.length = len(value); s.length > maxNearby {
		s.length = -1
	}
	copy(s.value[:], value)
}

// head returns the head of key's record.
func (c *heads) head(r store.Reader, key []byte) (head, error) {
	if s := c.slot(key); s.age == c.age && bytes.Equal(s.key, key) {
		return s.head, nil
	}
	h, _, err := c.read(r, key)
	return h, err
}

// record returns key's record. The value is valid until the next read or write.
func (c *heads) record(r store.Reader, key []byte) (head, []byte, error) {
	if s := c.slot(key); s.age == c.age && s.length >= 0 && bytes.Equal(s.key, key) {
		return s.head, s.value[:s.length], nil
	}
	return c.read(r, key)
}

func (c *heads) read(r store.Reader, key []byte) (head, []byte, error) {
	if cap(c.buf) > maxReadKept {
		c.buf = nil
	}
	c.got, c.buf = head{}, c.buf[:0]
	c.key = appendDataKey(c.key[:0], key)
	if _, err := r.View(c.key, c.take); err != nil {
		return head{}, nil, err
	}
	c.note(key, c.got, c.buf)
	return c.got, c.buf, nil
}
