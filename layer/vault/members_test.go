package vault

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func TestInvitation(t *testing.T) {
	o := newOffice(t)
	o.Advance(time.Minute)
	var got Invited
	o.ConflictNext(2)
	o.must(o.admin, func(s *Session) (err error) {
		got, err = s.Invite(o.organization, " GUS@example.com ", " Editor")
		return err
	})
	want := Invited{"Acme", Member{
		ID: o.guest, Email: "gus@example.com", Username: "gus", Role: Editor, Joined: startSeconds + 60, Active: true,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	o.must(o.guest, func(s *Session) error {
		shown, err := s.Organization(o.organization)
		if shown.Members != 5 || shown.Role != Editor {
			t.Errorf("%+v", shown)
		}
		return err
	})
}

func TestInvitationRefuses(t *testing.T) {
	o := newOffice(t)
	o.must(o.admin, func(s *Session) error { // somebody who may not log in
		row, err := s.store.userByID(s.tx, o.target)
		if err != nil {
			return err
		}
		row.Disabled, row.Email = true, "off@example.com"
		s.tx.Set(byID(userByte, 900), encode(row), 0)
		s.tx.Set(byText(emailByte, row.Email), encodeID(900), 0)
		return nil
	})
	const unable = "Unable to invite user. Please ensure the email is correct and the user has an account."
	for _, c := range []struct{ email, role, text string }{
		{"", "", "Email is required"},
		{"  ", "owner", "Email is required"},
		{"gus", "", "Invalid email format"},
		{"a@b", "", "Invalid email format"},
		{"\u212aim@example.com", "", "Invalid email format"},
		{"Gus <gus@example.com>", "", "Invalid email format"},
		{"gus@example.com\nx", "", "Invalid email format"},
		{strings.Repeat("a", 250) + "@example.com", "", "Email address too long"},
		{"gus@example.com", "owner", "Invalid role. Must be admin, editor, or viewer"},
		{"nobody@example.com", "viewer", unable},
		{"off@example.com", "viewer", unable},
		{"tom@example.com", "viewer", "User is already a member of this organization"},
		{"ADA@example.com", "viewer", "You cannot invite yourself"},
	} {
		err := o.as(o.admin, func(s *Session) error { _, err := s.Invite(o.organization, c.email, c.role); return err })
		wantError(t, err, errs.Invalid, c.text)
	}
	o.must(o.admin, func(s *Session) error { addCount(s.tx, countMembers, o.organization, MaxMembers-4); return nil })
	err := o.as(o.admin, func(s *Session) error { _, err := s.Invite(o.organization, "gus@example.com", ""); return err })
	wantError(t, err, errs.Invalid, "Organization has reached the maximum number of members")
}

func TestMembersAreListedAsTheyJoined(t *testing.T) {
	o := newOffice(t)
	o.Advance(time.Hour)
	late := o.user("zoe")
	o.Advance(time.Hour)
	o.must(o.admin, func(s *Session) error { _, err := s.Invite(o.organization, "gus@example.com", ""); return err })
	o.Advance(time.Hour)
	o.must(o.admin, func(s *Session) error { _, err := s.Invite(o.organization, "zoe@example.com", ""); return err })
	for user, whole := range map[uint64]bool{o.admin: true, o.editor: false, o.viewer: false} {
		var list MemberList
		o.must(user, func(s *Session) (err error) { list, err = s.Members(o.organization); return err })
		var ids []uint64
		for _, m := range list.Members {
			ids = append(ids, m.ID)
		}
		if diff := cmp.Diff([]uint64{o.admin, o.editor, o.viewer, o.target, o.guest, late}, ids); diff != "" || list.Whole != whole {
			t.Errorf("user %d: whole %v (-want +got):\n%s", user, list.Whole, diff)
		}
	}
	want := details{"organization_name": "Acme", "member_count": 6}
	o.must(o.viewer, func(s *Session) error {
		_, err := s.Members(o.organization)
		if got := s.Readings(); len(got) != 1 || got[0].event.action() != "membership_viewed" || cmp.Diff(want, got[0].event.Details) != "" {
			t.Errorf("readings %+v", got)
		}
		return err
	})
}

func TestRoleChange(t *testing.T) {
	o := newOffice(t)
	change := func(user uint64, id, role string) (m Member, changed bool, err error) {
		err = o.as(user, func(s *Session) (err error) { m, changed, err = s.ChangeRole(o.organization, id, role); return err })
		return m, changed, err
	}
	o.ConflictNext(1)
	if m, changed, err := change(o.admin, idText(o.target), " EDITOR "); err != nil || !changed || m.Role != Editor || m.Username != "tom" {
		t.Errorf("%+v, %v, %v", m, changed, err)
	}
	before := o.keys(auditByte)
	if m, changed, err := change(o.admin, idText(o.target), "editor"); err != nil || changed || m.Role != Editor || o.keys(auditByte) != before {
		t.Errorf("%+v, %v, %v", m, changed, err)
	}
	for _, c := range []struct {
		id, role string
		kind     errs.Kind
		text     string
	}{
		{"", "", errs.Invalid, "user_id is required"},
		{"1", " ", errs.Invalid, "role is required"},
		{"x", "owner", errs.Invalid, "Invalid role. Must be admin, editor, or viewer"},
		{"x", "viewer", errs.Invalid, "Invalid user_id format"},
		{"-1", "viewer", errs.Invalid, "Invalid user_id format"},
		{"99999999999999999999", "viewer", errs.Invalid, "Invalid user_id format"},
		{idText(o.guest), "viewer", errs.NotFound, "User is not a member of this organization"},
		{"999", "viewer", errs.NotFound, "User is not a member of this organization"},
		{idText(o.admin), "viewer", errs.Invalid, "You cannot change your own role"},
		{idText(o.admin), "admin", errs.Invalid, "You cannot change your own role"},
	} {
		_, _, err := change(o.admin, c.id, c.role)
		wantError(t, err, c.kind, c.text)
	}
}

func TestMemberIsRemoved(t *testing.T) {
	o := newOffice(t)
	remove := func(user uint64, id string) (r Removed, err error) {
		err = o.as(user, func(s *Session) (err error) { r, err = s.RemoveMember(o.organization, id); return err })
		return r, err
	}
	for _, c := range []struct {
		id   string
		kind errs.Kind
		text string
	}{
		{"", errs.Invalid, "user_id is required"},
		{"1.5", errs.Invalid, "Invalid user_id format"},
		{idText(o.guest), errs.NotFound, "User is not a member of this organization"},
		{idText(o.admin), errs.Invalid, "You cannot remove yourself from the organization"},
	} {
		_, err := remove(o.admin, c.id)
		wantError(t, err, c.kind, c.text)
	}
	o.ConflictNext(2)
	if r, err := remove(o.admin, idText(o.target)); err != nil || r.Organization != "Acme" || r.Member.Email != "tom@example.com" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := remove(o.admin, idText(o.target)); errs.KindOf(err) != errs.NotFound {
		t.Error(err)
	}
	err := o.as(o.target, func(s *Session) error {
		if p, err := s.Organizations(Paging{}); err != nil || p.Count != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		_, err := s.Project(o.project)
		return err
	})
	wantKind(t, err, errs.NotFound)
	o.must(o.admin, func(s *Session) error {
		shown, err := s.Organization(o.organization)
		if shown.Members != 3 {
			t.Errorf("%d members", shown.Members)
		}
		return err
	})
}

// Two admins remove, or demote, each other at once: one of them stays.
func TestLastAdminStays(t *testing.T) {
	removal := func(s *Session, organization, other uint64) error {
		_, err := s.RemoveMember(organization, idText(other))
		return err
	}
	demotion := func(s *Session, organization, other uint64) error {
		_, _, err := s.ChangeRole(organization, idText(other), "viewer")
		return err
	}
	for name, c := range map[string]struct {
		do, meanwhile func(*Session, uint64, uint64) error
		kind          errs.Kind
		text          string
	}{
		"both remove":            {removal, removal, errs.NotFound, "Not found."},
		"both demote":            {demotion, demotion, errs.Forbidden, "Only admins can update member roles"},
		"demoted while removing": {removal, demotion, errs.Forbidden, "Only admins can remove members"},
		"removed while demoting": {demotion, removal, errs.NotFound, "Not found."},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			second := o.member(o.admin, o.organization, Admin, "sue")
			// While the first admin's transaction has read and not committed,
			// the second's runs whole.
			raced := false
			err := o.as(o.admin, func(s *Session) error {
				err := c.do(s, o.organization, second)
				if !raced {
					raced = true
					o.must(second, func(s *Session) error { return c.meanwhile(s, o.organization, o.admin) })
				}
				return err
			})
			wantError(t, err, c.kind, c.text)
			admins := 0
			o.must(second, func(s *Session) error {
				admins = 0 // it may run again
				list, err := s.Members(o.organization)
				for _, m := range list.Members {
					if m.Role == Admin {
						admins++
					}
				}
				return err
			})
			if admins != 1 {
				t.Errorf("%d admins are left", admins)
			}
		})
	}
}

// A role that is taken away while its holder writes undoes the write.
func TestRoleLostMeanwhileUndoesTheWrite(t *testing.T) {
	o := newOffice(t)
	raced := false
	err := o.as(o.editor, func(s *Session) error {
		_, err := s.UpdateProject(o.project, ProjectFields{Name: ptr("Mine")})
		if !raced {
			raced = true
			o.must(o.admin, func(s *Session) error {
				_, _, err := s.ChangeRole(o.organization, idText(o.editor), "viewer")
				return err
			})
		}
		return err
	})
	wantError(t, err, errs.Forbidden, textForbidden)
}

func TestInvitationsAtOnceKeepTheLimit(t *testing.T) {
	o := newOffice(t)
	o.must(o.admin, func(s *Session) error { addCount(s.tx, countMembers, o.organization, MaxMembers-5); return nil })
	zoe := o.user("zoe")
	raced := false
	err := o.as(o.admin, func(s *Session) error {
		_, err := s.Invite(o.organization, "gus@example.com", "")
		if !raced {
			raced = true
			o.must(o.admin, func(s *Session) error { _, err := s.Invite(o.organization, "zoe@example.com", ""); return err })
		}
		return err
	})
	wantError(t, err, errs.Invalid, "Organization has reached the maximum number of members")
	_, err = o.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		n, err := readCount(tx, countMembers, o.organization)
		if n != MaxMembers {
			t.Errorf("%d members; zoe is %d", n, zoe)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
