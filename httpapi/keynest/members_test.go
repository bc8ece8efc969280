package keynest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMembers(t *testing.T) {
	w := newWorld(t)
	ann, bob, cid := w.register("ann"), w.register("bob"), w.register("cid")
	w.store.Advance(time.Second)
	const later = "2023-11-14T22:13:21Z"
	w.is(201, `{"message":"User has been added to ann's Organization as viewer","member":{"id":3,"email":"cid@example.com","username":"cid","role":"viewer","joined_at":"`+later+`"}}`,
		w.send(ann, "POST", "/api/organizations/1/invite_member/", `{"email":" CID@example.com "}`))
	w.store.Advance(time.Second)
	w.is(201, `{"message":"User has been added to ann's Organization as editor","member":{"id":2,"email":"bob@example.com","username":"bob","role":"editor","joined_at":"2023-11-14T22:13:22Z"}}`,
		w.send(ann, "POST", "/api/organizations/1/invite_member/", `{"email":"bob@example.com","role":" Editor"}`))
	w.login("cid")

	list := `{"members":[{"id":1,"email":"ann@example.com","username":"ann","role":"admin","joined_at":"` + started + `"%[1]s},
		{"id":3,"email":"cid@example.com","username":"cid","role":"viewer","joined_at":"` + later + `"%[2]s},
		{"id":2,"email":"bob@example.com","username":"bob","role":"editor","joined_at":"2023-11-14T22:13:22Z"%[1]s}],"total_count":3}`
	w.is(200, fmt.Sprintf(list, `,"last_login":null,"is_active":true`, `,"last_login":"2023-11-14T22:13:22Z","is_active":true`), w.get(ann, "/api/organizations/1/members/"))
	for _, token := range []string{bob, cid} {
		w.is(200, fmt.Sprintf(list, "", ""), w.get(token, "/api/organizations/1/members/"))
	}

	w.is(200, `{"message":"Role updated successfully","member":{"id":3,"email":"cid@example.com","username":"cid","role":"admin"}}`,
		w.send(ann, "PATCH", "/api/organizations/1/update_member_role/", `{"user_id":3,"role":"ADMIN"}`))
	w.is(200, `{"message":"Role is already set to the specified value","member":{"id":3,"email":"cid@example.com","username":"cid","role":"admin"}}`,
		w.send(ann, "PATCH", "/api/organizations/1/update_member_role/", `{"user_id":"3","role":"admin"}`))
	w.is(200, `{"message":"User has been removed from ann's Organization","removed_member":{"email":"bob@example.com","username":"bob","role":"editor"}}`,
		w.send(cid, "DELETE", "/api/organizations/1/remove_member/", `{"user_id":2}`))
	w.notFound(w.get(bob, "/api/organizations/1/members/"))
	w.is(200, `{"message":"User has been removed from ann's Organization","removed_member":{"email":"ann@example.com","username":"ann","role":"admin"}}`,
		w.do("DELETE", "/api/organizations/1/remove_member", "user_id=1", as(cid), asForm))
	w.notFound(w.get(ann, "/api/organizations/1/"))
}

func TestCallsOnMembersAreRefused(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	for _, name := range []string{"bob", "eda", "via"} {
		w.register(name)
	}
	w.invite(ann, 1, "eda", "editor")
	w.invite(ann, 1, "via", "viewer")
	const (
		role       = "Invalid role. Must be admin, editor, or viewer"
		unable     = "Unable to invite user. Please ensure the email is correct and the user has an account."
		noMember   = "User is not a member of this organization"
		badID      = "Invalid user_id format"
		idRequired = "user_id is required"
	)
	calls := map[string][2]string{"invite": {"POST", "invite_member/"}, "role": {"PATCH", "update_member_role/"}, "remove": {"DELETE", "remove_member/"}}
	for _, tt := range []struct {
		call, body string
		code       int
		text       string
	}{
		{"invite", ``, 400, "Email is required"},
		{"invite", `{"email":" ","role":"boss"}`, 400, "Email is required"},
		{"invite", `{"email":null}`, 400, "Email is required"},
		{"invite", `{"email":"ann","role":"boss"}`, 400, "Invalid email format"},
		{"invite", `{"email":["bob@example.com"]}`, 400, "Invalid email format"},
		{"invite", `{"email":"` + strings.Repeat("a", 250) + `@b.de","role":"boss"}`, 400, "Email address too long"},
		{"invite", `{"email":"bob@example.com","role":"boss"}`, 400, role},
		{"invite", `{"email":"bob@example.com","role":7}`, 400, role},
		{"invite", `{"email":"bob@example.com","role":{}}`, 400, role},
		{"invite", `{"email":"none@example.com"}`, 400, unable},
		{"invite", `{"email":"via@example.com","role":"admin"}`, 400, "User is already a member of this organization"},
		{"invite", `{"email":"ann@example.com"}`, 400, "You cannot invite yourself"},
		{"role", ``, 400, idRequired},
		{"role", `{"user_id":null,"role":"boss"}`, 400, idRequired},
		{"role", `{"user_id":3}`, 400, "role is required"},
		{"role", `{"user_id":"x","role":"boss"}`, 400, role},
		{"role", `{"user_id":"x","role":"admin"}`, 400, badID},
		{"role", `{"user_id":true,"role":"admin"}`, 400, badID},
		{"role", `{"user_id":[3],"role":"admin"}`, 400, badID},
		{"role", `{"user_id":1.5,"role":"admin"}`, 400, badID},
		{"role", `{"user_id":-3,"role":"admin"}`, 400, badID},
		{"role", `{"user_id":2,"role":"admin"}`, 404, noMember},
		{"role", `{"user_id":99,"role":"admin"}`, 404, noMember},
		{"role", `{"user_id":1,"role":"viewer"}`, 400, "You cannot change your own role"},
		{"remove", ``, 400, idRequired},
		{"remove", `{"user_id":""}`, 400, idRequired},
		{"remove", `{"user_id":"3x"}`, 400, badID},
		{"remove", `{"user_id":18446744073709551616}`, 400, badID},
		{"remove", `{"user_id":2}`, 404, noMember},
		{"remove", `{"user_id":1}`, 400, "You cannot remove yourself from the organization"},
	} {
		name := "VALIDATION_ERROR"
		if tt.code == 404 {
			name = "NOT_FOUND"
		}
		w.fails(tt.code, name, tt.text, w.send(ann, calls[tt.call][0], "/api/organizations/1/"+calls[tt.call][1], tt.body))
	}
	for call, text := range map[string]string{"invite": "Only admins can invite members", "role": "Only admins can update member roles", "remove": "Only admins can remove members"} {
		for _, name := range []string{"eda", "via"} {
			for _, body := range []string{``, `{"email":"bob@example.com","user_id":1,"role":"viewer"}`} {
				w.fails(403, "PERMISSION_DENIED", text, w.send(w.login(name), calls[call][0], "/api/organizations/1/"+calls[call][1], body))
			}
		}
	}
	w.is(200, `{"members":"*","total_count":3}`, w.get(ann, "/api/organizations/1/members/")) // as it was
}

func TestMembersExactlyOnce(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	w.register("bob")
	const once = "Idempotency-Key: 0123456789abcdef"
	for _, call := range [][3]string{
		{"POST", "invite_member/", `{"email":"bob@example.com"}`}, {"PATCH", "update_member_role/", `{"user_id":2,"role":"admin"}`},
		{"DELETE", "remove_member/", `{"user_id":2}`},
	} {
		w.store.LoseNext(1)
		if a := w.send(ann, call[0], "/api/organizations/1/"+call[1], call[2], once); a.code != 504 {
			t.Errorf("%s: %d %s", call[1], a.code, a.body)
		}
		first := w.send(ann, call[0], "/api/organizations/1/"+call[1], call[2], once)
		again := w.send(ann, call[0], "/api/organizations/1/"+call[1], call[2], once)
		if first.code >= 300 || !strings.Contains(first.body, "bob@example.com") || first.header.Get("Covey-Replayed") != "true" {
			t.Errorf("%s: %d %s", call[1], first.code, first.body)
		}
		w.is(first.code, first.body, again)
	}
}

// An answer that is too long to be kept is not given again, and nothing is done
// again either.
func TestALongAnswerIsGivenOnce(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	w.register("bob")
	w.organization(ann, strings.Repeat("😀", 255))
	const once = "Idempotency-Key: 0123456789abcdef"
	for _, code := range []int{201, 409, 409} {
		if a := w.send(ann, "POST", "/api/organizations/3/invite_member/", `{"email":"bob@example.com"}`, once); a.code != code {
			t.Errorf("%d %s, want %d", a.code, a.body, code)
		}
	}
	w.is(200, `{"members":"*","total_count":2}`, w.get(ann, "/api/organizations/3/members/"))
}

// Two admins who remove each other at once: one of them stays.
func TestTheLastAdminStays(t *testing.T) {
	w := newWorld(t)
	ann, bob := w.register("ann"), w.register("bob")
	for range 5 {
		org := w.organization(ann, fmt.Sprintf("Org of %d", w.store.Commits()))
		w.invite(ann, org, "bob", "admin")
		var both sync.WaitGroup
		codes := make([]int, 2)
		for i, token := range []string{ann, bob} {
			both.Go(func() {
				codes[i] = w.send(token, "DELETE", at("organizations", org, "remove_member"), fmt.Sprintf(`{"user_id":%d}`, 2-i)).code
			})
		}
		both.Wait()
		if codes[0]+codes[1] != 200+404 {
			t.Errorf("answers %v, want 200 and 404", codes)
		}
		if left := w.get(ann, at("organizations", org)).code + w.get(bob, at("organizations", org)).code; left != 200+404 {
			t.Errorf("the two see the organization with %d together", left)
		}
	}
}

// That somebody has looked at the members is recorded before the list goes out.
func TestLookingAtMembersIsRecorded(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	before := w.store.Commits()
	w.get(ann, "/api/organizations/1/members/")
	if got := w.store.Commits() - before; got != 1 {
		t.Errorf("%d commits, want 1", got)
	}
	w.recorder.Close()
	a := w.get(ann, "/api/organizations/1/members/")
	w.faulty(503, "UNAVAILABLE", "Service unavailable", `"audit: the node is stopping"`, a)
	if a := w.get(ann, "/api/organizations/1/"); a.code != 200 {
		t.Errorf("what is not recorded: %d %s", a.code, a.body)
	}
}
