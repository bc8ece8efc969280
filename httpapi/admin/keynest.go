package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

// keynestBase is before the paths of what manages the KeyNest API.
const keynestBase = "/cluster/keynest"

// keynestPaths are the paths below keynestBase that answer one document. A user
// is named by e-mail address.
func keynestPaths() map[string]verbs {
	const user = "/users/{user}"
	return map[string]verbs{
		"/users":           {http.MethodPost: (*call).createUser},
		user:               {http.MethodGet: (*call).showUser},
		user + "/password": {http.MethodPut: (*call).resetPassword},
		user + "/disable":  {http.MethodPost: (*call).disableUser},
		user + "/enable":   {http.MethodPost: (*call).enableUser},
	}
}

// mountKeyNest adds the paths below keynestBase.
func (a *api) mountKeyNest(routes *mux.Router, plumbing *web.API) {
	mount := func(path string, h web.Handler) {
		if a.Vault == nil {
			h = NotFound
		}
		routes.Path(keynestBase + path).Handler(plumbing.Handler(a.operator(h)))
	}
	for path, v := range keynestPaths() {
		mount(path, a.serve(v))
	}
	mount("/audit/export", reading(a.exportAudit(false)))
	mount("/audit/heads", reading(a.exportAudit(true)))
}

// userInfo is an account as the operator sees it.
type userInfo struct {
	ID            uint64           `json:"id"`
	Email         string           `json:"email"`
	Username      string           `json:"username"`
	FirstName     string           `json:"first_name"`
	LastName      string           `json:"last_name"`
	Active        bool             `json:"active"`
	Joined        time.Time        `json:"joined"`
	LastLogin     *time.Time       `json:"last_login,omitempty"` // absent = never
	Organizations []membershipInfo `json:"organizations"`
}

// membershipInfo is a user's part in an organization.
type membershipInfo struct {
	ID     uint64    `json:"id"` // of the organization
	Name   string    `json:"name"`
	Role   string    `json:"role"`
	Joined time.Time `json:"joined"`
}

func describeUser(u vault.Account) userInfo {
	i := userInfo{
		ID: u.ID, Email: u.Email, Username: u.Username, FirstName: u.First, LastName: u.Last, Active: u.Active,
		Joined: time.Unix(u.Joined, 0).UTC(), Organizations: []membershipInfo{},
	}
	if u.LastLogin != 0 {
		at := time.Unix(u.LastLogin, 0).UTC()
		i.LastLogin = &at
	}
	for _, m := range u.Memberships {
		i.Organizations = append(i.Organizations, membershipInfo{m.Organization, m.Name, string(m.Role), time.Unix(m.Joined, 0).UTC()})
	}
	return i
}

// fieldByField puts what is wrong with fields into the message: the answers of
// this API hold no lists for that.
func fieldByField(err error) error {
	var f vault.FieldErrors
	if errors.As(err, &f) {
		return errs.E(errs.KindOf(err), "%s", f.Error())
	}
	return err
}

// prepare runs what takes long, hashing a password, within the time of a call.
func (c *call) prepare(fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(c.r.Context(), c.Wait)
	defer cancel()
	return fieldByField(fn(ctx))
}

// by is the operator as the audit log knows it.
func (c *call) by() vault.Client {
	return vault.Client{IP: c.Proxies.Client(c.r).String(), Draw: vault.NewDraw()}
}

// user returns the account that has an e-mail address.
func (c *call) user(email string) (any, error) {
	var u vault.Account
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		u, err = c.Vault.Account(tx, email)
		return err
	})
	if err != nil {
		return nil, err
	}
	return describeUser(u), nil
}

func (c *call) showUser() (any, error) { return c.user(c.vars["user"]) }

// createUser makes an account, whether or not registration is open, and answers
// it.
func (c *call) createUser() (any, error) {
	var body struct {
		Username  string `json:"username"`
		Email     string `json:"email"`
		Password  string `json:"password"`
		FirstName string `json:"first_name"`
		LastName  string `json:"last_name"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var made vault.Newcomer
	if err := c.prepare(func(ctx context.Context) (err error) {
		made, err = c.Vault.Prepare(ctx, vault.Registration{
			Username: body.Username, Email: body.Email, Password: body.Password, First: body.FirstName, Last: body.LastName,
		})
		return err
	}); err != nil {
		return nil, err
	}
	who := c.by()
	if _, err := c.update(0, func(tx *kv.Tx) error {
		_, err := c.Vault.CreateAccount(tx, made, who)
		return err
	}); err != nil {
		return nil, fieldByField(err)
	}
	return c.user(body.Email)
}

// resetPassword gives a user another password.
func (c *call) resetPassword() (any, error) {
	var body struct {
		Password string `json:"password"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var p vault.NewPassword
	if err := c.prepare(func(ctx context.Context) (err error) {
		p, err = c.Vault.PrepareReset(ctx, body.Password)
		return err
	}); err != nil {
		return nil, err
	}
	who := c.by()
	return c.change(func(tx *kv.Tx) error { return c.Vault.ResetPassword(tx, c.vars["user"], p, who) })
}

func (c *call) disableUser() (any, error) { return c.setActive(false) }
func (c *call) enableUser() (any, error)  { return c.setActive(true) }

func (c *call) setActive(active bool) (any, error) {
	who := c.by()
	return c.change(func(tx *kv.Tx) error {
		_, err := c.Vault.SetActive(tx, c.vars["user"], active, who)
		return err
	})
}

// exportAudit answers the audit log, or the heads of its chains only: of all
// chains, of ?organization= or of ?account=, in ?format=, whatever its length.
func (a *api) exportAudit(headsOnly bool) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c := &call{api: a, r: r, w: w, query: web.SplitPairs(r.URL.RawQuery)}
		x := vault.AuditExport{Format: vault.AuditJSONL, Account: c.query.Value("account"), HeadsOnly: headsOnly}
		if f := c.query.Value("format"); f != "" {
			x.Format = vault.AuditFormat(f)
		}
		if text := c.query.Value("organization"); text != "" {
			id, err := strconv.ParseUint(text, 10, 64)
			if err != nil || id == 0 {
				return errs.E(errs.Invalid, "organization is not the id of one")
			}
			x.Organization = id
		}
		body := newAuditBody(w, r, x.Format)
		err := c.view(func(_ context.Context, tx *kv.Tx) error {
			body.version = tx.Version()
			return a.Vault.ExportAudit(tx, body, x)
		})
		switch {
		case errors.Is(err, errEnough):
			return nil
		case err != nil:
			return err
		case body.Begun():
			return body.End()
		}
		body.headers()
		return web.Send(w, r, http.StatusOK, body.Buf)
	}
}

// auditBody is the body of an answer with an export. A short one has a length, a
// long one goes out while it is made.
type auditBody struct {
	web.Pieces
	format  vault.AuditFormat
	version uint64
}

// pieceTime is how long a client may take to receive 1 MiB.
const pieceTime = 30 * time.Second

// errEnough ends an export of which no more is wanted.
var errEnough = errors.New("enough")

func newAuditBody(w http.ResponseWriter, r *http.Request, f vault.AuditFormat) *auditBody {
	b := &auditBody{format: f}
	b.Pieces = web.Pieces{W: w, R: r, Time: pieceTime, Begin: func() {
		b.headers()
		w.WriteHeader(http.StatusOK)
	}}
	return b
}

func (b *auditBody) headers() {
	h := b.W.Header()
	h.Set("Content-Type", "application/x-ndjson")
	if b.format == vault.AuditCSV {
		h.Set("Content-Type", "text/csv; charset=utf-8")
	}
	h.Set("Content-Disposition", `attachment; filename="audit.`+string(b.format)+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Covey-Version", strconv.FormatUint(b.version, 10))
}

// Write implements io.Writer.
func (b *auditBody) Write(p []byte) (int, error) {
	b.Buf = append(b.Buf, p...)
	more, err := b.Flush()
	if err == nil && !more {
		err = errEnough
	}
	return len(p), err
}
