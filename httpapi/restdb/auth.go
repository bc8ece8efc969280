package restdb

import (
	"net/http"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// issueJWT serves POST /auth/jwt.
func (q *request) issueJWT() error {
	body, err := q.content()
	if err != nil {
		return err
	}
	q.acceptable()
	var wanted *collection.TokenRequest
	if q.bad == nil {
		wanted, err = collection.ParseTokenRequest(body.object())
		q.note(err)
	}
	if err := q.knock(); err != nil {
		return err
	}
	if q.bad != nil {
		return q.bad
	}
	ctx, cancel := q.patience()
	defer cancel()
	issued, err := q.Store.IssueJWT(ctx, q.DB, q.caller, wanted)
	if err != nil {
		return err
	}
	return q.reply(http.StatusCreated, appendJSON(nil, issued))
}

// refreshJWT serves POST /auth/token.
func (q *request) refreshJWT() error {
	body, err := q.content()
	if err != nil {
		return err
	}
	q.acceptable()
	// The scope of a web key has no name for this path: any key will do.
	if err := q.knock(); err != nil && !errs.Is(err, errs.Forbidden) {
		return err
	}
	if q.bad != nil {
		return q.bad
	}
	ctx, cancel := q.patience()
	defer cancel()
	issued, err := q.Store.RefreshJWT(ctx, q.DB, q.caller, body.object())
	if err != nil {
		return err
	}
	return q.reply(http.StatusCreated, appendJSON(nil, issued))
}

// knock passes the door where the layer then makes its own way through it: to
// find out whether a page may read the answer, and to turn strangers away.
func (q *request) knock() error {
	_, err := q.view(kv.Consistency{}, func(*kv.Tx, *collection.Session) error { return nil })
	return err
}

// userinfo serves GET /auth/userinfo.
func (q *request) userinfo() error {
	f := q.format()
	var body []byte
	info, err := q.view(q.consistency(), func(_ *kv.Tx, s *collection.Session) error {
		if q.bad != nil {
			return q.bad
		}
		d, ok := s.User()
		if !ok {
			return errs.E(errs.Unauthenticated, "this wants the token of a user, not a key")
		}
		body = d.Plain(nil)
		return nil
	})
	if err != nil {
		return err
	}
	q.achieved(info)
	return q.show(f, body)
}
