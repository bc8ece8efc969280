package web

import (
	"errors"
	"io"
	"net/http"

	"github.com/coveydb/covey/internal/errs"
)

// firstRead is how much room a body of unknown length gets at first.
const firstRead = 4 << 10

// ReadBody returns the whole body of r, which the caller then owns. It reads
// at most limit+1 bytes: a longer body is errs.TooLarge, one that ends early is
// errs.Invalid. A large body waits until there is memory for it, see Uploads.
func ReadBody(r *http.Request, limit int) ([]byte, error) {
	length := r.ContentLength
	switch {
	case length == 0 || r.Body == nil:
		return nil, nil
	case length > int64(limit):
		return nil, errs.E(errs.TooLarge, "the body is %d bytes long, the limit is %d", length, limit)
	}
	if length < 0 {
		return readUnknown(r, limit)
	}
	if err := admit(r, length); err != nil {
		return nil, err
	}
	return readKnown(r.Body, int(length))
}

// readKnown grows with what arrives, so that a client cannot reserve memory by
// announcing bytes it never sends.
func readKnown(body io.Reader, length int) ([]byte, error) {
	const trusted = 1 << 20
	p := make([]byte, min(length, trusted))
	for n := 0; ; {
		m, err := io.ReadFull(body, p[n:])
		n += m
		if err != nil {
			return nil, cutShort(err)
		}
		if n == length {
			return p, nil
		}
		p = append(p, make([]byte, min(length-n, n))...)
	}
}

func readUnknown(r *http.Request, limit int) ([]byte, error) {
	p := make([]byte, 0, min(firstRead, limit+1))
	for {
		n, err := r.Body.Read(p[len(p):min(cap(p), limit+1)])
		p = p[:len(p)+n]
		switch {
		case len(p) > limit:
			return nil, errs.E(errs.TooLarge, "the body is over %d bytes long", limit)
		case errors.Is(err, io.EOF):
			return p, nil
		case err != nil:
			return nil, cutShort(err)
		}
		if len(p) >= largeBody {
			if err := admit(r, int64(limit)); err != nil {
				return nil, err
			}
		}
		if len(p) == cap(p) {
			p = append(p, 0)[:len(p)]
		}
	}
}

// cutShort names the client's fault without the text of the connection's
// error, which may hold addresses.
func cutShort(err error) error {
	return &errs.Error{Kind: errs.Invalid, Msg: "the body ended early or arrived too slowly", Err: err}
}
