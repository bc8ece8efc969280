package client

import (
	"strconv"
	"sync"
	"time"
)

// freshFor is how long a version counts as "just before the first try". A node
// refuses an id that it may have forgotten already, and it tells by this
// version; an old one would make it refuse a first try for nothing.
const freshFor = 2 * time.Second

// lastVersion remembers the newest version of the store that an answer named.
type lastVersion struct {
	mu      sync.Mutex
	version uint64
	at      time.Time
}

func (l *lastVersion) note(header string) {
	v, err := strconv.ParseUint(header, 10, 64)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v >= l.version {
		l.version, l.at = v, time.Now()
	}
}

// fresh returns the version if it was seen shortly before now, else 0.
func (l *lastVersion) fresh(now time.Time) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.version == 0 || now.Sub(l.at) > freshFor {
		return 0
	}
	return l.version
}
