package restdb

import (
	"context"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/picture"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection/media"
)

const (
	scaleTime = 10 * time.Second // to decode a picture and make another of it
	storeTime = 3 * time.Second  // to store it, without which it is sent as well
	// againAfter is how long the original stands for a picture that took too
	// long to make: the node may have been busy.
	againAfter = time.Hour
)

// makePreview makes a picture of a file, once however many ask for it.
func (q *request) makePreview(f *media.File, kind media.Kind) (media.Preview, error) {
	info := picture.Info{Width: f.Width, Height: f.Height}
	if !info.Fits(kind.Width()) {
		return media.Preview{}, nil
	}
	// It goes on for others, and for the store, when this client leaves.
	ctx := context.WithoutCancel(q.r.Context())
	made := q.media.made.DoChan(f.Database+"/"+f.ID.String()+string(kind), func() (any, error) {
		return q.api.scale(ctx, f, kind)
	})
	select {
	case m := <-made:
		if m.Err != nil {
			return media.Preview{}, m.Err
		}
		return m.Val.(media.Preview), nil
	case <-q.r.Context().Done():
		return media.Preview{}, q.r.Context().Err()
	}
}

// scale makes a preview and stores it, so that it is made once in a cluster.
func (a *api) scale(ctx context.Context, f *media.File, kind media.Kind) (media.Preview, error) {
	p, ttl, err := a.decode(ctx, f, kind)
	if err != nil {
		return media.Preview{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	if _, err := a.DB.Update(ctx, func(tx *kv.Tx) error { return media.StorePreview(tx, f, kind, p, ttl) }); err != nil {
		a.Log.Debug("a preview was not stored", "error", err)
	}
	return p, nil
}

// decode makes a preview, and tells how long it holds, 0 for ever. The original
// stands for what cannot be made, or would be no smaller.
func (a *api) decode(ctx context.Context, f *media.File, kind media.Kind) (media.Preview, time.Duration, error) {
	if err := enterRoom(ctx, a.media.decodes, 1); err != nil {
		return media.Preview{}, 0, err
	}
	defer a.media.decodes.Release(1)
	ctx, cancel := context.WithTimeout(ctx, scaleTime)
	defer cancel()
	// What the file is read with outlives the time for the picture, so that a
	// file that cannot be read is told from a picture that takes too long.
	r := media.NewReader(context.WithoutCancel(ctx), a.DB, f, a.Wait)
	p, err := picture.Scale(ctx, r, kind.Width())
	switch {
	case r.Err() != nil:
		return media.Preview{}, 0, r.Err()
	case errs.Is(err, errs.Unavailable):
		return media.Preview{}, againAfter, nil
	case err != nil, len(p.Data) > media.MaxPreview, int64(len(p.Data)) >= f.Size:
		return media.Preview{}, 0, nil
	}
	return media.Preview{Type: p.Type, Data: p.Data}, 0, nil
}
