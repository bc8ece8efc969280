package restdb

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/picture"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/media"
)

const (
	maxPartHead = 64 << 10 // bytes between the contents of two parts of a form
	maxPart     = 64 << 10 // bytes of a part that is no file: it is passed over
	maxParts    = 2 * media.MaxFiles
	// maxDrain is how much is still read of a form that is too large, so that a
	// client that only reads after it has written gets to know why.
	maxDrain    = 16 << 20
	inspectTime = 5 * time.Second
)

var (
	errNoForm    = errs.E(errs.Invalid, "files are uploaded as multipart/form-data with a boundary")
	errNoFile    = errs.E(errs.Invalid, "the form holds no file: a part with a filename")
	errManyFiles = errs.E(errs.TooLarge, "the form has over %d files or %d parts", media.MaxFiles, maxParts)
	errLongPart  = errs.E(errs.TooLarge, "a part of the form that is no file, or its header, has over %d bytes", maxPart)
	errOnceMedia = errs.E(errs.Invalid, "an Idempotency-Key does not hold for uploads: they are streamed, and each one makes new files")
)

// uploaded is the answer to an upload.
type uploaded struct {
	Msg      string           `json:"msg"`
	UploadID string           `json:"uploadid"`
	IDs      []collection.OID `json:"ids"`
}

// upload serves POST of media files. It reads nothing of the body before the
// door has let the caller in.
func (q *request) upload() error {
	q.acceptable()
	if q.once.key != "" {
		q.note(errOnceMedia)
	}
	boundary, err := boundaryOf(q.r.Header.Get("Content-Type"))
	q.note(err)
	database, limit, err := q.mayUpload()
	if err != nil {
		return err
	}
	if err := enterRoom(q.r.Context(), q.media.uploads, 1); err != nil {
		return err
	}
	defer q.media.uploads.Release(1)
	u := &media.Upload{
		DB: q.DB, Database: database, Enter: q.enterUpload, At: q.at, Wait: q.Wait,
		DrawID: func() collection.OID { return q.Store.DrawID(q.at) },
	}
	body := &pacedBody{q: q, control: http.NewResponseController(q.w)}
	err = q.receive(u, multipart.NewReader(body, boundary), body, limit)
	var res kv.Result
	if err == nil {
		body.extend()
		res, err = u.Finish(q.r.Context())
	}
	if err != nil {
		body.extend()
		u.Abandon(q.r.Context())
		if errs.Is(err, errs.TooLarge) && q.r.ContentLength <= limit+maxDrain {
			body.room, body.left = maxDrain, maxDrain // in the time for one piece
			_, _ = io.Copy(io.Discard, body)          // for the client's sake; the answer is the same
		}
		return err
	}
	answer := uploaded{Msg: "OK", UploadID: media.DrawUpload()}
	for _, f := range u.Files() {
		answer.IDs = append(answer.IDs, f.ID)
	}
	body.extend()
	q.wrote(res)
	return q.reply(http.StatusCreated, appendJSON(nil, answer))
}

// boundaryOf reads the boundary of a form.
func boundaryOf(contentType string) (string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || kind != "multipart/form-data" || boundary == "" || len(boundary) > 200 {
		return "", errNoForm
	}
	return boundary, nil
}

// mayUpload asks the door, and tells where to and how much of one file.
func (q *request) mayUpload() (database string, limit int64, err error) {
	_, err = q.view(kv.Consistency{}, func(_ *kv.Tx, s *collection.Session) error {
		if err := q.keyed(s); err != nil {
			return err
		}
		database = s.Database()
		limit, err = s.MaxMedia()
		return err
	})
	if limit <= 0 {
		limit = media.DefaultMax
	}
	return database, limit, err
}

// enterUpload is the door of the transactions of an upload.
func (q *request) enterUpload(ctx context.Context, tx *kv.Tx) (*collection.Session, error) {
	s, err := q.enter(ctx, tx)
	if err != nil {
		return nil, err
	}
	return s, q.keyed(s)
}

// receive stores the files of a form as they come in.
func (q *request) receive(u *media.Upload, form *multipart.Reader, body *pacedBody, limit int64) error {
	for range maxParts {
		body.room = maxPartHead
		part, err := form.NextRawPart()
		switch {
		case err == io.EOF && len(u.Files()) == 0: // bare; where the last boundary is missing it is wrapped
			return errNoFile
		case err == io.EOF:
			return nil
		case err != nil:
			return body.failure(err)
		}
		if part.FileName() == "" {
			body.room = maxPart
			if _, err := io.Copy(io.Discard, part); err != nil {
				return body.failure(err)
			}
			continue
		}
		if len(u.Files()) == media.MaxFiles {
			return errManyFiles
		}
		body.room = limit + maxPart + media.ChunkSize // u counts exactly
		if err := q.receiveFile(u, part, body, limit); err != nil {
			return err
		}
	}
	return errManyFiles
}

func (q *request) receiveFile(u *media.Upload, part *multipart.Part, body *pacedBody, limit int64) error {
	content := &judged{r: part, body: body}
	f, err := u.Add(q.r.Context(), media.Part{Name: part.FileName(), Type: part.Header.Get("Content-Type"), Body: content, Limit: limit})
	if err != nil || !strings.HasPrefix(f.Type, "image/") {
		return err
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), inspectTime)
	defer cancel()
	r := media.NewReader(ctx, q.DB, f, q.Wait)
	info, err := picture.Inspect(ctx, r)
	if err == nil {
		f.Width, f.Height, f.Orientation, f.EXIF = info.Width, info.Height, info.Orientation, info.EXIF
	}
	return r.Err() // a file that only looks like a picture is a file all the same
}

// judged gives a part's errors their meaning.
type judged struct {
	r    io.Reader
	body *pacedBody
}

func (j *judged) Read(p []byte) (int, error) {
	n, err := j.r.Read(p)
	if err != nil && err != io.EOF {
		err = j.body.failure(err)
	}
	return n, err
}

// pacedBody is a body that may take any time as long as it keeps coming, and
// has a limit for each of its parts.
type pacedBody struct {
	q       *request
	control *http.ResponseController
	room    int64 // bytes that may still come
	left    int64 // bytes until the deadline is set anew
	err     error // what was wrong with the body, not with what it says
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.room <= 0 && b.err == nil {
		b.err = errLongPart
	}
	if b.err != nil {
		return 0, b.err
	}
	if b.left <= 0 {
		b.extend()
	}
	n, err := b.q.r.Body.Read(p[:min(int64(len(p)), b.room, b.left)])
	b.room, b.left = b.room-int64(n), b.left-int64(n)
	if err != nil && err != io.EOF {
		b.err = &errs.Error{Kind: errs.Invalid, Msg: "the upload ended early or arrived too slowly", Err: err}
		err = b.err
	}
	return n, err
}

// extend gives the client time for another piece, and the server for an answer
// after it. A connection without deadlines has no slow client.
func (b *pacedBody) extend() {
	b.left = media.ChunkSize
	now := time.Now()
	_ = b.control.SetReadDeadline(now.Add(b.q.pace))
	_ = b.control.SetWriteDeadline(now.Add(b.q.pace + 4*b.q.Wait))
}

// failure is what an error of the form's reader means.
func (b *pacedBody) failure(err error) error {
	var known *errs.Error
	switch {
	case b.err != nil:
		return b.err
	case errors.As(err, &known):
		return err
	}
	return errBadParts
}
