package node

import (
	"testing"
	"time"
)

func TestOneClockThatStepsMovesNobody(t *testing.T) {
	c := newClock()
	wall := func() int64 { return time.Now().UnixMilli() }
	c.observe("b", wall()+1_000, 0)
	c.observe("c", wall()+365*24*3600_000, 0) // a year ahead
	if d := c.now() - wall(); d < 900 || d > 1_100 {
		t.Errorf("the time is %d ms from this clock, want that of the median, 1000", d)
	}
	c.observe("c", wall()-365*24*3600_000, 0) // a year behind
	if d := c.now() - wall(); d < -200 || d > 1_100 {
		t.Errorf("the time is %d ms from this clock", d)
	}
}

func TestTimeNeverGoesBackBehindWhatWasUsed(t *testing.T) {
	c := newClock()
	ahead := time.Now().UnixMilli() + 5_000
	c.observe("b", time.Now().UnixMilli(), ahead)
	if got := c.now(); got < ahead {
		t.Errorf("the time is %d ms behind what a voter knows to have been used", ahead-got)
	}
	c.raise(ahead + 1_000)
	if got := c.now(); got < ahead+1_000 || c.used() < got {
		t.Errorf("now %d, used %d, want both at least %d", got, c.used(), ahead+1_000)
	}
}

func TestPeersThatAreGoneDoNotCount(t *testing.T) {
	c := newClock()
	c.observe("b", time.Now().UnixMilli()+60_000, 0)
	c.observe("c", time.Now().UnixMilli()+60_000, 0)
	c.keep(nil)
	if d := c.now() - time.Now().UnixMilli(); d > 1_000 {
		t.Errorf("the time follows peers that are gone, by %d ms", d)
	}
}
