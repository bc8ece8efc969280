package restdb

import (
	"encoding/binary"
	"net/http"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/mail"
)

// unsubscribePath is where the links in mails lead.
const unsubscribePath = "/mail/unsubscribe/"

func (a *api) desk() *mail.Desk { return &mail.Desk{Store: a.Store, From: a.MailFrom} }

// sendMail serves POST /mail: all mails of the body, or none.
func (q *request) sendMail() error {
	body, err := q.content()
	if err != nil {
		return err
	}
	q.acceptable()
	q.noCondition()
	var batch *mail.Batch
	if q.bad == nil {
		batch, err = mail.Parse(body.object(), q.at, q.Proxies.Base(q.r)+unsubscribePath)
		q.note(err)
	}
	if batch == nil {
		batch = &mail.Batch{}
	}
	drafts := insertion{drafts: batch.Drafts}
	ctx, cancel := q.patience()
	defer cancel()
	desk := q.desk()
	database := ""
	res, err := q.update(ctx, func(tx *kv.Tx, s *collection.Session) error {
		out, err := s.System(collection.EmailOutbound, collection.Create)
		if q.bad != nil && (err == nil || !errs.Is(err, errs.Forbidden)) {
			return q.bad
		}
		if err != nil {
			return err
		}
		database = s.Database()
		if q.once.key != "" {
			drafts.name(q.identity(database), q.at)
			tx.Reply(binary.BigEndian.AppendUint64(nil, uint64(q.at.Unix())))
		}
		return desk.Post(ctx, s, out, batch)
	})
	if err != nil {
		return err
	}
	if res.Duplicate {
		// The mails have the ids that the first try gave them.
		if len(res.Reply) != 8 {
			return errs.E(errs.Internal, "the first try of a mail left %d bytes", len(res.Reply))
		}
		drafts.name(q.identity(database), time.Unix(int64(binary.BigEndian.Uint64(res.Reply)), 0))
	}
	q.wrote(res)
	return q.reply(http.StatusCreated, mailed(batch, desk.Warning(batch)))
}

// mailed is the answer to POST /mail.
func mailed(b *mail.Batch, warning string) []byte {
	type one struct {
		ID collection.OID `json:"email_outbound_id"`
	}
	answer := struct {
		Result  []one  `json:"result"`
		Warning string `json:"warning,omitempty"`
	}{Result: make([]one, len(b.Drafts)), Warning: warning}
	for i := range b.Drafts {
		answer.Result[i].ID = b.Drafts[i].ID
	}
	return appendJSON(nil, answer)
}
