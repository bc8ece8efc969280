package restdb

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/media"
)

// What media files may take of a node at once. Others wait for mediaWait.
const (
	maxUploads  = 32        // each holds up to four chunks
	maxDecodes  = 2         // each holds up to picture.MaxMemory
	maxSending  = 256 << 20 // bytes that downloads hold together, a chunk each
	mediaWait   = 10 * time.Second
	defaultPace = 60 * time.Second
)

// mediaRooms bound what media files take of this node.
type mediaRooms struct {
	uploads, decodes, sending *semaphore.Weighted
	made                      singleflight.Group // previews, by file and kind
}

func newMediaRooms() *mediaRooms {
	return &mediaRooms{
		uploads: semaphore.NewWeighted(maxUploads), decodes: semaphore.NewWeighted(maxDecodes), sending: semaphore.NewWeighted(maxSending),
	}
}

// enterRoom waits for room. errs.Unavailable when none came free in time.
func enterRoom(ctx context.Context, room *semaphore.Weighted, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, mediaWait)
	defer cancel()
	if room.Acquire(ctx, n) != nil {
		return errs.E(errs.Unavailable, "too many media files are under way on this node, try again")
	}
	return nil
}

// public reports whether the request needs no key, and what it brings along as
// one does not matter: pictures are fetched by pages.
func (q *request) public() bool {
	return q.place == atMedia && (q.method == http.MethodGet || q.method == http.MethodHead)
}

var errNoMedia = errs.E(errs.NotFound, "there is no media file of this id")

// mediaID reads the id of a media file.
func (q *request) mediaID() collection.OID {
	id, ok := collection.ParseOID(q.file)
	if !ok {
		q.note(errNoMedia)
	}
	return id
}

// mediaMeta serves GET of what is known of a file.
func (q *request) mediaMeta() error {
	q.acceptable()
	id, level := q.mediaID(), q.consistency()
	var body []byte
	info, err := q.view(level, func(tx *kv.Tx, s *collection.Session) error {
		if q.bad != nil {
			return q.bad
		}
		f, err := media.Get(tx, s.Database(), id)
		if err != nil {
			return err
		}
		if f == nil {
			return errNoMedia
		}
		body = append(append([]byte{'['}, f.Meta()...), ']')
		return nil
	})
	if err != nil {
		return err
	}
	q.achieved(info)
	return q.reply(http.StatusOK, body)
}

// removeMedia serves DELETE of a file.
func (q *request) removeMedia() error {
	q.acceptable()
	id := q.mediaID()
	ctx, cancel := q.patience()
	defer cancel()
	res, err := q.update(ctx, func(tx *kv.Tx, s *collection.Session) error {
		if err := q.keyed(s); err != nil {
			return err
		}
		return media.Delete(tx, s.Database(), id)
	})
	if err != nil {
		return err
	}
	q.wrote(res)
	return q.removed([]collection.OID{id}, 1)
}

// keyed refuses users, who may look at media but change none, and then what is
// wrong with the request.
func (q *request) keyed(s *collection.Session) error {
	if _, user := s.User(); user {
		return errs.E(errs.Forbidden, "media files are changed with an API key, not as a user")
	}
	return q.bad
}
