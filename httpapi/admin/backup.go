package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// Backups is what the API asks a node about backups. All calls must be safe for
// concurrent use.
type Backups interface {
	// Backup writes one to the writer that to returns for its header.
	Backup(ctx context.Context, stale bool, to func(backup.Header) (io.Writer, error)) error

	// Restore makes the backup in r the state of the cluster, on the leader. The
	// error is errs.Unknown if that may have happened.
	Restore(ctx context.Context, r io.Reader, review backup.Review) (backup.Summary, uint64, error)

	// Records counts what a restore would replace, up to limit.
	Records(ctx context.Context, limit uint64) (count, version uint64, err error)

	// RestoreProgress tells how far the restore is that the node does.
	RestoreProgress() (done, total uint64, underWay bool)
}

const (
	// A client of a backup may take so long for each piece.
	backupPatience = time.Minute

	recordsTime  = 5 * time.Second
	recordsLimit = 1_000_000
)

// headerLeader tells the client where the leader serves, in an answer 421.
const headerLeader = "Covey-Leader"

// mountBackups adds the paths about backups.
func (a *api) mountBackups(routes *mux.Router, plumbing *web.API) {
	if a.Backups == nil {
		return
	}
	routes.Path("/cluster/backup").Handler(plumbing.Handler(a.operator(a.getBackup)))
	routes.Path("/cluster/restore").Handler(plumbing.Handler(a.operator(a.restore)))
}

// getBackup sends a backup, piece by piece. What breaks it off on the way breaks
// the connection, and what the client has then is no backup.
func (a *api) getBackup(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return web.WrongMethod("GET, OPTIONS")
	}
	stale := false
	switch web.SplitPairs(r.URL.RawQuery).Value("consistency") {
	case "", "linearizable":
	case "stale":
		stale = true
	default:
		return errs.E(errs.Invalid, "consistency is neither linearizable nor stale")
	}
	ctx, cancel := web.WhileServing(r.Context())
	defer cancel()
	return a.Backups.Backup(ctx, stale, func(h backup.Header) (io.Writer, error) {
		c := http.NewResponseController(w)
		// The deadline of the request would end its context when it passes.
		if err := c.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return nil, web.ClientGone(err)
		}
		head := w.Header()
		head.Set("Content-Type", "application/octet-stream")
		head.Set("Content-Disposition", `attachment; filename="`+backup.NameOf(h, false).String()+`"`)
		head.Set("Cache-Control", "no-store")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Covey-Version", strconv.FormatUint(h.Version, 10))
		return pieces{w, c}, nil
	})
}

// pieces gives the client some time for each piece.
type pieces struct {
	w http.ResponseWriter
	c *http.ResponseController
}

// Write implements io.Writer.
func (p pieces) Write(b []byte) (int, error) {
	if err := p.c.SetWriteDeadline(time.Now().Add(backupPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, web.ClientGone(err)
	}
	n, err := p.w.Write(b)
	return n, web.ClientGone(err)
}

func (a *api) restore(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		return a.restorable(w, r)
	case http.MethodPut:
		return a.putRestore(w, r)
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, OPTIONS, PUT")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return web.WrongMethod("GET, OPTIONS, PUT")
}

// restorableDoc says what a restore would replace.
type restorableDoc struct {
	ClusterID string       `json:"cluster_id"`
	Node      string       `json:"node"`
	Leader    string       `json:"leader"`
	Version   uint64       `json:"version"`
	Records   uint64       `json:"records"`
	More      bool         `json:"more,omitempty"` // there are more records than were counted
	Restoring *progressDoc `json:"restoring,omitempty"`
}

// progressDoc is a restore under way on this node. Total is 0 while the backup is
// being received.
type progressDoc struct {
	Done  uint64 `json:"done"` // bytes
	Total uint64 `json:"total"`
}

// restorable tells what a restore would replace; with ?count=off nothing is
// counted.
func (a *api) restorable(w http.ResponseWriter, r *http.Request) error {
	s, err := a.stands(r)
	if err != nil {
		return err
	}
	doc := restorableDoc{ClusterID: s.ClusterID, Node: s.ID, Leader: s.Leader, Version: s.Version}
	if done, total, underWay := a.Backups.RestoreProgress(); underWay {
		doc.Restoring = &progressDoc{done, total}
	}
	if web.SplitPairs(r.URL.RawQuery).Value("count") != "off" {
		ctx, cancel := context.WithTimeout(r.Context(), recordsTime)
		defer cancel()
		doc.Records, doc.Version, err = a.Backups.Records(ctx, recordsLimit)
		if err != nil && doc.Records == 0 {
			return err
		}
		doc.More = err != nil || doc.Records == recordsLimit
	}
	return writeJSON(w, http.StatusOK, doc)
}

func (a *api) stands(r *http.Request) (cluster.Status, error) {
	ctx, cancel := context.WithTimeout(r.Context(), a.Wait)
	defer cancel()
	return a.Cluster.Status(ctx)
}

// restoredDoc is the answer of a restore. Version is 0 after a dry run.
type restoredDoc struct {
	Version uint64        `json:"version,omitempty"`
	Records uint64        `json:"records"`
	Backup  backup.Header `json:"backup"`
	DryRun  bool          `json:"dry_run,omitempty"`
}

var errDryRun = errors.New("this was a dry run")

// putRestore makes the backup in the body the state of the cluster. With data in
// the cluster ?confirm= has to be the cluster's id; ?force=true takes secrets that
// no key of this cluster opens; ?dry_run=true only checks.
func (a *api) putRestore(w http.ResponseWriter, r *http.Request) error {
	query := web.SplitPairs(r.URL.RawQuery)
	s, err := a.stands(r)
	switch {
	case err != nil:
		return err
	case s.Leader == "":
		return errs.E(errs.Unavailable, "%s", s.Reason)
	case s.Leader != s.ID:
		return a.misdirected(w, r, s)
	}
	dry := query.Value("dry_run") == "true"
	if err := a.confirmed(r.Context(), s.ClusterID, query.Value("confirm")); err != nil && !dry {
		return err
	}
	body := &arriving{r: r.Body, c: http.NewResponseController(w)}
	review := backup.Review{}
	var found *sealed.Foreign
	if a.Sealed != nil {
		found = sealed.NewForeign(a.Sealed)
		review.See = func(rec kv.Record) error { found.See(rec); return nil }
	}
	review.Agree = func(backup.Summary) error {
		if err := body.arrived(); err != nil {
			return err
		}
		if err := a.openable(found, query.Value("force") == "true"); err != nil {
			return err
		}
		if dry {
			return errDryRun
		}
		return nil
	}
	ctx, cancel := web.WhileServing(r.Context())
	defer cancel()
	sum, version, err := a.Backups.Restore(ctx, body, review)
	if err != nil && !errors.Is(err, errDryRun) {
		return err
	}
	if version != 0 {
		w.Header().Set("Covey-Version", strconv.FormatUint(version, 10))
	}
	return writeJSON(w, http.StatusOK, restoredDoc{version, sum.Records, sum.Header, dry})
}

// confirmed refuses to replace data that the operator has not named.
func (a *api) confirmed(ctx context.Context, id, confirm string) error {
	if confirm != "" {
		if confirm != id {
			return errs.E(errs.Conflict, "confirm=%s names another cluster, this is %s", confirm, id)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.Wait)
	defer cancel()
	n, _, err := a.Backups.Records(ctx, 1)
	if err == nil && n > 0 {
		err = errs.E(errs.Conflict, "cluster %s holds data, which a restore replaces: repeat the request with confirm=%s if that is meant", id, id)
	}
	return err
}

// openable refuses secrets that nobody here can open.
func (a *api) openable(found *sealed.Foreign, force bool) error {
	if found == nil || force {
		return nil
	}
	if ids, n := a.Sealed.Lacking(found.Tallies()); n > 0 {
		return errs.E(errs.Conflict, "the backup holds secrets, %d of them, under keys that this node's keyring lacks: %s. Start the nodes with the keyring file that the backup's cluster had, or restore with force and lose those secrets",
			n, strings.Join(ids, ", "))
	}
	return nil
}

// misdirected answers a restore that came to a follower.
func (a *api) misdirected(w http.ResponseWriter, r *http.Request, s cluster.Status) error {
	for _, m := range s.Members {
		if m.ID == s.Leader && m.HTTPAddr != "" {
			scheme := "http://"
			if r.TLS != nil {
				scheme = "https://"
			}
			w.Header().Set(headerLeader, scheme+m.HTTPAddr)
		}
	}
	return writeJSON(w, http.StatusMisdirectedRequest, map[string]any{"error": map[string]string{
		"code":       "not_the_leader",
		"message":    fmt.Sprintf("a restore is done by the leader, which is %s: send the request to the address in the header %s", s.Leader, headerLeader),
		"request_id": w.Header().Get("Covey-Request-Id"),
	}})
}

// arriving gives the client some time for each piece of a body.
type arriving struct {
	r io.Reader
	c *http.ResponseController
}

// Read implements io.Reader.
func (a *arriving) Read(p []byte) (int, error) {
	if err := a.c.SetReadDeadline(time.Now().Add(backupPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, web.ClientGone(err)
	}
	return a.r.Read(p)
}

// arrived lifts the deadlines of the request, of which all was read: its context
// would end with them, and what is to be done now takes its time.
func (a *arriving) arrived() error {
	err := errors.Join(a.c.SetReadDeadline(time.Time{}), a.c.SetWriteDeadline(time.Time{}))
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return web.ClientGone(err)
}
