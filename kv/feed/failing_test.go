package feed_test

import (
	"context"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// failing is a node that stops.
type failing struct{}

func (failing) View(context.Context, kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	return nil, kv.ReadInfo{}, errs.E(errs.Unavailable, "this node is stopping")
}

func (failing) Wait(context.Context, uint64) error {
	return errs.E(errs.Unavailable, "this node is stopping")
}
