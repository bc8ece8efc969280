package outbox

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// However many targets hang, and however often they are tried, the others are
// served.
func TestTargetsThatHangLeaveSlotsToTheOthers(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		var hang, most atomic.Int64
		release := make(chan struct{})
		s := &target{send: func(ctx context.Context, d Delivery) error {
			if !strings.HasPrefix(d.Queue, "hook/hangs") {
				return nil
			}
			if d.Attempt == 1 {
				return errDown
			}
			n := hang.Add(1)
			defer hang.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		kinds := map[string]Kind{"hook": {Sender: s, Policy: Policy{Ordered: true, Parallel: 4, Timeout: time.Minute}}}
		n := r.node(kinds, nil)
		const hanging = 8
		for i := range hanging {
			r.put(fmt.Sprintf("hook/hangs/%d", i), "one")
		}
		r.until("all have failed once", func() bool {
			for i := range hanging {
				if r.info(fmt.Sprintf("hook/hangs/%d", i)).Attempts == 0 {
					return false
				}
			}
			return true
		})
		r.Advance(time.Hour)
		r.until("some hang", func() bool { return hang.Load() == 2 })
		r.put("hook/well", "one")
		r.put("hook/well", "two")
		r.until("the other one is served", func() bool { return r.info("hook/well").Pending == 0 })
		if most.Load() > 2 {
			t.Errorf("%d hang at once, of 4 slots", most.Load())
		}
		close(release)
		r.until("nothing is left", func() bool { return r.left() == 0 })
		n.stop()
	})
}
