package vault

import (
	"maps"
	"slices"

	"github.com/coveydb/covey/internal/errs"
)

// Role is what a member is in an organization.
type Role string

// The roles. The zero Role is that of somebody who is no member.
const (
	Admin  Role = "admin"
	Editor Role = "editor"
	Viewer Role = "viewer"
)

// ValidRole reports whether r is one that a member can have.
func ValidRole(r Role) bool { return r == Admin || r == Editor || r == Viewer }

// Action is something that a member can want to do in an organization.
type Action string

// The actions. Names are those of the documents.
const (
	ReadOrganization    Action = "read organization, project, environment, list variables"
	ReadValue           Action = "read values"
	CreateProject       Action = "create project"
	CreateEnvironment   Action = "create environment"
	CreateVariable      Action = "create variable"
	UpdateOrganization  Action = "update organization"
	UpdateProject       Action = "update project"
	UpdateEnvironment   Action = "update environment"
	UpdateVariable      Action = "update variable"
	DeleteOrganization  Action = "delete organization"
	DeleteProject       Action = "delete project"
	DeleteEnvironment   Action = "delete environment"
	DeleteVariable      Action = "delete variable"
	Import              Action = "import"
	RollBack            Action = "roll back variable, environment"
	Export              Action = "export"
	ListMembers         Action = "list members"
	InviteMember        Action = "invite member"
	ChangeRole          Action = "change role"
	RemoveMember        Action = "remove member"
	ReadAudit           Action = "read audit log"
	ManageWebhooks      Action = "manage webhooks"
	ManageServiceTokens Action = "manage service tokens"
)

// grants is the role matrix: who may do what. docs/keynest.md has the same
// table, and a test compares them.
var grants = map[Action][]Role{
	ReadOrganization:    {Admin, Editor, Viewer},
	ReadValue:           {Admin, Editor},
	CreateProject:       {Admin, Editor},
	CreateEnvironment:   {Admin, Editor},
	CreateVariable:      {Admin, Editor},
	UpdateOrganization:  {Admin, Editor},
	UpdateProject:       {Admin, Editor},
	UpdateEnvironment:   {Admin, Editor},
	UpdateVariable:      {Admin, Editor},
	DeleteOrganization:  {Admin},
	DeleteProject:       {Admin},
	DeleteEnvironment:   {Admin},
	DeleteVariable:      {Admin, Editor},
	Import:              {Admin, Editor},
	RollBack:            {Admin, Editor},
	Export:              {Admin, Editor}, // and viewers if Config.ViewerExport
	ListMembers:         {Admin, Editor, Viewer},
	InviteMember:        {Admin},
	ChangeRole:          {Admin},
	RemoveMember:        {Admin},
	ReadAudit:           {Admin, Editor},
	ManageWebhooks:      {Admin},
	ManageServiceTokens: {Admin, Editor}, // and of others' tokens the admins only
}

// Actions returns all actions of the matrix, in the order of their names.
func Actions() []Action { return slices.Sorted(maps.Keys(grants)) }

// Grants reports whether a role allows an action, whatever the configuration
// adds. No role, and a role that is unknown, allows nothing.
func Grants(r Role, a Action) bool { return slices.Contains(grants[a], r) }

// grants reports whether a role allows an action here.
func (s *Store) grants(r Role, a Action) bool {
	return Grants(r, a) || a == Export && r == Viewer && s.cfg.ViewerExport
}

// refusals are the texts for members whose role does not allow an action,
// where they differ from textForbidden.
var refusals = map[Action]string{
	CreateProject:     "You don't have permission to create projects in this organization.",
	CreateEnvironment: "You don't have permission to create environments in this project.",
	CreateVariable:    "You don't have permission to create variables in this environment.",
	Export:            "You don't have permission to export this environment.",
	Import:            "You don't have permission to import to this environment.",
	InviteMember:      "Only admins can invite members",
	ChangeRole:        "Only admins can update member roles",
	RemoveMember:      "Only admins can remove members",
}

const textForbidden = "You do not have permission to perform this action."

// refusal is the error for a member whose role does not allow an action.
func refusal(a Action) error {
	if text, ok := refusals[a]; ok {
		return errs.E(errs.Forbidden, "%s", text)
	}
	return errs.E(errs.Forbidden, textForbidden)
}
