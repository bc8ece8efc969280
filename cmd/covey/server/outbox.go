package server

import (
	"context"
	"maps"

	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/kv/posting"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/vault"
	"github.com/coveydb/covey/outgoing/webhook"
)

// deliverer delivers to the outside what the cluster has decided to send, while
// this node leads.
type deliverer struct {
	runner outbox.Runner // its Kinds are those besides webhooks
	store  *collection.Store
	vault  *vault.Store
	poster webhook.Poster
}

// Run delivers until ctx ends.
func (d *deliverer) Run(ctx context.Context) {
	defer d.poster.Close()
	kinds := maps.Clone(d.runner.Kinds)
	if kinds == nil {
		kinds = make(map[string]outbox.Kind)
	}
	for kind, hooks := range map[string]posting.Hooks{collection.HookKind: d.store.Hooks(), vault.HookKind: d.vault.Hooks()} {
		kinds[kind] = outbox.Kind{
			Sender: &posting.Sender{DB: d.runner.DB, Hooks: hooks, Try: d.poster.Try}, Policy: posting.Policy(),
		}
	}
	d.runner.Kinds = kinds
	d.runner.Run(ctx)
}
