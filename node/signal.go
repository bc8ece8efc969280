package node

import (
	"context"
	"sync"
)

// signal tells everyone who waits of a change. The zero value is ready.
type signal struct {
	mu   sync.Mutex
	ctx  context.Context
	fire context.CancelFunc
}

// next returns a context that ends at the next change. Take it before looking
// at what may change.
func (s *signal) next() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		s.ctx, s.fire = context.WithCancel(context.Background())
	}
	return s.ctx
}

// change ends the context that next returned.
func (s *signal) change() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx != nil {
		s.fire()
		s.ctx, s.fire = nil, nil
	}
}
