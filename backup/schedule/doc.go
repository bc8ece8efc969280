// Package schedule makes backups of the cluster at fixed times, by the node that
// leads, into a depot.
//
// What is guaranteed: the times are multiples of the interval since 1970 (plus a
// shift that depends on the place, so that many clusters do not come at once), and
// which of them was served last is kept in the cluster (Ledger), so that a change
// of the leader neither skips one nor serves it twice; one that was missed while
// nobody led is made up for, once. A backup counts when it has been read back from
// the depot, byte for byte as it was written; a file beside it says so. A run that
// failed is tried again, later each time.
//
// Of the backups that count the newest are kept. What is never deleted: any file
// that a schedule of this very cluster did not make and verify. A leader that dies
// between the last byte of a backup and its entry in the ledger leaves one more.
package schedule
