package keynest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// place is what a path means.
type place int

const (
	atNothing place = iota
	atHealth
	atRoot
	atOpenAPI
	atRegister
	atLogin
	atLogout
	atProfile
	atPassword
	atOrganizations
	atOrganization
	atMembers
	atInvite
	atRole
	atRemove
	atProjects
	atProject
	atProjectEnvironments
	atEnvironments
	atEnvironment
	atEnvironmentVariables
	atExport
	atDiff
	atCopy
	atPromote
	atImport
	atEnvironmentRollback
	atVariables
	atVariable
	atVersions
	atVersion
	atRollback
	atServiceTokens
	atServiceToken
	atWebhooks
	atWebhook
	atWebhookTest
	atDeliveries
	atDelivery
	atRedeliver
	atAuditLogs
	atAuditExport
)

// work are the functions that serve a place, by method. HEAD is GET without a
// body.
type work map[string]func(*request) error

// route is what a place serves.
type route struct {
	work
	allowed []string // the Allow header
	open    bool     // for callers without a token
	exempt  bool     // neither tokens nor limits matter
	private bool     // answers hold what no cache may keep
	entry   bool     // a way to get a token, which is limited more tightly
	heavy   bool     // changes may be large, so they share no commit
}

// newRoutes returns the whole API.
func newRoutes() map[place]*route {
	routes := map[place]*route{}
	for _, part := range []map[place]*route{accountRoutes(), organizationRoutes(), variableRoutes(), otherRoutes()} {
		maps.Copy(routes, part)
	}
	for _, to := range routes {
		to.allowed = []string{to.allow()}
	}
	return routes
}

// accountRoutes are what needs no token, and what is about the caller's account.
func accountRoutes() map[place]*route {
	return map[place]*route{
		atHealth:   {work: work{http.MethodGet: (*request).health}, exempt: true},
		atRoot:     {work: work{http.MethodGet: (*request).root}, exempt: true},
		atOpenAPI:  {work: work{http.MethodGet: (*request).openAPI}, exempt: true},
		atRegister: {work: work{http.MethodPost: (*request).register}, open: true, private: true, entry: true},
		atLogin:    {work: work{http.MethodPost: (*request).login}, open: true, private: true, entry: true},
		atLogout:   {work: work{http.MethodPost: (*request).logout}, private: true},
		atProfile:  {work: work{http.MethodGet: (*request).profile, http.MethodPatch: (*request).updateProfile}, private: true},
		atPassword: {work: work{http.MethodPost: (*request).changePassword}, private: true, entry: true},
	}
}

// organizationRoutes are organizations, projects and environments.
func organizationRoutes() map[place]*route {
	return map[place]*route{
		atOrganizations: {work: work{http.MethodGet: (*request).listOrganizations, http.MethodPost: (*request).createOrganization}},
		atOrganization: {work: work{
			http.MethodGet: (*request).organization, http.MethodPut: (*request).updateOrganization,
			http.MethodPatch: (*request).updateOrganization, http.MethodDelete: (*request).deleteOrganization,
		}, heavy: true},
		atMembers: {work: work{http.MethodGet: (*request).members}},
		atInvite:  {work: work{http.MethodPost: (*request).invite}},
		atRole:    {work: work{http.MethodPatch: (*request).changeRole}},
		atRemove:  {work: work{http.MethodDelete: (*request).removeMember}},

		atProjects: {work: work{http.MethodGet: (*request).listProjects, http.MethodPost: (*request).createProject}},
		atProject: {work: work{
			http.MethodGet: (*request).project, http.MethodPut: (*request).updateProject,
			http.MethodPatch: (*request).updateProject, http.MethodDelete: (*request).deleteProject,
		}, heavy: true},
		atProjectEnvironments: {work: work{http.MethodGet: (*request).projectEnvironments}},

		atEnvironments: {work: work{http.MethodGet: (*request).listEnvironments, http.MethodPost: (*request).createEnvironment}},
		atEnvironment: {work: work{
			http.MethodGet: (*request).environment, http.MethodPut: (*request).updateEnvironment,
			http.MethodPatch: (*request).updateEnvironment, http.MethodDelete: (*request).deleteEnvironment,
		}, heavy: true},
	}
}

// variableRoutes are variables, those of an environment together and each by itself.
func variableRoutes() map[place]*route {
	return map[place]*route{
		atEnvironmentVariables: {work: work{http.MethodGet: (*request).environmentVariables}},
		atExport:               {work: work{http.MethodGet: (*request).export}},
		atImport:               {work: work{http.MethodPost: (*request).importVariables}, heavy: true},
		atEnvironmentRollback:  {work: work{http.MethodPost: (*request).rollBackEnvironment}, heavy: true},
		atDiff:                 {work: work{http.MethodGet: (*request).diff}},
		atCopy:                 {work: work{http.MethodPost: (*request).copyVariables}, heavy: true},
		atPromote:              {work: work{http.MethodPost: (*request).promote}, heavy: true},

		atVariables: {work: work{http.MethodGet: (*request).listVariables, http.MethodPost: (*request).createVariable}},
		atVariable: {work: work{
			http.MethodGet: (*request).variable, http.MethodPut: (*request).updateVariable,
			http.MethodPatch: (*request).updateVariable, http.MethodDelete: (*request).deleteVariable,
		}},
		atVersions: {work: work{http.MethodGet: (*request).listVersions}},
		atVersion:  {work: work{http.MethodGet: (*request).version}},
		atRollback: {work: work{http.MethodPost: (*request).rollBackVariable}},
	}
}

// otherRoutes are service tokens, webhooks and the audit log.
func otherRoutes() map[place]*route {
	return map[place]*route{
		atServiceTokens: {work: work{http.MethodGet: (*request).listServiceTokens, http.MethodPost: (*request).createServiceToken}, private: true},
		atServiceToken: {work: work{
			http.MethodGet: (*request).serviceToken, http.MethodPatch: (*request).renameServiceToken,
			http.MethodDelete: (*request).revokeServiceToken,
		}},

		atWebhooks: {work: work{http.MethodGet: (*request).listWebhooks, http.MethodPost: (*request).createWebhook}, private: true},
		atWebhook: {work: work{
			http.MethodGet: (*request).webhook, http.MethodPatch: (*request).updateWebhook, http.MethodDelete: (*request).deleteWebhook,
		}, private: true},
		atWebhookTest: {work: work{http.MethodPost: (*request).testWebhook}},
		atDeliveries:  {work: work{http.MethodGet: (*request).listDeliveries}},
		atDelivery:    {work: work{http.MethodGet: (*request).delivery}},
		atRedeliver:   {work: work{http.MethodPost: (*request).redeliver}},

		atAuditLogs:   {work: work{http.MethodGet: (*request).auditLogs}},
		atAuditExport: {work: work{http.MethodGet: (*request).auditExport}},
	}
}

// allow lists the methods for the Allow header.
func (w work) allow() string {
	methods := []string{http.MethodOptions}
	for m := range w {
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
