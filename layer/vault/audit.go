package vault

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// verb is what was done to the target of an audit entry.
type verb string

// The verbs.
const (
	verbCreate   verb = "create"
	verbUpdate   verb = "update"
	verbDelete   verb = "delete"
	verbView     verb = "view" // of a user: a login or a logout
	verbExport   verb = "export"
	verbImport   verb = "import"
	verbRollBack verb = "rollback"
	verbCopy     verb = "copy"    // variables into an environment
	verbPromote  verb = "promote" // the same
	verbRefuse   verb = "refuse"  // a service token
)

// target is the type of what something was done to.
type target string

// The targets.
const (
	targetUser         target = "user"
	targetOrganization target = "organization"
	targetMembership   target = "membership" // its id is that of the organization
	targetProject      target = "project"
	targetEnvironment  target = "environment"
	targetVariable     target = "variable"
	targetServiceToken target = "service_token"
	targetWebhook      target = "webhook"
)

// details is what an entry tells beyond its fields: texts, numbers, truth
// values and lists of texts under the names that recordable has. Never a value
// of a variable, a password or a token.
type details map[string]any

// event is something to record in the audit log.
type event struct {
	Organization uint64 // whose chain it goes to; 0 = the chain of the account that is the target
	Verb         verb
	Target       target
	ID           uint64 // of the target
	Details      details
}

// actor is who did it. The names are recorded as they are now.
type actor struct {
	User    uint64 // 0: a service token, or the operator
	Service uint64 // the service token, 0 for others
	Name    string // as the wire's full_name
	Email   string
	IP      string
}

// detailNames are the names that the details of an event must and may have.
type detailNames struct{ must, may []string }

// recordable is every event there can be: what is not here is not recorded,
// and what is here has exactly these details. docs/keynest.md has the table.
var recordable = map[string]detailNames{
	"create user":         {must: []string{"registration", "organization_created"}},
	"view user":           {may: []string{"login", "logout"}},
	"update user":         {may: []string{"fields", "password_changed", "is_active"}},
	"create organization": {must: []string{"name"}},
	"update organization": {must: []string{"name"}, may: []string{"old_name", "fields"}},
	"delete organization": {must: []string{"name"}},
	"create membership": {must: []string{"invited_user_id", "invited_user_email", "role", "organization_id",
		"organization_name", "invitation_method"}},
	"update membership": {must: []string{"updated_user_id", "updated_user_email", "old_role", "new_role",
		"organization_id", "organization_name"}},
	"delete membership": {must: []string{"removed_user_id", "removed_user_email", "removed_user_role",
		"organization_id", "organization_name"}},
	"view membership": {must: []string{"organization_name", "member_count"}},
	"create project":  {must: []string{"name", "organization"}},
	"update project": {must: []string{"name", "organization"}, may: []string{"old_name", "fields",
		"old_organization", "new_organization"}},
	"delete project":     {must: []string{"name", "organization"}},
	"create environment": {must: []string{"name", "project", "type"}},
	"update environment": {must: []string{"name", "project", "type"}, may: []string{"old_name", "fields", "max_versions"}},
	"delete environment": {must: []string{"name", "project", "type"}},
	"view environment":   {must: []string{"variable_count", "environment", "project"}, may: []string{"at"}},
	"export environment": {must: []string{"format", "variable_count", "failed_decryptions", "environment", "project"},
		may: []string{"unresolved_references"}},
	"import environment": {must: []string{"format", "imported_count", "updated_count", "failed_imports",
		"overwrite_enabled", "environment", "project"}},
	"copy environment": {must: []string{"created_count", "updated_count", "unchanged_count", "overwrite_enabled",
		"source_environment_id", "environment", "project"}, may: []string{"source_environment", "source_project"}},
	"promote environment": {must: []string{"created_count", "updated_count", "deleted_count", "unchanged_count", "remove_missing",
		"source_environment_id", "environment", "project"}, may: []string{"source_environment", "source_project"}},
	"create variable": {must: []string{"variable_key", "environment_name", "key", "environment", "project"}},
	"update variable": {must: []string{"variable_key", "environment_name", "key", "value_updated", "had_value"},
		may: []string{"old_key"}},
	"delete variable":      {must: []string{"variable_key", "environment_name", "key", "environment", "project"}},
	"create service_token": {must: []string{"name", "project", "read_only"}, may: []string{"environment", "expires_at", "allowed_networks"}},
	"update service_token": {must: []string{"name", "old_name"}},
	"delete service_token": {must: []string{"name"}},
	"refuse service_token": {must: []string{"name", "reason"}},
	"create webhook":       {must: []string{"events", "is_active"}},
	"update webhook":       {must: []string{"events", "is_active"}, may: []string{"fields", "reason"}},
	"delete webhook":       {must: []string{"events", "is_active"}},
	"view variable": {must: []string{"variable_key", "environment_name", "key", "environment", "project"},
		may: []string{"version", "version_count"}},
	"rollback variable":    {must: []string{"variable_key", "environment_name", "key", "environment", "project", "version"}},
	"rollback environment": {must: []string{"at", "restored_count", "deleted_count", "unknown_count", "environment", "project"}},
}

// check refuses an event that recordable does not have. That is a fault of
// ours, and it must not end in an entry that holds what it should not.
func (e event) check() error {
	what := string(e.Verb) + " " + string(e.Target)
	names, ok := recordable[what]
	if !ok {
		return errs.E(errs.Internal, "audit: there is no event %q", what)
	}
	if (e.Target == targetUser) != (e.Organization == 0) {
		return errs.E(errs.Internal, "audit: %s is in the wrong chain", what)
	}
	for _, name := range names.must {
		if _, ok := e.Details[name]; !ok {
			return errs.E(errs.Internal, "audit: %s lacks the detail %s", what, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Details)) {
		if !slices.Contains(names.must, name) && !slices.Contains(names.may, name) {
			return errs.E(errs.Internal, "audit: %s has no detail %s", what, name)
		}
	}
	return nil
}

// pastTense is how an action shows a verb.
var pastTense = map[verb]string{
	verbCreate: "created", verbUpdate: "updated", verbDelete: "deleted", verbView: "viewed",
	verbExport: "exported", verbImport: "imported", verbRollBack: "rolled_back", verbCopy: "copied", verbPromote: "promoted", verbRefuse: "refused",
}

// action is the event's name on the wire, such as variable_created.
func (e event) action() string {
	if e.Target == targetUser && e.Verb == verbView {
		if _, out := e.Details["logout"]; out {
			return "user_logged_out"
		}
		return "user_logged_in"
	}
	return string(e.Target) + "_" + pastTense[e.Verb]
}

// audit records what the session's user does, as part of its transaction:
//
//	s.audit(event{org, verbCreate, targetProject, id, details{"name": name, "organization": organization}})
//
// An event without an organization is one of an account, the target.
func (s *Session) audit(e event) error { return record(s.tx, s.actor(), e) }

// actor is the session's user, or the operator who acts for it.
func (s *Session) actor() actor {
	if s.byOp {
		return operator(s.ip)
	}
	if s.service != nil {
		return actor{Service: s.service.id, Name: serviceName(s.service.row.Name), IP: s.ip}
	}
	return actor{User: s.user, Name: s.User().FullName(), Email: s.row.Email, IP: s.ip}
}

// record appends an event to its chain, as part of tx.
func record(tx *kv.Tx, who actor, e event) error {
	if err := e.check(); err != nil {
		return err
	}
	c := chain{organizationChain, e.Organization}
	if e.Organization == 0 {
		c = chain{accountChain, e.ID}
	}
	if e.Details == nil {
		e.Details = details{}
	}
	text, err := plainJSON(e.Details)
	if err != nil {
		return err
	}
	return c.append(tx, &AuditEntry{
		Timestamp: time.UnixMilli(tx.Now()).UTC().Format(time.RFC3339), User: who.User, ServiceToken: who.Service,
		UserName: oneLine(who.Name), UserEmail: oneLine(who.Email),
		Action: e.action(), Verb: string(e.Verb), TargetType: string(e.Target), TargetID: e.ID, Details: text, IPAddress: oneLine(who.IP),
	})
}

// oneLine replaces control characters, which an export as CSV would not keep.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '_'
		}
		return r
	}, s)
}

// plainJSON encodes v in one line as other tools write it too: without
// escaping what only matters inside HTML.
func plainJSON(v any) (json.RawMessage, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, &errs.Error{Kind: errs.Internal, Msg: "audit: an entry cannot be encoded", Err: err}
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n")), nil
}
