package server

import (
	"context"
	"maps"

	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/outgoing/webhook"
)

// deliverer delivers to the outside what the cluster has decided to send, while
// this node leads.
type deliverer struct {
	runner outbox.Runner // its Kinds are those besides webhooks
	store  *collection.Store
	poster webhook.Poster
}

// Run delivers until ctx ends.
func (d *deliverer) Run(ctx context.Context) {
	defer d.poster.Close()
	kinds := maps.Clone(d.runner.Kinds)
	if kinds == nil {
		kinds = make(map[string]outbox.Kind)
	}
	kinds[collection.HookKind] = outbox.Kind{
		Sender: &collection.HookSender{DB: d.runner.DB, Store: d.store, Post: d.poster.Post},
		Policy: collection.HookPolicy(),
	}
	d.runner.Kinds = kinds
	d.runner.Run(ctx)
}
