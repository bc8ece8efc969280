package server

import (
	"bytes"
	"slices"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/kv/sealed"
	"github.com/coveydb/covey/layer/fleet"
	"github.com/coveydb/covey/layer/vault"
)

// vital reports whether a record is written as long as there is any room.
func vital(key []byte) bool { return vault.Vital(key) || fleet.Vital(key) }

// ownRecords are the spans of what is about the cluster and not of its data: a
// restore leaves them as they are.
func ownRecords() []command.Span {
	span := func(lo, hi []byte) command.Span { return command.Span{Lo: lo, Hi: hi} }
	own := []command.Span{span(fleet.Span()), span(sealed.NodeSpan())}
	slices.SortFunc(own, func(a, b command.Span) int { return bytes.Compare(a.Lo, b.Lo) })
	return own
}
