package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/cluster"
)

func TestSystemdIsToldWhenTheNodeIsReadyAndThatItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var told []string
		n := notifier{
			watchdog: 3 * time.Second, // so it is told every second
			checks: func(context.Context) []cluster.Check {
				second := time.Since(began) / time.Second
				return []cluster.Check{{Name: "member", Detail: "has not\ncaught up", OK: second == 2 || second == 4}}
			},
			tell: func(state string) (bool, error) { told = append(told, state); return true, nil },
		}
		ctx, stop := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer stop()
		if err := n.run(ctx); err != nil {
			t.Error(err)
		}
		const waiting = "\nSTATUS=waiting, member: has not caught up"
		want := []string{
			"WATCHDOG=1" + waiting, "WATCHDOG=1", "WATCHDOG=1\nSTATUS=serving\nREADY=1",
			"WATCHDOG=1" + waiting, "WATCHDOG=1\nSTATUS=serving", "WATCHDOG=1" + waiting, "STOPPING=1",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWatchdogIsNotServedByANodeThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var signs atomic.Int64
		n := notifier{
			watchdog: 3 * time.Second,
			checks:   func(context.Context) []cluster.Check { <-hang; return nil },
			tell:     func(string) (bool, error) { signs.Add(1); return true, nil },
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := signs.Load(); n != 0 {
			t.Errorf("%d signs of life of a node that hangs", n)
		}
		stop()
		close(hang)
		<-done
	})
}

func TestNobodyToTellEndsTheDuty(t *testing.T) {
	for _, fails := range []error{nil, errors.New("no such socket")} {
		n := notifier{
			checks: func(context.Context) []cluster.Check { return nil },
			tell:   func(string) (bool, error) { return false, fails },
		}
		if err := n.run(t.Context()); (err == nil) != (fails == nil) {
			t.Errorf("run = %v", err)
		}
	}
}
