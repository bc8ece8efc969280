package web

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/coveydb/covey/internal/errs"
)

const (
	// largeBody is the length from which bodies are counted; the memory that
	// smaller ones take is bounded well enough by what connections cost.
	largeBody = 1 << 20
	// largeBodies is what the bodies of large requests may take together, from
	// their first byte to the answer. What is made of a body is several times
	// its length.
	largeBodies = 64 << 20
	// largeWait is how long a large request waits for others.
	largeWait = 10 * time.Second
)

// Uploads bounds the memory that large requests take together on this node.
// One Uploads is shared by all APIs. Safe for concurrent use.
type Uploads struct{ room *semaphore.Weighted }

// NewUploads returns an Uploads.
func NewUploads() *Uploads { return &Uploads{room: semaphore.NewWeighted(largeBodies)} }

// upload is the part of one request in an Uploads. It belongs to the goroutine
// that serves the request.
type upload struct {
	of    *Uploads
	held  int64
	began time.Time // to wait for room; zero if it did not
	got   time.Time // its room
}

type uploadKey struct{}

// track returns r so that ReadBody takes part in u, and what gives back in the
// end. It costs nothing for requests that are known to be small.
func (u *Uploads) track(r *http.Request) (*http.Request, *upload) {
	if u == nil || r.ContentLength >= 0 && r.ContentLength < largeBody {
		return r, nil
	}
	t := &upload{of: u}
	return r.WithContext(context.WithValue(r.Context(), uploadKey{}, t)), t
}

func (t *upload) release() {
	if t != nil && t.held > 0 {
		t.of.room.Release(t.held)
		t.held = 0
	}
}

// waited is how long the request has waited for room. A nil upload has not.
func (t *upload) waited() time.Duration {
	if t == nil || t.began.IsZero() {
		return 0
	}
	return t.got.Sub(t.began)
}

// admit waits for room for a body of up to size bytes, once for a request.
// errs.Unavailable when none came free in time.
func admit(r *http.Request, size int64) error {
	t, ok := r.Context().Value(uploadKey{}).(*upload)
	if !ok || t.held > 0 {
		return nil
	}
	size = min(size, largeBodies)
	ctx, cancel := context.WithTimeout(r.Context(), largeWait)
	defer cancel()
	t.began = time.Now()
	err := t.of.room.Acquire(ctx, size)
	t.got = time.Now()
	if err != nil {
		return errs.E(errs.Unavailable, "other large requests take all the memory there is for them, try again")
	}
	t.held = size
	return nil
}
