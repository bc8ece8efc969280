package restdb

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection/media"
)

const (
	// maxRanges bounds the parts of an answer. More are answered with the whole,
	// which RFC 9110, section 14.2 allows; of other units than bytes it demands it.
	maxRanges = 16
	// sendingCost is what a download holds besides its chunk, in bytes.
	sendingCost = 32 << 10
)

// Headers of media, shared like those of cors.go. A file never changes under
// its id, but it may be deleted, and then caches forget it within a day.
var (
	cacheADay    = []string{"public, max-age=86400"}
	sandboxed    = []string{"sandbox"}
	crossOrigin  = []string{"cross-origin"}
	exposedMedia = []string{"Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag"}
)

// found is a file and what was made of it, as one state has them.
type found struct {
	file    *media.File
	preview media.Preview
	made    bool
}

// download serves GET of a file, or of a picture made of it. It is public.
func (q *request) download() error {
	kind := previewKind(q.query.Value("s"))
	level := q.consistency()
	if q.bad != nil {
		return q.bad
	}
	d, info, err := q.find(level, kind)
	if err != nil {
		return err
	}
	q.achieved(info)
	if kind != 0 && !d.made {
		if d.preview, err = q.makePreview(d.file, kind); err != nil {
			return err
		}
	}
	size := min(d.file.Size, media.ChunkSize)
	if d.preview.Type != "" {
		size = int64(len(d.preview.Data))
	}
	if err := enterRoom(q.r.Context(), q.media.sending, size+sendingCost); err != nil {
		return err
	}
	defer q.media.sending.Release(size + sendingCost)
	if d.preview.Type != "" {
		sum := sha256.Sum256(d.preview.Data)
		q.mediaHeaders(d.preview.Type, hex.EncodeToString(sum[:]), "inline")
		return q.stream(d.file, bytes.NewReader(d.preview.Data))
	}
	q.mediaHeaders(d.file.Type, d.file.Sum, disposition(d.file))
	return q.stream(d.file, media.NewReader(q.r.Context(), q.DB, d.file, q.Wait))
}

// previewKind reads the parameter s; 0 is the original.
func previewKind(s string) media.Kind {
	if len(s) != 1 || media.Kind(s[0]).Width() == 0 {
		return 0
	}
	return media.Kind(s[0])
}

// find looks up the file that the path names, and the preview if one is wanted.
func (q *request) find(level kv.Consistency, kind media.Kind) (d found, info kv.ReadInfo, err error) {
	ctx, cancel := q.patience()
	defer cancel()
	info, err = q.DB.View(ctx, level, func(tx *kv.Tx) error {
		database, err := q.Store.Locate(tx, q.caller.Host)
		if err != nil {
			return err
		}
		if d.file, err = media.Find(tx, database, q.file); err != nil {
			return err
		}
		if d.file == nil {
			return errs.E(errs.NotFound, "there is no media file of this id or name")
		}
		if kind != 0 {
			d.preview, d.made, err = media.FindPreview(tx, database, d.file.ID, kind)
		}
		return err
	})
	return d, info, err
}

// mediaHeaders writes what is said of a file. What a browser might run is
// nothing to be shown, and runs nothing where it is shown all the same.
func (q *request) mediaHeaders(mediaType, sum, disposition string) {
	h := q.w.Header()
	h["Content-Type"] = []string{mediaType}
	h["Content-Disposition"] = []string{disposition}
	h["Content-Security-Policy"] = sandboxed
	h["Cross-Origin-Resource-Policy"] = crossOrigin
	h["Cache-Control"] = cacheADay
	h["Etag"] = []string{`"` + sum + `"`}
	if h["Access-Control-Allow-Origin"] != nil {
		h["Access-Control-Expose-Headers"] = exposedMedia
	}
}

// disposition says under which name to keep a file (RFC 6266).
func disposition(f *media.File) string {
	ascii := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\%`, r) {
			return '_'
		}
		return r
	}, f.Name)
	how := "inline"
	if media.Active(f.Type) {
		how = "attachment"
	}
	return how + `; filename="` + ascii + `"; filename*=UTF-8''` + strings.ReplaceAll(url.QueryEscape(f.Name), "+", "%20")
}

// stream sends content, or the ranges of it that are asked for.
func (q *request) stream(f *media.File, content io.ReadSeeker) error {
	r := q.r
	if ranges := r.Header.Get("Range"); strings.Count(ranges, ",") >= maxRanges || !strings.HasPrefix(ranges, "bytes=") {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	w := &pacedWriter{ResponseWriter: q.w, control: http.NewResponseController(q.w), pace: q.pace}
	from := &watched{ReadSeeker: content}
	http.ServeContent(w, r, "", time.UnixMilli(f.Created), from)
	switch {
	case w.refused == http.StatusRequestedRangeNotSatisfiable:
		return q.refuseRange(errs.E(errs.Invalid, "the file has %d bytes, and none of the ranges is among them", f.Size), w.refused)
	case w.refused != 0:
		return q.refuseRange(errs.E(errs.Conflict, "the file is not the one that the request's conditions want"), w.refused)
	case from.failed() || w.err != nil:
		return http.ErrAbortHandler // a part must not pass for the whole
	}
	return nil
}

// refuseRange takes back what was said of the file.
func (q *request) refuseRange(err error, status int) error {
	h := q.w.Header()
	h["Cache-Control"] = noStore
	for _, name := range []string{"Etag", "Content-Disposition", "Last-Modified", "Accept-Ranges"} {
		delete(h, name)
	}
	return web.WithStatus(err, status)
}

// pacedWriter is an answer that may take any time as long as the client takes a
// chunk of it now and then, and keeps back refusals, which have a body of their
// own here.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	pace    time.Duration
	left    int // bytes until the deadline is set anew
	refused int
	err     error
}

func (w *pacedWriter) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable || status == http.StatusPreconditionFailed {
		w.refused = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	if w.refused != 0 {
		return len(p), nil
	}
	if w.left -= len(p); w.left <= 0 {
		// A connection without deadlines has no slow client.
		_ = w.control.SetWriteDeadline(time.Now().Add(w.pace))
		w.left = media.ChunkSize
	}
	n, err := w.ResponseWriter.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}

// watched remembers whether a Read went wrong, which http.ServeContent does not
// tell. Of several ranges it reads in a goroutine that may outlive it.
type watched struct {
	io.ReadSeeker
	mu  sync.Mutex
	bad bool
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		r.mu.Lock()
		r.bad = true
		r.mu.Unlock()
	}
	return n, err
}

func (r *watched) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bad
}
