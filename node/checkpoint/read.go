package checkpoint

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

// Open opens a snapshot as a stream of exactly Size bytes. The reader must be
// closed; until then the snapshot stays, even if newer ones push it off the
// list. For a checkpoint Open takes as long as producing the stream, once.
func (s *Store) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	snap, err := s.acquire(id)
	if err != nil {
		return nil, nil, err
	}
	meta := snap.copyMeta()
	var r io.ReadCloser
	if snap.kind == kindStream {
		r, err = openStream(filepath.Join(s.o.Dir, id, streamFile))
	} else {
		r, meta.Size, err = s.openCheckpoint(snap)
	}
	if err != nil {
		s.release(snap)
		return nil, nil, err
	}
	return &meta, &reader{ReadCloser: r, release: func() { s.release(snap) }}, nil
}

// reader releases its snapshot when it is closed.
type reader struct {
	io.ReadCloser
	release func()
	once    sync.Once
}

// Close may be called more than once.
func (r *reader) Close() error {
	var err error
	r.once.Do(func() {
		err = r.ReadCloser.Close()
		r.release()
	})
	return err
}

// bufferedFile is a file read in large steps.
type bufferedFile struct {
	*bufio.Reader
	io.Closer
}

func openStream(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, storeError("open a snapshot", err)
	}
	return bufferedFile{bufio.NewReaderSize(f, 256<<10), f}, nil
}

func (s *Store) openCheckpoint(snap *snapshot) (io.ReadCloser, int64, error) {
	dir := filepath.Join(s.o.Dir, snap.meta.ID, dataDir)
	length, err := s.measure(snap, dir)
	if err != nil {
		return nil, 0, err
	}
	pr, pw := io.Pipe()
	p := &produced{pipe: pr, id: snap.meta.ID, left: length, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		// Large steps: each write into a pipe waits for its reader.
		w := bufio.NewWriterSize(pw, 256<<10)
		err := s.o.Produce(dir, w)
		if err == nil {
			err = w.Flush()
		}
		pw.CloseWithError(err) // nil reads as the end
	}()
	return p, length, nil
}

// measure returns the length of a checkpoint's stream. Two readers at once may
// both measure; they find the same.
func (s *Store) measure(snap *snapshot, dir string) (int64, error) {
	s.mu.Lock()
	length := snap.length
	s.mu.Unlock()
	if length > 0 {
		return length, nil
	}
	var n counter
	if err := s.o.Produce(dir, &n); err != nil {
		return 0, errs.E(errs.Internal, "measure snapshot %s: %w", snap.meta.ID, err)
	}
	if n == 0 {
		return 0, errs.E(errs.Internal, "snapshot %s gives an empty stream", snap.meta.ID)
	}
	s.mu.Lock()
	snap.length = int64(n)
	s.mu.Unlock()
	return int64(n), nil
}

// counter counts what is written to it.
type counter int64

func (n *counter) Write(p []byte) (int, error) {
	*n += counter(len(p))
	return len(p), nil
}

// produced is the stream of a checkpoint while it is being produced.
type produced struct {
	pipe *io.PipeReader
	id   string
	left int64 // bytes that have been promised and not been read
	done chan struct{}
}

// Read never returns more than was promised: the bytes behind would be taken
// for the next request on the connection.
func (p *produced) Read(b []byte) (int, error) {
	if p.left == 0 {
		var one [1]byte
		n, err := io.ReadFull(p.pipe, one[:])
		if n > 0 {
			return 0, errs.E(errs.Internal, "snapshot %s gives a longer stream than the first time", p.id)
		}
		return 0, err
	}
	if int64(len(b)) > p.left {
		b = b[:p.left]
	}
	n, err := p.pipe.Read(b)
	p.left -= int64(n)
	if errors.Is(err, io.EOF) && p.left > 0 {
		return n, errs.E(errs.Internal, "snapshot %s gives a shorter stream than the first time", p.id)
	}
	return n, err
}

// Close ends the producer and waits for it.
func (p *produced) Close() error {
	err := p.pipe.Close()
	<-p.done
	return err
}
