package keynest

import (
	"slices"
	"strconv"
	"strings"
)

// target is what a path names.
type target struct {
	place place
	id    uint64 // of the organization, project, environment or variable
	noID  bool   // what stands there is no id, so nothing has it
}

// idPart is the part of a path where an id stands.
const idPart = "{id}"

// places are the paths below /api/, with {id} for an id.
var places = map[string]place{
	"openapi.json":                          atOpenAPI,
	"auth/register":                         atRegister,
	"auth/login":                            atLogin,
	"auth/logout":                           atLogout,
	"auth/profile":                          atProfile,
	"auth/password":                         atPassword,
	"organizations":                         atOrganizations,
	"organizations/{id}":                    atOrganization,
	"organizations/{id}/members":            atMembers,
	"organizations/{id}/invite_member":      atInvite,
	"organizations/{id}/update_member_role": atRole,
	"organizations/{id}/remove_member":      atRemove,
	"projects":                              atProjects,
	"projects/{id}":                         atProject,
	"projects/{id}/environments":            atProjectEnvironments,
	"environments":                          atEnvironments,
	"environments/{id}":                     atEnvironment,
	"environments/{id}/variables":           atEnvironmentVariables,
	"environments/{id}/export":              atExport,
	"environments/{id}/import":              atImport,
	"variables":                             atVariables,
	"variables/{id}":                        atVariable,
	"audit-logs":                            atAuditLogs,
	"audit-logs/export":                     atAuditExport,
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
	id, ok := parseID(parts[1])
	parts[1] = idPart
	return target{place: places[strings.Join(parts, "/")], id: id, noID: !ok}
}

// parseID reads an id: a whole number from 1.
func parseID(text string) (uint64, bool) {
	id, err := strconv.ParseUint(text, 10, 64)
	return id, err == nil && id > 0 && text[0] != '0'
}
