package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

const (
	inFlight  = 4       // chunks of one upload
	beatEvery = 4 << 20 // bytes
	// retryPause is how long a chunk waits that may or may not be stored,
	// before it is stored again.
	retryPause = 50 * time.Millisecond
	// abandonTime bounds the removal of what an upload has stored.
	abandonTime = 10 * time.Second
)

// An Upload is one or more files on their way into a database. Fill in the
// fields; then Add the files one after the other, and end it with Finish, or
// with Abandon. It belongs to one goroutine.
type Upload struct {
	DB       *kv.DB
	Database string
	// Enter lets the caller into the database, in the first transaction and in
	// the last.
	Enter  func(context.Context, *kv.Tx) (*collection.Session, error)
	DrawID func() collection.OID
	At     time.Time     // of the files
	Wait   time.Duration // for one commit

	files []*File
	since int64 // bytes stored since the last beat
	begun bool  // a marker may be there
	lanes lanes
}

// Part is one file as a client sends it.
type Part struct {
	Name, Type string // as the client says
	Body       io.Reader
	Limit      int64 // bytes
}

// beat says that an upload is alive, and what it holds.
type beat struct {
	At  int64            `json:"at"` // unix milliseconds
	IDs []collection.OID `json:"ids"`
}

var (
	errSwept     = errs.E(errs.Unavailable, "the upload was given up or its database dropped, nothing of it is stored")
	errNotStored = errs.E(errs.Unavailable, "the upload could not be ended, nothing of it is stored: try again")
)

// Add stores the chunks of one file, of which no more than four are held at
// once. It returns what will be the file's row. After an error nothing is left
// to do but Abandon; one of the body comes back as it is, and a file over its
// limit is errs.TooLarge.
func (u *Upload) Add(ctx context.Context, p Part) (*File, error) {
	name := CleanName(p.Name)
	f := &File{ID: u.DrawID(), Database: u.Database, Created: u.At.UnixMilli(), Name: name, File: drawFile(name)}
	u.files = append(u.files, f)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sum := sha256.New()
	err := u.stream(ctx, f, p, sum)
	if err != nil {
		cancel() // what is under way has no use
	}
	if failed := u.lanes.wait(); err == nil {
		err = failed
	}
	f.Sum = hex.EncodeToString(sum.Sum(nil))
	return f, err
}

// stream stores the chunks as they come in. The first one, which begins the
// upload or tells of another file, is stored before the others.
func (u *Upload) stream(ctx context.Context, f *File, p Part, sum hash.Hash) error {
	for number := uint64(0); ; number++ {
		room, err := u.lanes.acquire(ctx)
		if err != nil {
			return err
		}
		n, err := fill(p.Body, room)
		ended := err == io.EOF
		if err != nil && !ended {
			return err
		}
		if f.Size += int64(n); f.Size > p.Limit {
			return errs.E(errs.TooLarge, "file %.100q has more than %d bytes, which is the limit", f.Name, p.Limit)
		}
		sum.Write(room[:n])
		c := chunk{file: f.ID, number: number, data: room[:n]}
		if number == 0 {
			f.Type = TypeOf(c.data, p.Type)
			if err := u.first(ctx, c); err != nil {
				return err
			}
		}
		if number == 0 || n == 0 {
			u.lanes.release(room)
		} else {
			ids := u.nextBeat(n)
			u.lanes.start(room, func() error { return u.put(ctx, c, ids) })
		}
		if ended {
			return nil
		}
	}
}

// fill reads until room is full or the body ends, which is io.EOF. A body that
// is cut off has another error, and so is told from one that ends.
func fill(body io.Reader, room []byte) (n int, err error) {
	for n < len(room) && err == nil {
		var m int
		m, err = body.Read(room[n:])
		n += m
	}
	if n == len(room) {
		return n, nil
	}
	return n, err
}

// chunk is a piece of a file.
type chunk struct {
	file   collection.OID
	number uint64
	data   []byte
}

// upload is what the upload is known by: the id of its first file.
func (u *Upload) upload() collection.OID { return u.files[0].ID }

// nextBeat returns what a chunk of n bytes has to say of the upload besides; nil
// is nothing.
func (u *Upload) nextBeat(n int) []collection.OID {
	if u.since += int64(n); u.since < beatEvery {
		return nil
	}
	return u.ids()
}

func (u *Upload) ids() []collection.OID {
	u.since = 0
	ids := make([]collection.OID, len(u.files))
	for i, f := range u.files {
		ids[i] = f.ID
	}
	return ids
}

// first stores the first chunk of a file, with word of the file. No other chunk
// is under way: an older beat must not take the place of this one.
func (u *Upload) first(ctx context.Context, c chunk) error {
	ids := u.ids()
	if u.begun {
		return u.put(ctx, c, ids)
	}
	u.begun = true
	return u.commit(ctx, func(ctx context.Context, tx *kv.Tx) error {
		if _, err := u.Enter(ctx, tx); err != nil {
			return err
		}
		tx.Set(markerKey(u.Database, u.upload()), nil, 0)
		u.write(tx, c, ids)
		return nil
	})
}

// put stores a chunk, if the upload's marker is there.
func (u *Upload) put(ctx context.Context, c chunk, ids []collection.OID) error {
	return u.commit(ctx, func(_ context.Context, tx *kv.Tx) error {
		if _, ok, err := tx.Get(markerKey(u.Database, u.upload())); err != nil || !ok {
			return or(err, errSwept)
		}
		u.write(tx, c, ids)
		return nil
	})
}

func or(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (u *Upload) write(tx *kv.Tx, c chunk, ids []collection.OID) {
	if ids != nil {
		tx.Set(beatKey(u.Database, u.upload()), encode(beat{tx.Now(), ids}), 0)
	}
	if len(c.data) > 0 {
		tx.Set(chunkKey(u.Database, c.file, c.number), c.data, 0)
	}
}

// commit runs a transaction that may be run again when nobody knows whether it
// took effect: it sets the same keys to the same values.
func (u *Upload) commit(ctx context.Context, fn func(context.Context, *kv.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, u.Wait)
	defer cancel()
	for {
		_, err := u.DB.Update(ctx, func(tx *kv.Tx) error { return fn(ctx, tx) })
		if !errs.Is(err, errs.Unknown) {
			return err
		}
		t := time.NewTimer(retryPause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return errNotStored // and Abandon sees to it
		}
	}
}

// Finish shows all files of the upload, in one transaction, and returns them in
// the order of Add. The caller has to pass the door once more. An error means
// that nothing was stored, unless it is errs.Unknown.
func (u *Upload) Finish(ctx context.Context) (kv.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, u.Wait)
	defer cancel()
	res, err := u.DB.Update(ctx, func(tx *kv.Tx) error {
		s, err := u.Enter(ctx, tx)
		if err != nil {
			return err
		}
		if _, ok, err := tx.Get(markerKey(u.Database, u.upload())); err != nil || !ok {
			return or(err, errSwept)
		}
		for _, f := range u.files {
			row := *f
			row.By = s.By()
			tx.Set(rowKey(u.Database, f.ID), encode(row), 0)
			tx.Set(nameKey(u.Database, f.File), f.ID[:], 0)
		}
		end(tx, u.Database, u.upload())
		return nil
	})
	if errs.Is(err, errs.Unknown) {
		stored, abandoned := u.abandon(ctx)
		switch {
		case abandoned != nil:
			return res, err
		case !stored:
			return res, errNotStored
		}
		return res, nil
	}
	return res, err
}

// Files returns the files that were added, in the order of Add.
func (u *Upload) Files() []*File { return u.files }

// Abandon deletes what the upload has stored, also when ctx has ended. What it
// cannot delete a Sweeper will. After Finish it does nothing.
func (u *Upload) Abandon(ctx context.Context) { _, _ = u.abandon(ctx) }

// abandon also tells whether the upload had been finished, against which it is
// no remedy. Of the two only one can find the marker.
func (u *Upload) abandon(ctx context.Context) (stored bool, err error) {
	if !u.begun {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	_, err = u.DB.Update(ctx, func(tx *kv.Tx) error {
		_, open, err := tx.Get(markerKey(u.Database, u.upload()))
		if err != nil {
			return err
		}
		if !open {
			f, err := Get(tx, u.Database, u.upload())
			stored = f != nil
			return err
		}
		stored = false
		remove(tx, u.Database, u.upload(), u.ids())
		return nil
	})
	return stored, err
}

// remove deletes the files of an upload that has not ended.
func remove(tx *kv.Tx, database string, upload collection.OID, ids []collection.OID) {
	for _, id := range ids {
		tx.DeleteSpan(tuple.Span(chunkPrefix(database, id)))
	}
	end(tx, database, upload)
}

func end(tx *kv.Tx, database string, upload collection.OID) {
	tx.Delete(markerKey(database, upload))
	tx.Delete(beatKey(database, upload))
}

func decodeBeat(p []byte) (b beat, err error) {
	if err := json.Unmarshal(p, &b); err != nil {
		return b, &errs.Error{Kind: errs.Internal, Msg: "the marker of an upload is damaged", Err: err}
	}
	return b, nil
}
