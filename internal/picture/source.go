package picture

import (
	"context"
	"io"

	"github.com/coveydb/covey/internal/errs"
)

// source is what a decoder reads from. It ends with its context and remembers
// what was wrong with its reader, so that a picture is not blamed for that.
type source struct {
	ctx context.Context
	r   io.ReadSeeker
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil && s.ctx.Err() != nil {
		s.err = errs.E(errs.Unavailable, "the picture was not read in time: %w", s.ctx.Err())
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *source) Seek(offset int64, whence int) (int64, error) { return s.r.Seek(offset, whence) }

func (s *source) rewind() error {
	_, err := s.r.Seek(0, io.SeekStart)
	return err
}

// failure is what a decoder's error means.
func (s *source) failure(err error) error {
	if s.err != nil {
		return s.err
	}
	return errs.E(errs.Invalid, "this is no picture of a known format, or a damaged one: %w", err)
}
