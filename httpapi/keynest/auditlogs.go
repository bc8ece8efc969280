package keynest

import (
	"encoding/json"
	"net/http"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault"
)

// auditEntry is an entry of the audit log as clients see it in lists.
type auditEntry struct {
	ID           uint64          `json:"id"`
	UserName     string          `json:"user_name"`
	UserEmail    string          `json:"user_email"`
	ServiceToken uint64          `json:"service_token,omitempty"` // which did it
	Action       string          `json:"action"`
	TargetType   string          `json:"target_type"`
	TargetID     uint64          `json:"target_id"`
	Details      json.RawMessage `json:"details"`
	IPAddress    string          `json:"ip_address"`
	Timestamp    string          `json:"timestamp"`
}

func showAuditEntry(e vault.AuditEntry) auditEntry {
	return auditEntry{
		ID: e.ID, UserName: e.UserName, UserEmail: e.UserEmail, ServiceToken: e.ServiceToken, Action: e.Action, TargetType: e.TargetType,
		TargetID: e.TargetID, Details: e.Details, IPAddress: e.IPAddress, Timestamp: e.Timestamp,
	}
}

func (q *request) auditLogs() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	filter := vault.AuditFilter{
		Action: q.query.Value("action"), TargetType: q.query.Value("target_type"),
		From: q.query.Value("date_from"), To: q.query.Value("date_to"),
	}
	if user := q.filterNumber("user"); user != 0 {
		filter.User = &user
	}
	if token := q.filterNumber("service_token"); token != 0 {
		filter.ServiceToken = &token
	}
	var page vault.Page[vault.AuditEntry]
	err = q.view(func(s *vault.Session) (err error) {
		page, err = s.AuditLog(filter, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showAuditEntry)
}

// auditTypes are the content types of an export.
var auditTypes = map[vault.AuditFormat]string{
	vault.AuditJSONL: "application/x-ndjson",
	vault.AuditCSV:   "text/csv; charset=utf-8",
}

// auditExport serves GET of the whole audit log that the caller may see, to be
// kept and verified elsewhere. It shows the log as it was at the beginning, and
// is made of short transactions: none of them waits for the client. The caller's
// token is judged in each.
func (q *request) auditExport() error {
	format := vault.AuditFormat(q.query.Value("format"))
	if format == "" {
		format = vault.AuditJSONL
	}
	var heads []vault.AuditHead
	err := q.view(func(s *vault.Session) (err error) {
		heads, err = s.AuditHeads()
		return err
	})
	if err != nil {
		return err
	}
	out := &pieces{web.Pieces{W: q.w, R: q.r, Time: q.PieceTime, Begin: func() {
		q.attach("audit."+string(format), auditTypes[format])
		q.w.WriteHeader(http.StatusOK)
	}}}
	w, err := vault.NewAuditWriter(out, format, heads)
	if err != nil {
		return err
	}
	for _, head := range heads {
		if more, err := q.exportChain(out, w, head); !more || err != nil {
			return err
		}
	}
	if out.Begun() {
		return out.End()
	}
	q.attach("audit."+string(format), auditTypes[format])
	return web.Send(q.w, q.r, http.StatusOK, out.Buf)
}

// exportChain adds the entries of one chain. It reports false if no more are
// wanted.
func (q *request) exportChain(out *pieces, w *vault.AuditWriter, head vault.AuditHead) (more bool, err error) {
	for after := uint64(0); after < head.Number; {
		var part []vault.AuditEntry
		err := q.view(func(s *vault.Session) (err error) {
			part, err = s.AuditPart(head, after)
			return err
		})
		if err != nil {
			return false, err
		}
		if len(part) == 0 {
			return false, errs.E(errs.Internal, "audit chain %s ends at entry %d of %d", head.Chain, after, head.Number)
		}
		after = part[len(part)-1].Number
		if err := w.Write(part); err != nil {
			return false, err
		}
		if err := w.Flush(); err != nil {
			return false, err
		}
		if more, err := out.Flush(); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// pieces are web.Pieces to write to.
type pieces struct{ web.Pieces }

func (p *pieces) Write(b []byte) (int, error) {
	p.Buf = append(p.Buf, b...)
	return len(b), nil
}
