package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// open is do for an answer without a bound: it ends with the header, and
// answer.rest holds the body, which the caller closes. A connection on which
// nothing comes for the time of one call, or for r's patience, is broken off.
func (c *Client) open(ctx context.Context, r *request) (*answer, error) {
	patience := c.cfg.Timeout
	if r.patience > 0 {
		patience = r.patience
	}
	begin, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return c.try(begin, r, func(begin context.Context, ep *url.URL, r *request) (*answer, *Error) {
		whole, end := context.WithCancel(ctx)
		keep := context.AfterFunc(begin, end)
		resp, fail := c.send(whole, ep, r)
		switch {
		case fail != nil:
			fail.final = begin.Err() != nil
		case resp.StatusCode >= http.StatusMultipleChoices:
			_, fail = c.read(resp, ep, r)
		case keep(): // the beginning's end no longer matters
			rest := &patientBody{body: resp.Body, end: end, patience: patience}
			return &answer{status: resp.StatusCode, header: resp.Header, endpoint: ep.Host, rest: rest}, nil
		default:
			resp.Body.Close()
			fail = &Error{Op: r.op, Endpoint: ep.Host, Err: context.Cause(begin), final: true}
		}
		keep()
		end()
		return nil, fail
	})
}

// patientBody is a body that waits only so long for each piece.
type patientBody struct {
	body     io.ReadCloser
	end      context.CancelFunc
	patience time.Duration
}

func (p *patientBody) Read(b []byte) (int, error) {
	t := time.AfterFunc(p.patience, p.end)
	n, err := p.body.Read(b)
	if !t.Stop() && err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("nothing came for %v", p.patience)
	}
	return n, err
}

func (p *patientBody) Close() error {
	p.end()
	return p.body.Close()
}

// maxEntry bounds the JSON text of one entry: six bytes for each of the largest
// key and value.
const maxEntry = 128 << 20

// Entries reads one JSON object from r, name after name, without holding more
// than one entry in memory. An error, after which nothing follows, says at which
// byte the object stops being one; all entries before it were whole. Other text
// after the object is an error too.
func Entries(r io.Reader) iter.Seq2[Item, error] { return entriesUpTo(maxEntry, r) }

func entriesUpTo(limit int64, r io.Reader) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		// The decoder would replace what is no UTF-8, and so make two keys one.
		g := &entryGuard{r: transform.NewReader(r, encoding.UTF8Validator), limit: limit}
		dec := json.NewDecoder(g)
		fail := func(err error) { yield(Item{}, misread(dec.InputOffset(), err)) }
		switch open, err := dec.Token(); {
		case err != nil:
			fail(err)
			return
		case open != json.Delim('{'):
			fail(errors.New("this is no object"))
			return
		}
		for dec.More() {
			var item Item
			name, err := dec.Token()
			if err == nil {
				item.Key, _ = name.(string) // the decoder takes nothing else here
				err = dec.Decode(&item.Value)
			}
			if err != nil {
				fail(err)
				return
			}
			g.done = dec.InputOffset()
			if !yield(item, nil) {
				return
			}
		}
		if _, err := dec.Token(); err != nil {
			fail(err)
		} else if _, err := dec.Token(); err == nil {
			fail(errors.New("there is more text after the object"))
		} else if !errors.Is(err, io.EOF) {
			fail(err)
		}
	}
}

// misread says where the object stopped. Errors of the reader itself stay as
// they are.
func misread(at int64, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("after byte %d: %w", at, io.ErrUnexpectedEOF)
	case errors.As(err, &syntax):
		return fmt.Errorf("malformed JSON after byte %d: %w", at, err)
	case errors.Is(err, encoding.ErrInvalidUTF8):
		return fmt.Errorf("not UTF-8 after byte %d", at)
	}
	return fmt.Errorf("after byte %d: %w", at, err)
}

// entryGuard ends a read when one entry is longer than any can be.
type entryGuard struct {
	r          io.Reader
	limit      int64
	read, done int64 // bytes that were read, and that whole entries took
}

func (g *entryGuard) Read(p []byte) (int, error) {
	if g.read-g.done > g.limit {
		return 0, fmt.Errorf("an entry is longer than %d bytes", g.limit)
	}
	n, err := g.r.Read(p)
	g.read += int64(n)
	return n, err
}
