package node

import (
	"slices"
	"sync"
	"time"
)

// clock tells the cluster's time: the median of the voters' wall clocks, so
// that one clock that steps, forward or back, moves nobody's expiry. Between
// observations it runs on this process's monotonic clock. It never goes back
// behind what any node of a quorum was told (the floor).
type clock struct {
	start time.Time // carries the monotonic reading

	mu    sync.Mutex
	ahead map[string]int64 // of each peer: its wall clock minus our monotonic one, ms
	floor int64
}

func newClock() *clock { return &clock{start: time.Now(), ahead: make(map[string]int64)} }

// mono is milliseconds on a scale that no one sets.
func (c *clock) mono() int64 { return time.Since(c.start).Milliseconds() }

// observe takes peer's wall clock, as just received, and the latest time that
// it knows to have been used.
func (c *clock) observe(peer string, wall, floor int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead[peer] = wall - c.mono()
	c.floor = max(c.floor, floor)
}

// keep forgets all peers but these.
func (c *clock) keep(peers []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.ahead {
		if !slices.Contains(peers, id) {
			delete(c.ahead, id)
		}
	}
}

// raise makes the clock show at least t from now on.
func (c *clock) raise(t int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor = max(c.floor, t)
}

// now is the cluster's time in unix milliseconds; the floor follows it.
func (c *clock) now() int64 {
	wall := time.Now().UnixMilli()
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.mono()
	clocks := make([]int64, 0, 8)
	clocks = append(clocks, wall-mono)
	for _, a := range c.ahead {
		clocks = append(clocks, a)
	}
	slices.Sort(clocks)
	c.floor = max(c.floor, mono+clocks[(len(clocks)-1)/2])
	return c.floor
}

// used is the latest time that was given out or told, for a peer that leads.
func (c *clock) used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.floor
}
