package fsm

import "container/heap"

// waiter is one goroutine that waits for a version.
type waiter struct {
	version uint64
	at      int // in the heap, -1 when out
	done    chan struct{}
}

// waiters is a heap by version, so that a publication looks only at those it
// wakes. Guarded by Machine.mu.
type waiters struct{ h waiterHeap }

func (w *waiters) add(version uint64) *waiter {
	x := &waiter{version: version, done: make(chan struct{})}
	heap.Push(&w.h, x)
	return x
}

func (w *waiters) remove(x *waiter) {
	if x.at >= 0 {
		heap.Remove(&w.h, x.at)
	}
}

func (w *waiters) wake(version uint64) {
	for len(w.h) > 0 && w.h[0].version <= version {
		close(heap.Pop(&w.h).(*waiter).done)
	}
}

type waiterHeap []*waiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].version < h[j].version }
func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *waiterHeap) Push(x any) {
	w := x.(*waiter)
	w.at = len(*h)
	*h = append(*h, w)
}

func (h *waiterHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	w.at = -1
	return w
}
