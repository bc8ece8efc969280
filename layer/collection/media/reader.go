package media

import (
	"context"
	"io"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// A Reader reads a file's bytes, chunk by chunk, and holds one. A file that is
// deleted meanwhile is errs.NotFound, which stays. It belongs to one goroutine.
type Reader struct {
	ctx   context.Context
	db    *kv.DB
	f     *File
	wait  time.Duration
	at    int64
	held  uint64 // the number of the chunk that is held, plus 1
	chunk []byte
	err   error
}

// NewReader returns a Reader of f, whose row or chunks this node's state holds.
// It is an io.ReadSeeker until ctx ends; wait bounds the time for one chunk.
func NewReader(ctx context.Context, db *kv.DB, f *File, wait time.Duration) *Reader {
	return &Reader{ctx: ctx, db: db, f: f, wait: wait}
}

// Err returns what was wrong with a Read, nil if nothing was.
func (r *Reader) Err() error { return r.err }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.at >= r.f.Size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	number := uint64(r.at / ChunkSize)
	if r.held != number+1 {
		r.chunk, r.held = nil, 0 // not both at once
		chunk, err := r.fetch(number)
		if err != nil {
			r.err = err
			return 0, err
		}
		r.chunk, r.held = chunk, number+1
	}
	n := copy(p, r.chunk[r.at%ChunkSize:])
	r.at += int64(n)
	return n, nil
}

// fetch reads a chunk. Chunks never change, so any state that has it will do.
func (r *Reader) fetch(number uint64) (chunk []byte, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.wait)
	defer cancel()
	_, err = r.db.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		rec, ok, err := tx.Get(chunkKey(r.f.Database, r.f.ID, number))
		if err == nil && !ok {
			err = errs.E(errs.NotFound, "media file %s was deleted meanwhile", r.f.ID)
		}
		chunk = rec.Value
		return err
	})
	if want := min(ChunkSize, r.f.Size-int64(number)*ChunkSize); err == nil && int64(len(chunk)) != want {
		err = errs.E(errs.Internal, "chunk %d of media file %s has %d bytes, not %d", number, r.f.ID, len(chunk), want)
	}
	return chunk, err
}

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.f.Size
	}
	if offset < 0 {
		return 0, errs.E(errs.Invalid, "a position before the beginning of the file")
	}
	r.at = offset
	return offset, nil
}
