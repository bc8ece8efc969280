package keynest

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/coveydb/covey/httpapi/web"
)

// target is what a path names.
type target struct {
	place  place
	id     uint64 // of the organization, project, environment or variable
	number uint64 // of the version or delivery, 0 where the path has none
	noID   bool   // what stands there is no id, so nothing has it
}

// The parts of a path where an id stands, and the number of what belongs to that.
const (
	idPart     = "{id}"
	numberPart = "{number}"
)

// hookPrefix may stand before the id of a webhook.
const hookPrefix = "webhook_"

// places are the paths below /api/, with {id} for an id and {number} for a
// number.
var places = map[string]place{
	"openapi.json":                                atOpenAPI,
	"auth/register":                               atRegister,
	"auth/login":                                  atLogin,
	"auth/logout":                                 atLogout,
	"auth/profile":                                atProfile,
	"auth/password":                               atPassword,
	"organizations":                               atOrganizations,
	"organizations/{id}":                          atOrganization,
	"organizations/{id}/members":                  atMembers,
	"organizations/{id}/invite_member":            atInvite,
	"organizations/{id}/update_member_role":       atRole,
	"organizations/{id}/remove_member":            atRemove,
	"projects":                                    atProjects,
	"projects/{id}":                               atProject,
	"projects/{id}/environments":                  atProjectEnvironments,
	"environments":                                atEnvironments,
	"environments/{id}":                           atEnvironment,
	"environments/{id}/variables":                 atEnvironmentVariables,
	"environments/{id}/export":                    atExport,
	"environments/{id}/import":                    atImport,
	"environments/{id}/rollback":                  atEnvironmentRollback,
	"environments/{id}/diff":                      atDiff,
	"environments/{id}/copy":                      atCopy,
	"environments/{id}/promote":                   atPromote,
	"variables":                                   atVariables,
	"variables/{id}":                              atVariable,
	"variables/{id}/versions":                     atVersions,
	"variables/{id}/versions/{number}":            atVersion,
	"variables/{id}/rollback":                     atRollback,
	"webhooks":                                    atWebhooks,
	"webhooks/{id}":                               atWebhook,
	"webhooks/{id}/test":                          atWebhookTest,
	"webhooks/{id}/deliveries":                    atDeliveries,
	"webhooks/{id}/deliveries/{number}":           atDelivery,
	"webhooks/{id}/deliveries/{number}/redeliver": atRedeliver,
	"service-tokens":                              atServiceTokens,
	"service-tokens/{id}":                         atServiceToken,
	"audit-logs":                                  atAuditLogs,
	"audit-logs/export":                           atAuditExport,
}

// parseTarget reads a path as it was sent. The slash at its end may be missing:
// a redirect to the other form would lose the body of a POST.
func parseTarget(escaped string) target {
	path := strings.TrimSuffix(strings.TrimPrefix(escaped, "/"), "/")
	switch path {
	case "health":
		return target{place: atHealth}
	case "api":
		return target{place: atRoot}
	}
	below, ok := strings.CutPrefix(path, "api/")
	if !ok {
		return target{}
	}
	parts := strings.Split(below, "/")
	if p, ok := places[below]; ok && !slices.Contains(parts, idPart) {
		return target{place: p}
	}
	if len(parts) < 2 || parts[1] == "" {
		return target{}
	}
	text := parts[1]
	if parts[0] == "webhooks" {
		text = strings.TrimPrefix(text, hookPrefix)
	}
	id, ok := parseID(text)
	t := target{id: id, noID: !ok}
	parts[1] = idPart
	if len(parts) > 3 {
		t.number, ok = parseID(parts[3])
		t.noID = t.noID || !ok
		parts[3] = numberPart
	}
	t.place = places[strings.Join(parts, "/")]
	return t
}

// parseID reads an id: a whole number from 1.
func parseID(text string) (uint64, bool) {
	id, err := strconv.ParseUint(text, 10, 64)
	return id, err == nil && id > 0 && text[0] != '0'
}

// pathWords are the parts of paths that may be logged.
func pathWords() map[string]bool {
	return web.Words(append(slices.Collect(maps.Keys(places)), "api", "health")...)
}
