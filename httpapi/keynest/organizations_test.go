package keynest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// acme is an organization as its members see it.
func acme(id uint64, description, updated, role string, members int) string {
	return fmt.Sprintf(`{"id":%d,"name":"Acme Corp","description":%s,"created_at":%q,"updated_at":%q,"member_count":%d,"project_count":0,"user_role":%q}`,
		id, description, started, updated, members, role)
}

func TestOrganizations(t *testing.T) {
	w := newWorld(t)
	ann, bob := w.register("ann"), w.register("bob")
	w.is(201, acme(3, "null", started, "admin", 1), w.send(ann, "POST", "/api/organizations/", `{"name":" Acme Corp ","id":77,"user_role":"viewer"}`))
	w.is(200, acme(3, "null", started, "admin", 1), w.get(ann, "/api/organizations/3/"))
	w.invite(ann, 3, "bob", "viewer")
	w.is(200, acme(3, "null", started, "viewer", 2), w.get(bob, "/api/organizations/3"))

	w.store.Advance(time.Second)
	const later = "2023-11-14T22:13:21Z"
	w.is(200, acme(3, `"ours"`, later, "admin", 2), w.send(ann, "PATCH", "/api/organizations/3/", `{"description":"ours"}`))
	w.is(200, acme(3, `"ours"`, later, "admin", 2), w.send(ann, "PUT", "/api/organizations/3/", `{"name":"Acme Corp"}`))
	w.is(200, acme(3, `null`, later, "admin", 2), w.send(ann, "PATCH", "/api/organizations/3/", `{"description":null}`))
	w.is(200, acme(3, `"5"`, later, "admin", 2), w.do("PUT", "/api/organizations/3/", "name=Acme+Corp&description=5", as(ann), asForm))

	w.forbidden(w.send(bob, "PUT", "/api/organizations/3/", `{"name":"x"}`)) // before what is wrong with the name
	w.forbidden(w.send(bob, "PATCH", "/api/organizations/3/", `{"name":null}`))
	w.forbidden(w.send(bob, "DELETE", "/api/organizations/3/", ""))

	if a := w.send(ann, "DELETE", "/api/organizations/3/", ""); a.code != 204 || a.body != "" {
		t.Errorf("DELETE: %d %s", a.code, a.body)
	}
	for _, token := range []string{ann, bob} {
		w.notFound(w.get(token, "/api/organizations/3/"))
		w.counts(1, 1, w.get(token, "/api/organizations/"))
	}
	if id := w.organization(ann, "Acme Corp"); id != 4 {
		t.Errorf("id %d, want 4: none is used again", id)
	}
}

func TestOrganizationsAreValidated(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	w.organization(ann, "Acme")
	w.organization(ann, "Other")
	const short = "Organization name must be at least 2 characters long."
	for body, details := range map[string]string{
		`{}`:                  `{"name":["This field is required."]}`,
		``:                    `{"name":["This field is required."]}`,
		`{"name":null}`:       `{"name":["This field may not be null."]}`,
		`{"name":" "}`:        `{"name":["This field may not be blank."]}`,
		`{"name":" x "}`:      `{"name":["` + short + `"]}`,
		`{"name":false}`:      `{"name":["Not a valid string."]}`,
		`{"name":"a\nb"}`:     `{"name":["Control characters are not allowed."]}`,
		`{"name":"a\u2028b"}`: `{"name":["Control characters are not allowed."]}`,
		`{"name":"a\u0000b"}`: `{"name":["Control characters are not allowed."]}`,
		`{"name":"` + strings.Repeat("é", 256) + `"}`: `{"name":["Ensure this field has no more than 255 characters."]}`,
		`{"name":"x","description":["a"]}`:            `{"name":["` + short + `"],"description":["Not a valid string."]}`,
		`{"description":true}`:                        `{"name":["This field is required."],"description":["Not a valid string."]}`,
		`{"name":"ok","description":"\u0000"}`:        `{"description":["Null characters are not allowed."]}`,
	} {
		w.invalid(details, w.send(ann, "POST", "/api/organizations/", body))
		w.invalid(details, w.send(ann, "PUT", "/api/organizations/2/", body))
	}
	const taken = "You already have an organization with this name."
	for _, a := range []response{
		w.send(ann, "POST", "/api/organizations/", `{"name":"aCME"}`),
		w.send(ann, "PATCH", "/api/organizations/3/", `{"name":"ACME "}`),
	} {
		w.faulty(409, "CONFLICT", taken, `{"name":["`+taken+`"]}`, a)
	}
	w.invalid(`{"description":["Not a valid string."]}`, w.send(ann, "POST", "/api/organizations/", `{"name":"acme","description":{}}`))
	w.counts(3, 3, w.get(ann, "/api/organizations/"))
	if a := w.send(ann, "PATCH", "/api/organizations/2/", `{"name":"ACME"}`); a.code != 200 { // its own name
		t.Errorf("%d %s", a.code, a.body)
	}
}

// Who is no member cannot tell an organization that is there from one that is
// not, whatever is wrong with the request.
func TestOrganizationsOfOthersAreNotFound(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	bob := w.register("bob")
	for _, id := range []string{"1", "99", "18446744073709551615", "18446744073709551616", "0", "-1", "01", "1.0", "abc", "%31"} {
		for _, call := range [][3]string{
			{"GET", "", ""}, {"PUT", "", `{}`}, {"PATCH", "", `{"name":null}`}, {"DELETE", "", ""}, {"GET", "members/", ""},
			{"POST", "invite_member/", `{}`}, {"PATCH", "update_member_role/", `{}`}, {"DELETE", "remove_member/", `{}`},
		} {
			w.notFound(w.send(bob, call[0], "/api/organizations/"+id+"/"+call[1], call[2]))
		}
	}
}

// A repeat under the same Idempotency-Key does nothing.
func TestOrganizationsExactlyOnce(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	const once = "Idempotency-Key: 0123456789abcdef"
	w.store.LoseNext(1)
	if a := w.send(ann, "POST", "/api/organizations/", `{"name":"Acme Corp"}`, once); a.code != 504 {
		t.Errorf("%d %s", a.code, a.body)
	}
	for range 2 {
		a := w.is(201, acme(2, "null", started, "admin", 1), w.do("POST", "/api/organizations/", ` { "name" : "Acme Corp" }`, as(ann), asJSON, once))
		if a.header.Get("Covey-Replayed") != "true" {
			t.Error("no Covey-Replayed")
		}
	}
	w.counts(2, 2, w.get(ann, "/api/organizations/"))
	if a := w.send(ann, "POST", "/api/organizations/", `{"name":"Another"}`, once); a.code != 201 || a.header.Get("Covey-Replayed") != "" {
		t.Errorf("another body under the same key: %d %s", a.code, a.body)
	}
	w.is(200, acme(2, `"x"`, started, "admin", 1), w.send(ann, "PATCH", "/api/organizations/2/", `{"description":"x"}`, once))
	w.send(ann, "PATCH", "/api/organizations/2/", `{"description":"y"}`)
	w.is(200, acme(2, `"y"`, started, "admin", 1), w.send(ann, "PATCH", "/api/organizations/2/", `{"description":"x"}`, once)) // as it is now
	for range 2 {
		if a := w.send(ann, "DELETE", "/api/organizations/2/", "", once); a.code != 204 {
			t.Errorf("%d %s", a.code, a.body)
		}
	}
	w.notFound(w.send(ann, "POST", "/api/organizations/", `{"name":"Acme Corp"}`, once)) // made once, and gone
	w.fails(400, "VALIDATION_ERROR", "Idempotency-Key is not one text of 16 to 128 visible ASCII characters",
		w.send(ann, "POST", "/api/organizations/", `{"name":"Third"}`, "Idempotency-Key: short"))
}

func TestOrganizationsUnderConflictsAndFaults(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	w.store.ConflictNext(1)
	w.is(201, acme(2, "null", started, "admin", 1), w.send(ann, "POST", "/api/organizations/", `{"name":"Acme Corp"}`))
	w.store.FailNext(errs.E(errs.Unavailable, "no quorum"))
	w.faulty(503, "UNAVAILABLE", "Service unavailable", `"no quorum"`, w.send(ann, "PATCH", "/api/organizations/2/", `{"name":"Other"}`))
	w.store.FailNext(errs.E(errs.NoSpace, "the disk is full"))
	w.fails(507, "NO_SPACE", "the disk is full", w.send(ann, "DELETE", "/api/organizations/2/", ""))
	w.store.FailNext(errs.E(errs.Internal, "something with a secret in it"))
	if a := w.send(ann, "DELETE", "/api/organizations/2/", ""); a.code != 500 || strings.Contains(a.body, "secret") || !strings.Contains(a.body, `"code":"SERVER_ERROR"`) {
		t.Errorf("%d %s", a.code, a.body)
	}
	w.is(200, acme(2, "null", started, "admin", 1), w.get(ann, "/api/organizations/2/"))
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann") // has one
	for i := range 44 {
		w.organization(ann, fmt.Sprintf("Org %d", i))
	}
	host := strings.TrimPrefix(w.srv.URL, "http://")
	for _, tt := range []struct {
		query      string
		first, len int
		next, prev string // queries; "-" = null
	}{
		{"", 1, 20, "?page=2", "-"},
		{"?page=1", 1, 20, "?page=2", "-"},
		{"?page=2", 21, 20, "?page=3", ""},
		{"?page=3", 41, 5, "-", "?page=2"},
		{"?page=last", 41, 5, "-", "?page=2"},
		{"?page_size=100", 1, 45, "-", "-"},
		{"?page_size=1000", 1, 45, "-", "-"},
		{"?page_size=0", 1, 20, "?page_size=0&page=2", "-"},
		{"?page_size=x&page=2", 21, 20, "?page_size=x&page=3", "?page_size=x"},
		{"?page=2&page_size=10&a=b+c%26d&a=%C3%A9", 11, 10, "?page_size=10&a=b+c%26d&a=%C3%A9&page=3", "?page_size=10&a=b+c%26d&a=%C3%A9"},
		{"?page=", 1, 20, "?page=2", "-"},
	} {
		var v struct {
			Count          int
			Next, Previous *string
			Results        []organization
		}
		w.read(200, w.get(ann, "/api/organizations/"+tt.query), &v)
		if v.Count != 45 || len(v.Results) != tt.len || v.Results[0].ID != uint64(tt.first) {
			t.Errorf("%s: %d of %d, the first is %d", tt.query, len(v.Results), v.Count, v.Results[0].ID)
		}
		for want, got := range map[string]*string{tt.next: v.Next, tt.prev: v.Previous} {
			if want == "-" && tt.next == tt.prev {
				if v.Next != nil || v.Previous != nil {
					t.Errorf("%s: links %v %v", tt.query, v.Next, v.Previous)
				}
				continue
			}
			if want == "-" && got != nil || want != "-" && (got == nil || *got != "http://"+host+"/api/organizations/"+want) {
				t.Errorf("%s: a link is %v, want %s", tt.query, got, want)
			}
		}
	}
	for _, bad := range []string{"4", "0", "-1", "x", "1.0", "99999999999999999999", "9223372036854775807"} {
		w.fails(404, "NOT_FOUND", "Invalid page.", w.get(ann, "/api/organizations/?page="+bad))
	}
	w.fails(404, "NOT_FOUND", "Invalid page.", w.get(ann, "/api/organizations/?page=9223372036854775807&page_size=100"))
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.get("00", "/api/organizations/?page=x"))
	a := w.get(ann, "/api/organizations?page_size=44", "Host: keynest.example:8000")
	if !strings.Contains(a.body, `"next":"http://keynest.example:8000/api/organizations?page_size=44&page=2"`) {
		t.Errorf("a list without a slash: %.200s", a.body)
	}
}
