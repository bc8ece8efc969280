package backup

import "github.com/coveydb/covey/fsm"

// Record is a record of a state.
type Record = fsm.Record

// A Review is how whoever orders a restore looks at the backup before it takes
// effect. Both may be nil.
type Review struct {
	// See is shown every record while the backup is received; it must not keep
	// its slices. An error ends the restore.
	See func(Record) error

	// Agree is told what the backup holds, once all of it was found right. An
	// error ends the restore.
	Agree func(Summary) error
}
