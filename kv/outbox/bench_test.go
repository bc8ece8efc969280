package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
)

// Items that are put one commit each and delivered meanwhile: what the outbox
// costs beside the network.
func BenchmarkPutAndDeliver(b *testing.B) {
	for name, policy := range map[string]Policy{"ordered": {Ordered: true}, "unordered": {Parallel: 8}} {
		b.Run(name, func(b *testing.B) {
			s := kvtest.New(b)
			left := make(chan struct{}, 1024)
			r := &Runner{
				DB: s.DB, Feed: feed.New(s), Leads: func() bool { return true }, Log: slog.New(slog.DiscardHandler),
				Kinds: map[string]Kind{"hook": {Sender: counter{left}, Policy: policy}},
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				r.Run(ctx)
			}()
			payload := make([]byte, 1024)
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for i := range b.N {
					_, err := s.DB.Update(ctx, func(tx *kv.Tx) error {
						return Put(tx, Item{Queue: fmt.Sprint("hook/", i%4), ID: fmt.Sprint(i), Payload: payload})
					})
					if err != nil {
						b.Error(err)
						return
					}
				}
			}()
			for range b.N {
				<-left
			}
			b.StopTimer()
			cancel()
			<-ended
		})
	}
}

// counter is a Sender that takes everything.
type counter struct{ got chan struct{} }

func (c counter) Send(context.Context, Delivery) error {
	c.got <- struct{}{}
	return nil
}

func (c counter) Settle(*kv.Tx, Delivery, error) error { return nil }
