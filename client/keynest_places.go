package client

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"mime/multipart"
	"net/http"
	"strconv"
	"time"
)

// NestProject holds environments.
type NestProject struct {
	ID               uint64    `json:"id"`
	Name             string    `json:"name"`
	Description      *string   `json:"description"`
	Organization     uint64    `json:"organization"`
	OrganizationName string    `json:"organization_name"`
	Created          time.Time `json:"created_at"`
	Updated          time.Time `json:"updated_at"`
	CreatedBy        string    `json:"created_by_name"`
	Environments     int       `json:"environment_count"`
}

// Projects returns the projects that the token's holder sees: of one
// organization, or of all with 0; search is part of the name or the description,
// whatever the case, or "".
func (n *Nest) Projects(ctx context.Context, organization uint64, search string) iter.Seq2[NestProject, error] {
	return nestPages[NestProject](ctx, n, nestCall{
		op: "list projects", path: "/projects/", query: filters("organization", organization, "search", search),
	})
}

// Project returns one.
func (n *Nest) Project(ctx context.Context, id uint64) (p NestProject, err error) {
	err = n.do(ctx, nestCall{op: fmt.Sprintf("read project %d", id), path: nestPath("projects", id)}, &p)
	return p, err
}

// CreateProject makes one in an organization.
func (n *Nest) CreateProject(ctx context.Context, organization uint64, t NestText) (p NestProject, err error) {
	body := struct {
		NestText
		Organization uint64 `json:"organization"`
	}{t, organization}
	err = n.do(ctx, nestCall{op: "create a project", method: http.MethodPost, path: "/projects/", body: body}, &p)
	return p, err
}

// UpdateProject changes one; an organization other than 0 moves it there.
func (n *Nest) UpdateProject(ctx context.Context, id, organization uint64, t NestText) (p NestProject, err error) {
	body := struct {
		NestText
		Organization uint64 `json:"organization,omitempty"`
	}{t, organization}
	err = n.do(ctx, nestCall{op: fmt.Sprintf("change project %d", id), method: http.MethodPatch, path: nestPath("projects", id), body: body}, &p)
	return p, err
}

// DeleteProject deletes one with all that is in it.
func (n *Nest) DeleteProject(ctx context.Context, id uint64) error {
	return n.do(ctx, nestCall{op: fmt.Sprintf("delete project %d", id), method: http.MethodDelete, path: nestPath("projects", id)}, nil)
}

// NestEnvironment holds variables.
type NestEnvironment struct {
	ID          uint64    `json:"id"`
	Name        string    `json:"name"`
	Project     uint64    `json:"project"`
	ProjectName string    `json:"project_name"`
	Type        string    `json:"environment_type"` // development, staging, production or testing
	Description *string   `json:"description"`
	Created     time.Time `json:"created_at"`
	Updated     time.Time `json:"updated_at"`
	CreatedBy   string    `json:"created_by_name"`
	Variables   int       `json:"variable_count"`
	Versions    int       `json:"max_versions"` // of each variable that are kept
}

// Environments returns the environments that the token's holder sees: of one
// project, or of all with 0; of one type, or of all with "".
func (n *Nest) Environments(ctx context.Context, project uint64, kind string) iter.Seq2[NestEnvironment, error] {
	return nestPages[NestEnvironment](ctx, n, nestCall{
		op: "list environments", path: "/environments/", query: filters("project", project, "environment_type", kind),
	})
}

// Environment returns one.
func (n *Nest) Environment(ctx context.Context, id uint64) (e NestEnvironment, err error) {
	err = n.do(ctx, nestCall{op: fmt.Sprintf("read environment %d", id), path: nestPath("environments", id)}, &e)
	return e, err
}

// NestEnvironmentFields is what to give an environment; what is zero a new one
// gets from the server, and a change leaves as it is.
type NestEnvironmentFields struct {
	NestText
	Type     string `json:"environment_type,omitempty"`
	Versions int    `json:"max_versions,omitempty"` // of each variable to keep
}

// CreateEnvironment makes one in a project.
func (n *Nest) CreateEnvironment(ctx context.Context, project uint64, f NestEnvironmentFields) (e NestEnvironment, err error) {
	body := struct {
		NestEnvironmentFields
		Project uint64 `json:"project"`
	}{f, project}
	err = n.do(ctx, nestCall{op: "create an environment", method: http.MethodPost, path: "/environments/", body: body}, &e)
	return e, err
}

// UpdateEnvironment changes one.
func (n *Nest) UpdateEnvironment(ctx context.Context, id uint64, f NestEnvironmentFields) (e NestEnvironment, err error) {
	err = n.do(ctx, nestCall{op: fmt.Sprintf("change environment %d", id), method: http.MethodPatch, path: nestPath("environments", id), body: f}, &e)
	return e, err
}

// DeleteEnvironment deletes one with its variables.
func (n *Nest) DeleteEnvironment(ctx context.Context, id uint64) error {
	return n.do(ctx, nestCall{op: fmt.Sprintf("delete environment %d", id), method: http.MethodDelete, path: nestPath("environments", id)}, nil)
}

// NestExport says what file an export is to be. The zero value is a .env file
// that reads back exactly.
type NestExport struct {
	Format  string // env, json or yaml; "" = env
	Style   string // of env: default, shell or docker; "" = default
	Resolve bool   // with what ${KEY} and ${environment.KEY} stand for
}

// Export returns the variables of an environment with their values as a file,
// which is recorded. One value that does not open, or with Resolve one reference
// that cannot be resolved, refuses the whole.
func (n *Nest) Export(ctx context.Context, environment uint64, e NestExport) ([]byte, error) {
	a, err := n.send(ctx, nestCall{
		op: fmt.Sprintf("export environment %d", environment), path: nestPath("environments", environment, "export"),
		query: filters("format", e.Format, "style", e.Style, "resolve", e.Resolve),
	})
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// NestImport is a file of variables.
type NestImport struct {
	Data   []byte
	Format string // env, json, yaml or auto
	Keep   bool   // refuse the whole with ErrConflict if a key is there already
}

// NestImported is what an import did.
type NestImported struct {
	Created int              `json:"imported"`
	Updated int              `json:"updated"`
	Failed  []NestFailedLine `json:"failed_imports"` // lines that were left out
}

// NestFailedLine is a line of a file that is no variable.
type NestFailedLine struct {
	Line  int    `json:"line"`
	Key   string `json:"key"`
	Error string `json:"error"`
}

// Import sets the variables of a file, all at once or none.
func (n *Nest) Import(ctx context.Context, environment uint64, f NestImport) (done NestImported, err error) {
	body, err := importBody(f)
	if err != nil {
		return done, err
	}
	var doc struct {
		Summary struct {
			Imported int `json:"imported"`
			Updated  int `json:"updated"`
		} `json:"summary"`
		Failed []NestFailedLine `json:"failed_imports"`
	}
	err = n.do(ctx, nestCall{
		op: fmt.Sprintf("import into environment %d", environment), method: http.MethodPost,
		path: nestPath("environments", environment, "import"), body: body,
	}, &doc)
	return NestImported{doc.Summary.Imported, doc.Summary.Updated, doc.Failed}, err
}

// importBody is a form with the file as it is: JSON could not carry bytes that
// are not UTF-8, and the server is to say what it makes of them.
func importBody(f NestImport) (upload, error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("file", "variables")
	if err == nil {
		_, err = part.Write(f.Data)
	}
	for _, field := range [][2]string{{"format", f.Format}, {"overwrite", strconv.FormatBool(!f.Keep)}} {
		if err == nil && field[1] != "" {
			err = form.WriteField(field[0], field[1])
		}
	}
	if err == nil {
		err = form.Close()
	}
	return upload{form.FormDataContentType(), b.Bytes()}, err
}

// NestDiff is how two environments differ.
type NestDiff struct {
	Environment uint64       `json:"environment"`
	With        uint64       `json:"with"`
	Added       []NestChange `json:"added"`   // only in With
	Removed     []NestChange `json:"removed"` // only in Environment
	Changed     []NestChange `json:"changed"`
	Unchanged   int          `json:"unchanged_count"`
}

// NestChange is a variable that differs. Values are there if they were asked for.
type NestChange struct {
	Key       string  `json:"key"`
	Value     *string `json:"value,omitempty"`      // in Environment; of an added one in With
	WithValue *string `json:"with_value,omitempty"` // in With, of a changed one
}

// Diff compares two environments whose values the user may read.
func (n *Nest) Diff(ctx context.Context, environment, with uint64, values bool) (d NestDiff, err error) {
	query := filters("with", with, "values", values)
	call := nestCall{op: fmt.Sprintf("compare environments %d and %d", environment, with), path: nestPath("environments", environment, "diff"), query: query}
	err = n.do(ctx, call, &d)
	return d, err
}

// NestCopy says what to bring from one environment into another.
type NestCopy struct {
	To     uint64   `json:"to"`
	Keys   []string `json:"keys,omitempty"` // none = all
	DryRun bool     `json:"dry_run,omitempty"`

	Overwrite     bool `json:"overwrite,omitempty"`      // of Copy: without it, keys that are there refuse the whole with ErrConflict
	RemoveMissing bool `json:"remove_missing,omitempty"` // of Promote: also delete what the source does not have
}

// NestCopied is what a copy did, or with DryRun would do.
type NestCopied struct {
	Created   []string `json:"created"`
	Updated   []string `json:"updated"`
	Deleted   []string `json:"deleted,omitempty"`
	Unchanged int      `json:"unchanged_count"`
	DryRun    bool     `json:"dry_run"`
}

// Copy brings variables into another environment, all at once or none.
func (n *Nest) Copy(ctx context.Context, from uint64, c NestCopy) (done NestCopied, err error) {
	call := nestCall{op: fmt.Sprintf("copy environment %d to %d", from, c.To), method: http.MethodPost, path: nestPath("environments", from, "copy"), body: c}
	err = n.do(ctx, call, &done)
	return done, err
}

// Promote makes the variables of another environment those of from, all at once or
// none.
func (n *Nest) Promote(ctx context.Context, from uint64, c NestCopy) (done NestCopied, err error) {
	call := nestCall{op: fmt.Sprintf("promote environment %d to %d", from, c.To), method: http.MethodPost, path: nestPath("environments", from, "promote"), body: c}
	err = n.do(ctx, call, &done)
	return done, err
}

// NestRolledBack is what a rollback of an environment did, or with DryRun would
// do.
type NestRolledBack struct {
	Restored  []string `json:"restored"`
	Deleted   []string `json:"deleted"`
	Unknown   []string `json:"unknown"` // left alone: their history does not reach back
	Unchanged int      `json:"unchanged_count"`
	DryRun    bool     `json:"dry_run"`
}

// RollBackEnvironment makes the variables what they were at a time, all at once or
// none. at is RFC 3339, or a day, which means its end.
func (n *Nest) RollBackEnvironment(ctx context.Context, id uint64, at string, dryRun bool) (done NestRolledBack, err error) {
	body := map[string]any{"at": at, "dry_run": dryRun}
	call := nestCall{op: fmt.Sprintf("roll back environment %d", id), method: http.MethodPost, path: nestPath("environments", id, "rollback"), body: body}
	err = n.do(ctx, call, &done)
	return done, err
}

// NestAuditQuery says which entries of the audit log are wanted. The zero value
// is all.
type NestAuditQuery struct {
	User             uint64
	Action           string // variable_created, or create
	TargetType       string
	DateFrom, DateTo string // YYYY-MM-DD, both included
}

// NestAuditEntry is one entry of the audit log.
type NestAuditEntry struct {
	ID         uint64         `json:"id"`
	UserName   string         `json:"user_name"`
	UserEmail  string         `json:"user_email"`
	Action     string         `json:"action"`
	TargetType string         `json:"target_type"`
	TargetID   uint64         `json:"target_id"`
	Details    map[string]any `json:"details"`
	IPAddress  string         `json:"ip_address"`
	Time       time.Time      `json:"timestamp"`

	ServiceToken uint64 `json:"service_token,omitempty"` // who did it, if that was no user
}

// AuditLog returns the entries that the user may see, the newest first.
func (n *Nest) AuditLog(ctx context.Context, q NestAuditQuery) iter.Seq2[NestAuditEntry, error] {
	query := filters("user", q.User, "action", q.Action, "target_type", q.TargetType, "date_from", q.DateFrom, "date_to", q.DateTo)
	return nestPages[NestAuditEntry](ctx, n, nestCall{op: "read the audit log", path: "/audit-logs/", query: query})
}
