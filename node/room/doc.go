// Package room decides what a node may still write when its disk is nearly
// full: how much free space is little (Watermark, Marks), how bad it is (Level),
// and which commands may go into the log then (Level.Allows).
//
// What it guarantees: everything but Of is a pure function, a level gets worse
// at once and better only with some space to spare, so that it does not swing,
// and at every level a command that only removes is allowed. A command is judged
// by what it does, never by who sent it.
//
// It never looks at a log, a store or a clock, and knows no layer: which small
// records must be written as long as possible is told by whoever calls.
package room
