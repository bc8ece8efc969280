package database

import (
	"fmt"
	"time"

	"github.com/coveydb/covey/kv"
)

// A Stamp is what makes the key of a log record. Draw it before the
// transaction.
type Stamp struct {
	Level  string    // names the database that keeps the record
	At     time.Time // to 100 ns
	Digits int       // five random digits
}

// key is the level, the time in seconds and the digits, so that the keys of one
// level sort by time.
func (s Stamp) key() string {
	return fmt.Sprintf("%s_writer-%d.%07d-%05d", s.Level, s.At.Unix(), s.At.Nanosecond()/100, s.Digits)
}

// Append stores a packed log record in the database called s.Level, which is
// created at draft if there is none. A key that is taken is passed over: no
// record replaces another.
func Append(tx *kv.Tx, s Stamp, packed []byte, draft Place) error {
	d, err := Open(tx, s.Level, draft)
	if err != nil {
		return err
	}
	for {
		_, taken, err := d.Get(s.key())
		if err != nil {
			return err
		}
		if !taken {
			return d.Put(s.key(), packed)
		}
		s.At = s.At.Add(100 * time.Nanosecond)
	}
}
