package keynest

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault"
)

const (
	// largeReads is what the clear values of large requests may take together
	// on this node, in bytes, from when they are opened to the end of the answer.
	// What is made of a value is several times its length.
	largeReads = 160 << 20
	// largeWait is how long a large request waits for others.
	largeWait = 5 * time.Second
	// pieceSize is how much of a list is made before it is sent, in bytes. A
	// list that is shorter has a length.
	pieceSize = 1 << 20
)

// admit waits for room for up to most bytes of clear values, once for a
// request. errs.Unavailable when none came free in time.
func (q *request) admit(most int) error {
	if q.held > 0 {
		return nil
	}
	size := int64(min(most, largeReads))
	ctx, cancel := context.WithTimeout(q.r.Context(), min(largeWait, q.Wait))
	defer cancel()
	if q.large.Acquire(ctx, size) != nil {
		return errs.E(errs.Unavailable, "other large requests take all the memory there is for them, try again")
	}
	q.held = size
	return nil
}

// release gives back what admit has taken.
func (q *request) release() {
	if q.held > 0 {
		q.large.Release(q.held)
		q.held = 0
	}
}

// replyList answers with a page. A long one goes out as it is made: it may have 64 KiB
// in each item, and as one text would take several times the memory of these.
func replyList[T, U any](q *request, page vault.Page[T], show func(T) U) error {
	return replyItems(q, listOf(q, page), page.Items, show)
}

// replyItems is replyList with what stands around the items: its JSON ends with
// an empty list.
func replyItems[T, U any](q *request, around any, items []T, show func(T) U) error {
	var body bytes.Buffer
	each := encoder(&body)
	body.Write(bytes.TrimSuffix(encode(around), []byte("]}")))
	begun := false
	for i, item := range items {
		if i > 0 {
			body.WriteByte(',')
		}
		if err := each.Encode(show(item)); err != nil {
			panic(err) // texts, numbers, and structs of them
		}
		body.Truncate(body.Len() - 1) // the line's end
		if body.Len() < pieceSize {
			continue
		}
		if !begun {
			begun = true
			q.w.Header()["Content-Type"] = jsonType
			q.w.WriteHeader(http.StatusOK)
		}
		if q.r.Method == http.MethodHead {
			return nil
		}
		if _, err := body.WriteTo(q.w); err != nil {
			return web.ClientGone(err)
		}
	}
	body.WriteString("]}")
	if !begun {
		return q.send(http.StatusOK, body.Bytes())
	}
	_, err := body.WriteTo(q.w)
	return web.ClientGone(err)
}
