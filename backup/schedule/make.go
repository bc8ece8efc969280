package schedule

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/internal/errs"
)

// A backup that counts has a file beside it: a line that says who made it, then
// one that sha256sum -c reads.
const (
	markExt   = ".sha256"
	markFirst = "# made and verified by a backup schedule of covey\n"
	markLimit = 1 << 10
)

// upload is one backup on its way into the depot, and then what is known of it.
type upload struct {
	name    string
	version uint64
	size    int64 // of the file
	sum     hash.Hash

	plain io.Writer      // what the node writes goes here
	seal  io.WriteCloser // nil if it is not encrypted
	file  *io.PipeWriter // to the depot
	check *io.PipeWriter // to the one who reads it at once

	stored, checked chan error
}

// make writes a backup into the depot.
func (r *Runner) make(ctx context.Context) (*upload, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var u *upload
	err := r.cfg.Source.Backup(ctx, false, func(h backup.Header) (_ io.Writer, err error) {
		u, err = r.begin(ctx, h)
		if err != nil {
			return nil, err
		}
		return u.plain, nil
	})
	if u == nil {
		return nil, err
	}
	if err = u.end(err); err == nil {
		return u, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return nil, err
}

// begin starts an upload.
func (r *Runner) begin(ctx context.Context, h backup.Header) (*upload, error) {
	u := &upload{
		name: backup.NameOf(h, len(r.cfg.Recipients) > 0).String(), version: h.Version, sum: sha256.New(),
		stored: make(chan error, 1), checked: make(chan error, 1),
	}
	file, toFile := io.Pipe()
	check, toCheck := io.Pipe()
	u.file, u.check = toFile, toCheck
	go r.store(ctx, u, file)
	out := io.Writer(counted{u})
	if len(r.cfg.Recipients) > 0 {
		var err error
		if u.seal, err = backup.Encrypt(out, r.cfg.Recipients...); err != nil {
			u.file.CloseWithError(err)
			<-u.stored
			return nil, err
		}
		out = u.seal
	}
	go func() {
		_, err := backup.Verify(check)
		check.CloseWithError(err)
		u.checked <- err
	}()
	u.plain = io.MultiWriter(out, toCheck)
	return u, nil
}

func (r *Runner) store(ctx context.Context, u *upload, file *io.PipeReader) {
	err := r.cfg.Depot.Put(ctx, u.name, file)
	if err != nil {
		file.CloseWithError(err) // whoever writes gets it
	} else {
		file.Close()
	}
	u.stored <- err
}

// counted is the file: what is written is hashed, counted and passed on.
type counted struct{ u *upload }

// Write implements io.Writer.
func (c counted) Write(p []byte) (int, error) {
	n, err := c.u.file.Write(p)
	c.u.sum.Write(p[:n])
	c.u.size += int64(n)
	return n, err
}

// end finishes an upload whose source ended with err, and returns why it is none.
func (u *upload) end(err error) error {
	if err == nil && u.seal != nil {
		err = u.seal.Close()
	}
	u.check.CloseWithError(err) // nil is the end
	if checked := <-u.checked; err == nil {
		err = checked
	}
	u.file.CloseWithError(err)
	stored := <-u.stored
	if err == nil || errors.Is(err, io.ErrClosedPipe) {
		err = stored
	}
	return err
}

// verify reads a backup back and marks it if it is what was written.
func (r *Runner) verify(ctx context.Context, u *upload) error {
	f, _, err := r.cfg.Depot.Get(ctx, u.name)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n != u.size || !bytes.Equal(sum.Sum(nil), u.sum.Sum(nil)) {
		return errs.E(errs.Unavailable, "%s was read back from %s with %d bytes and another content than the %d bytes that were written: the place does not keep what it is given", u.name, r.cfg.Depot, n, u.size)
	}
	mark := markFirst + fmt.Sprintf("%s  %s\n", hex.EncodeToString(u.sum.Sum(nil)), u.name)
	return r.cfg.Depot.Put(ctx, u.name+markExt, bytes.NewReader([]byte(mark)))
}
