package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// auditWorld is a store with verbs for entries that fail the test.
type auditWorld struct {
	t testing.TB
	*kvtest.Store
}

func newAuditWorld(t testing.TB) *auditWorld { return &auditWorld{t, kvtest.New(t)} }

var jane = actor{User: 7, Name: "Jane <Doe>", Email: "jane@example.com", IP: "192.0.2.1"}

// variableEvent is that a variable of organization org was made.
func variableEvent(org, id uint64) event {
	return event{org, verbCreate, targetVariable, id, details{
		"variable_key": "KEY", "key": "KEY", "environment_name": "prod", "environment": "prod", "project": "web & app",
	}}
}

func (w *auditWorld) update(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.DB.Update(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *auditWorld) view(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.DB.View(context.Background(), kv.Consistency{}, fn); err != nil {
		w.t.Fatal(err)
	}
}

// record records events one by one, each in a transaction of its own.
func (w *auditWorld) record(who actor, events ...event) {
	w.t.Helper()
	for _, e := range events {
		w.update(func(tx *kv.Tx) error { return record(tx, who, e) })
	}
}

// member makes jane a member of an organization.
func (w *auditWorld) member(org uint64, r Role) {
	w.t.Helper()
	w.update(func(tx *kv.Tx) error {
		tx.Set(byIDs(membershipByte, org, jane.User), encode(membershipRow{Role: r}), 0)
		tx.Set(byIDs(memberOfByte, jane.User, org), nil, 0)
		return nil
	})
}

// session is jane's.
func (w *auditWorld) session(tx *kv.Tx) *Session {
	return (&Store{}).session(tx, jane.User, &userRow{Username: "jane", First: "Jane", Last: "<Doe>", Email: jane.Email}, Client{IP: jane.IP})
}

func (w *auditWorld) list(f AuditFilter, p Paging) (page Page[AuditEntry], err error) {
	_, err = w.DB.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		page, err = w.session(tx).AuditLog(f, p)
		return err
	})
	return page, err
}

func TestAuditEntryHasThisForm(t *testing.T) {
	w := newAuditWorld(t)
	w.record(jane, variableEvent(3, 12))
	var stored, head string
	w.view(func(tx *kv.Tx) error {
		rec, _, err := tx.Get(chain{organizationChain, 3}.entryKey(1))
		stored = string(rec.Value)
		h, _, err2 := tx.Get(chain{organizationChain, 3}.headKey())
		head = string(h.Value)
		return errors.Join(err, err2)
	})
	// Stored for ever and hashed: this text must never change.
	want := `{"chain":"o3","number":1,"id":1,"timestamp":"2023-11-14T22:13:20Z","user":7,"user_name":"Jane <Doe>",` +
		`"user_email":"jane@example.com","action":"variable_created","verb":"create","target_type":"variable","target_id":12,` +
		`"details":{"environment":"prod","environment_name":"prod","key":"KEY","project":"web & app","variable_key":"KEY"},` +
		`"ip_address":"192.0.2.1","hash":"HASH"}`
	var e AuditEntry
	if err := json.Unmarshal([]byte(stored), &e); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Replace(want, "HASH", e.Hash, 1), stored); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	const hash = "da927054d8cfe6ecbfd37a0048674b0b110d33da5f4a7d27011d7fc9cc3734ea"
	if e.Hash != hash {
		t.Errorf("hash %s, want %s", e.Hash, hash)
	}
	if want := `{"number":1,"hash":"` + hash + `","timestamp":"2023-11-14T22:13:20Z","next_id":2,"last_id":100}`; head != want {
		t.Errorf("head %s, want %s", head, want)
	}
}

func TestAuditEventsMustBeRecordable(t *testing.T) {
	w := newAuditWorld(t)
	lacking, more := variableEvent(1, 1), variableEvent(1, 1)
	delete(lacking.Details, "key")
	more.Details["value"] = "s3cret"
	for name, e := range map[string]event{
		"unknown":            {1, verbExport, targetVariable, 1, nil},
		"in no organization": variableEvent(0, 1),
		"a detail too few":   lacking, "a detail too many": more,
		"a login in an organization": {1, verbView, targetUser, 7, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.DB.Update(context.Background(), func(tx *kv.Tx) error { return record(tx, jane, e) })
			if !errs.Is(err, errs.Internal) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("err = %v, want internal without a value", err)
			}
		})
	}
}

func TestAuditActionsHaveTheNamesOfTheWire(t *testing.T) {
	for _, tt := range []struct {
		e    event
		want string
	}{
		{event{Verb: verbCreate, Target: targetUser}, "user_created"},
		{event{Verb: verbView, Target: targetUser, Details: details{"login": true}}, "user_logged_in"},
		{event{Verb: verbView, Target: targetUser, Details: details{"logout": true}}, "user_logged_out"},
		{event{Verb: verbUpdate, Target: targetMembership}, "membership_updated"},
		{event{Verb: verbDelete, Target: targetProject}, "project_deleted"},
		{event{Verb: verbView, Target: targetVariable}, "variable_viewed"},
		{event{Verb: verbExport, Target: targetEnvironment}, "environment_exported"},
		{event{Verb: verbImport, Target: targetEnvironment}, "environment_imported"},
	} {
		if got := tt.e.action(); got != tt.want {
			t.Errorf("%s %s is shown as %q, want %q", tt.e.Verb, tt.e.Target, got, tt.want)
		}
	}
}

func TestAuditChainGrowsUnderConflicts(t *testing.T) {
	w := newAuditWorld(t)
	w.ConflictNext(3)
	w.record(jane, variableEvent(1, 1), variableEvent(2, 2))
	w.update(func(tx *kv.Tx) error { // two in one transaction
		return errors.Join(record(tx, jane, variableEvent(1, 3)), record(tx, jane, variableEvent(1, 4)))
	})
	w.view(func(tx *kv.Tx) error {
		entries, err := chain{organizationChain, 1}.part(tx, 0, 3)
		if err != nil {
			return err
		}
		var got []string
		prev := root("o1")
		for _, e := range entries {
			sum, err := e.link(prev)
			if err != nil {
				return err
			}
			if fmt.Sprintf("%x", sum) != e.Hash {
				t.Errorf("entry %d does not follow from the one before", e.Number)
			}
			prev = sum
			got = append(got, fmt.Sprintf("%d id %d target %d", e.Number, e.ID, e.TargetID))
		}
		if diff := cmp.Diff([]string{"1 id 1 target 1", "2 id 2 target 3", "3 id 3 target 4"}, got); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		other, err := chain{organizationChain, 2}.entry(tx, 1)
		if err == nil && other.ID != idRange+1 {
			t.Errorf("the other chain's first id is %d, want %d", other.ID, idRange+1)
		}
		return err
	})
}

// Nodes take the time from their own clocks, and these do not quite agree.
func TestAuditTimesNeverGoBack(t *testing.T) {
	w := newAuditWorld(t)
	c := chain{organizationChain, 1}
	w.update(func(tx *kv.Tx) error {
		return c.append(tx, &AuditEntry{Timestamp: "2023-11-14T22:13:21Z", Details: []byte(`{}`)}) // of a node that is ahead
	})
	w.record(jane, variableEvent(1, 1))
	w.Advance(2 * time.Second)
	w.record(jane, variableEvent(1, 2))
	w.view(func(tx *kv.Tx) error {
		entries, err := c.part(tx, 0, 3)
		var got []string
		for _, e := range entries {
			got = append(got, e.Timestamp[len("2023-11-14T"):])
		}
		if diff := cmp.Diff([]string{"22:13:21Z", "22:13:21Z", "22:13:22Z"}, got); diff != "" {
			t.Errorf("times (-want +got):\n%s", diff)
		}
		return err
	})
}

func TestAuditIDsAreNeverGivenTwice(t *testing.T) {
	w := newAuditWorld(t)
	seen := map[uint64]bool{}
	for i := range uint64(2*idRange + 5) {
		org := 1 + i%2
		w.update(func(tx *kv.Tx) error { return record(tx, jane, variableEvent(org, i)) })
		w.view(func(tx *kv.Tx) error {
			e, err := chain{organizationChain, org}.entry(tx, 1+i/2)
			if err == nil && seen[e.ID] {
				t.Errorf("id %d is given twice", e.ID)
			}
			if err == nil {
				seen[e.ID] = true
			}
			return err
		})
	}
}

func TestAuditLogShowsWhatTheRoleAllows(t *testing.T) {
	login := event{0, verbView, targetUser, jane.User, details{"login": true}}
	for _, tt := range []struct {
		role Role
		want int
	}{{Admin, 2}, {Editor, 2}, {Viewer, 0}, {"", 0}} {
		t.Run("as "+string(tt.role), func(t *testing.T) {
			w := newAuditWorld(t)
			w.record(actor{User: 8}, variableEvent(1, 1), variableEvent(2, 2))
			w.record(jane, login)
			if tt.role != "" {
				w.member(1, tt.role)
			}
			page, err := w.list(AuditFilter{}, Paging{})
			if err != nil || page.Count != tt.want || len(page.Items) != tt.want {
				t.Fatalf("%d entries, %d counted, %v; want %d", len(page.Items), page.Count, err, tt.want)
			}
			for _, e := range page.Items {
				if e.Chain != "o1" && e.Chain != "u7" {
					t.Errorf("shows an entry of %s", e.Chain)
				}
			}
		})
	}
}

func TestAuditLogFilters(t *testing.T) {
	w := newAuditWorld(t)
	w.member(1, Admin)
	w.member(2, Editor)
	for day := range uint64(4) { // 14th to 17th of November 2023, 22:13:20
		w.record(jane, variableEvent(1, 10+day))
		w.record(actor{User: 8}, event{2, verbDelete, targetProject, 20 + day, details{"name": "p", "organization": "o"}})
		w.Advance(24 * time.Hour)
	}
	user, nobody := uint64(8), uint64(0)
	for _, tt := range []struct {
		name string
		f    AuditFilter
		want string // target ids
	}{
		{"none", AuditFilter{}, "23 13 22 12 21 11 20 10"},
		{"user", AuditFilter{User: &user}, "23 22 21 20"},
		{"a user with nothing", AuditFilter{User: &nobody}, ""},
		{"action of the wire", AuditFilter{Action: "variable_created"}, "13 12 11 10"},
		{"verb", AuditFilter{Action: "delete"}, "23 22 21 20"},
		{"unknown action", AuditFilter{Action: "variable"}, ""},
		{"target type", AuditFilter{TargetType: "project"}, "23 22 21 20"},
		{"from a day", AuditFilter{From: "2023-11-16"}, "23 13 22 12"},
		{"to a day, included", AuditFilter{To: "2023-11-15"}, "21 11 20 10"},
		{"one day and an action", AuditFilter{From: "2023-11-15", To: "2023-11-15", Action: "create"}, "11"},
		{"days after all", AuditFilter{From: "2024-01-01"}, ""},
		{"days before all", AuditFilter{To: "2023-11-13"}, ""},
		{"days the wrong way round", AuditFilter{From: "2023-11-16", To: "2023-11-15"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page, err := w.list(tt.f, Paging{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range page.Items {
				got = append(got, strconv.FormatUint(e.TargetID, 10))
			}
			if strings.Join(got, " ") != tt.want || page.Count != len(got) {
				t.Errorf("got %v of %d, want %s", got, page.Count, tt.want)
			}
		})
	}
	for _, f := range []AuditFilter{{From: "2023-02-30"}, {To: "yesterday"}} {
		var fields FieldErrors
		if _, err := w.list(f, Paging{}); !errors.As(err, &fields) || !errs.Is(err, errs.Invalid) || len(fields) != 1 {
			t.Errorf("a bad day: %v, want one FieldErrors", err)
		}
	}
}

func TestAuditLogPages(t *testing.T) {
	w := newAuditWorld(t)
	w.member(1, Admin)
	for i := range uint64(5) {
		w.record(jane, variableEvent(1, i+1))
	}
	for _, f := range []AuditFilter{{}, {Action: "create"}} {
		for _, tt := range []struct {
			p    Paging
			want string
		}{
			{Paging{Size: 2}, "5 4"}, {Paging{Size: 2, Number: 2}, "3 2"}, {Paging{Size: 2, Last: true}, "1"},
		} {
			page, err := w.list(f, tt.p)
			var got []string
			for _, e := range page.Items {
				got = append(got, strconv.FormatUint(e.TargetID, 10))
			}
			if err != nil || strings.Join(got, " ") != tt.want || page.Count != 5 {
				t.Errorf("%+v %+v: %v of %d, %v; want %s of 5", f, tt.p, got, page.Count, err, tt.want)
			}
		}
		if _, err := w.list(f, Paging{Size: 2, Number: 4}); !errs.Is(err, errs.NotFound) {
			t.Errorf("a page past the end: %v, want not found", err)
		}
	}
}
