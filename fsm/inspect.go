package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/coveydb/covey/fsm/command"
)

var errNoState = errors.New("fsm: there is no state record")

// inspector checks that pairs are such as a machine writes, and gathers what a
// machine keeps of them in memory.
type inspector struct {
	st    State
	found bool // st was among the pairs
	slots []slot
}

// slot is one place of the ring of remembered ids.
type slot struct {
	at, version uint64
	id          command.ID
}

// pair takes one pair of the store, which it does not keep.
func (n *inspector) pair(key, value []byte) (err error) {
	if len(key) == 0 {
		return errCorrupt
	}
	switch key[0] {
	case prefixData:
		_, _, err = decodeRecord(value)
	case prefixExpiry:
		_, _, err = decodeExpiryKey(key)
	case prefixID:
		err = n.slot(key, value)
	case prefixHistory:
		if err = wantLen(key, 13); err == nil {
			_, err = walkHistory(value, func(*Change) bool { return true })
		}
	case prefixSegment:
		err = wantLen(key, 9)
	case prefixChunk:
		err = wantLen(key, 1+len(command.ID{})+8)
	case prefixChunkSet:
		err = wantLen(key, 1+len(command.ID{}))
	case prefixMeta:
		if !bytes.Equal(key, metaKey) {
			return errCorrupt
		}
		n.found = true
		n.st, err = decodeState(value)
	default:
		err = errCorrupt
	}
	return err
}

func wantLen(key []byte, n int) error {
	if len(key) != n {
		return errCorrupt
	}
	return nil
}

func (n *inspector) slot(key, value []byte) error {
	if err := wantLen(key, 9); err != nil {
		return err
	}
	id, res, err := decodeRemembered(value)
	if err != nil {
		return err
	}
	n.slots = append(n.slots, slot{binary.BigEndian.Uint64(key[1:]), res.Version, id})
	return nil
}

// ring returns the index over the ids among the pairs, when all were taken.
func (n *inspector) ring() (ring, error) {
	if !n.found {
		return ring{}, errNoState
	}
	g := newRing(n.st.Ring)
	for _, s := range n.slots {
		if s.version%n.st.Ring != s.at || s.version > n.st.Version {
			return g, fmt.Errorf("%w (command id in slot %d)", errCorrupt, s.at)
		}
		g.put(s.id, s.version)
	}
	return g, nil
}
