package media

import (
	"context"
	"sync"

	"github.com/coveydb/covey/internal/errs"
)

// lanes bound how many chunks are held at once, and reuse their room.
type lanes struct {
	free  chan []byte
	made  int
	group sync.WaitGroup
	mu    sync.Mutex
	err   error // the first
}

// acquire returns room for a chunk, once there is some; and the error of a chunk
// that could not be stored.
func (l *lanes) acquire(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if l.free == nil {
		l.free = make(chan []byte, inFlight)
	}
	select {
	case room := <-l.free:
		return room, nil
	default:
	}
	if l.made < inFlight {
		l.made++
		return make([]byte, ChunkSize), nil
	}
	select {
	case room := <-l.free:
		return room, nil
	case <-ctx.Done():
		return nil, errs.E(errs.Unavailable, "upload: %w", ctx.Err())
	}
}

func (l *lanes) release(room []byte) { l.free <- room }

// start runs fn, and gives room back when it ends.
func (l *lanes) start(room []byte, fn func() error) {
	l.group.Go(func() {
		err := fn()
		l.mu.Lock()
		if l.err == nil {
			l.err = err
		}
		l.mu.Unlock()
		l.release(room)
	})
}

// wait waits for all that was started, and returns the first error.
func (l *lanes) wait() error {
	l.group.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
