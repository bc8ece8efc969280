package collection

import (
	"encoding/binary"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// What listeners are told of deletions stands in records of its own: the
// changes alone do not say which documents a deleted span held, nor who had
// created what is gone, nor which deletions belong together. They are written by
// the commit that deletes, read from the feed, and go by themselves.

const (
	// tellTime is how long a record stays for those who do not find its value
	// in the feed.
	tellTime = time.Hour
	// Bounds of one record: what a listener gets in one event, and what the
	// feed keeps of a value.
	toldIDs   = 1_000
	toldBytes = 15 << 10
	// tellBytes bounds the records of one deletion together. A larger one is
	// told without its ids.
	tellBytes = 4 << 20
)

// The forms of a deletion's record. They are stored.
const (
	deletionOpen    = 1 // the ids
	deletionPrivate = 2 // how many creators, each with its length before it; ids, each with the number of its creator
	deletionMany    = 3 // nothing: there are too many to be named
)

// A deletion is what one record tells.
type deletion struct {
	ids      []OID
	creators []string // who had created each of ids; nil: nobody asked when they were deleted
	many     bool     // there are too many ids to be told
}

// isPrivate reports whether users see only what they have created.
func (c *Collection) isPrivate() bool { return c.row.Roles != nil && c.row.Roles.Private }

// tellGone writes the records for documents that are being deleted. creators are
// those of ids in a private collection, else nil.
func (c *Collection) tellGone(ids []OID, creators []string) {
	if len(ids) == 0 {
		return
	}
	records, size := []deletion(nil), 0
	for rest, by := ids, creators; len(rest) > 0 && size <= tellBytes; {
		n, bytes := cutDeletion(rest, by)
		d := deletion{ids: rest[:n]}
		if rest = rest[n:]; by != nil {
			d.creators, by = by[:n], by[n:]
		}
		records, size = append(records, d), size+bytes
	}
	if size > tellBytes {
		records = []deletion{{ids: ids[:1], many: true}}
	}
	for _, d := range records {
		c.tx.Set(deletionKey(c.db, c.row.Number, d.ids[0]), d.append(nil), tellTime)
	}
}

// cutDeletion says how many of ids fit into one record, at least one, and how
// long that is at most.
func cutDeletion(ids []OID, creators []string) (n, bytes int) {
	known := make(map[string]bool)
	for bytes = 1 + binary.MaxVarintLen64; n < len(ids) && n < toldIDs; n++ {
		add := len(OID{})
		if creators != nil {
			add += binary.MaxVarintLen16
			if by := creators[n]; !known[by] {
				known[by] = true
				add += binary.MaxVarintLen16 + len(by)
			}
		}
		if n > 0 && bytes+add > toldBytes {
			break
		}
		bytes += add
	}
	return n, bytes
}

// append appends the record.
func (d deletion) append(dst []byte) []byte {
	switch {
	case d.many:
		return append(dst, deletionMany)
	case d.creators == nil:
		dst = append(dst, deletionOpen)
		for _, id := range d.ids {
			dst = append(dst, id[:]...)
		}
		return dst
	}
	numbers := make(map[string]int)
	var names []string
	for _, by := range d.creators {
		if _, known := numbers[by]; !known {
			numbers[by] = len(names)
			names = append(names, by)
		}
	}
	dst = binary.AppendUvarint(append(dst, deletionPrivate), uint64(len(names)))
	for _, name := range names {
		dst = append(binary.AppendUvarint(dst, uint64(len(name))), name...)
	}
	for i, id := range d.ids {
		dst = binary.AppendUvarint(append(dst, id[:]...), uint64(numbers[d.creators[i]]))
	}
	return dst
}

var errDeletion = errs.E(errs.Internal, "the record of a deletion is damaged or of a newer format")

// decodeDeletion reads what append has written.
func decodeDeletion(p []byte) (d deletion, err error) {
	if len(p) == 0 {
		return d, errDeletion
	}
	form, p := p[0], p[1:]
	switch form {
	case deletionMany:
		if len(p) > 0 {
			return d, errDeletion
		}
		return deletion{many: true}, nil
	case deletionOpen:
		if len(p)%len(OID{}) != 0 {
			return d, errDeletion
		}
		for ; len(p) > 0; p = p[len(OID{}):] {
			d.ids = append(d.ids, OID(p[:len(OID{})]))
		}
		return d, nil
	case deletionPrivate:
		return decodePrivate(p)
	}
	return d, errDeletion
}

func decodePrivate(p []byte) (d deletion, err error) {
	count, n := binary.Uvarint(p)
	if n <= 0 || count > uint64(len(p)) {
		return deletion{}, errDeletion
	}
	p = p[n:]
	var names []string
	for range count {
		size, n := binary.Uvarint(p)
		if n <= 0 || size > uint64(len(p)-n) {
			return deletion{}, errDeletion
		}
		names = append(names, string(p[n:n+int(size)]))
		p = p[n+int(size):]
	}
	d.creators = []string{}
	for len(p) > 0 {
		if len(p) < len(OID{}) {
			return deletion{}, errDeletion
		}
		number, n := binary.Uvarint(p[len(OID{}):])
		if n <= 0 || number >= uint64(len(names)) {
			return deletion{}, errDeletion
		}
		d.ids = append(d.ids, OID(p[:len(OID{})]))
		d.creators = append(d.creators, names[number])
		p = p[len(OID{})+n:]
	}
	return d, nil
}
