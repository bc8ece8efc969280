package events

import (
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Size is how many events a Ring holds.
	Size = 1000

	maxText   = 500         // bytes of a text
	alikeSpan = time.Second // events of a kind and node within it are one
)

// Ring holds the last events. The zero value is ready; it is safe for concurrent
// use.
type Ring struct {
	mu    sync.Mutex
	held  []Event // oldest first
	kinds map[Kind]int
}

// Add takes an event; without a Time it is of now. Events of one kind, node and
// term that come within a second of each other become one with a Count, whose
// text and parts are those of the slowest, or of the last if they have no parts.
// Events that say that something has changed are kept each.
func (r *Ring) Add(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if len(e.Text) > maxText {
		e.Text = strings.ToValidUTF8(e.Text[:maxText], "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.joins(e) {
		return
	}
	if r.kinds == nil {
		r.kinds = make(map[Kind]int)
	}
	if len(r.held) >= Size {
		r.drop()
	}
	r.held = append(r.held, e)
	r.kinds[e.Kind]++
}

// frequent are the kinds that may come many times a second.
func frequent(k Kind) bool {
	switch k {
	case SlowWrite, SlowRead, WriteError, Refused:
		return true
	}
	return false
}

// joins adds e to the last event of its kind, if that is alike.
func (r *Ring) joins(e Event) bool {
	if !frequent(e.Kind) {
		return false
	}
	for i := len(r.held) - 1; i >= 0; i-- {
		last := &r.held[i]
		if e.Time.Sub(last.Time) >= alikeSpan {
			return false
		}
		if last.Kind != e.Kind || last.Node != e.Node || last.Term != e.Term {
			continue
		}
		last.Count = max(last.Count, 1) + 1
		if last.Parts == nil || e.Parts != nil && e.Parts.Total > last.Parts.Total {
			last.Text, last.Parts = e.Text, e.Parts
		}
		return true
	}
	return false
}

// drop removes the oldest event of the kind that has the most.
func (r *Ring) drop() {
	most := Kind("")
	for k, n := range r.kinds {
		if m := r.kinds[most]; n > m || n == m && k < most {
			most = k
		}
	}
	i := slices.IndexFunc(r.held, func(e Event) bool { return e.Kind == most })
	r.held = slices.Delete(r.held, i, i+1)
	r.kinds[most]--
}

// Last returns the last n events, the oldest first. The caller owns the slice,
// but not what Parts points to.
func (r *Ring) Last(n int) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.held[max(0, len(r.held)-max(n, 0)):])
}
