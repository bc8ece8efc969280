package vault

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

func TestGoldenRows(t *testing.T) {
	file, err := os.ReadFile("testdata/rows1.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(file)) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			rows[name] = text
		}
	}
	golden(t, rows["user"], userRow{
		Username: "ada", Email: "ada@example.com", First: "Ada", Last: "L", Password: "p", Joined: 1, LastLogin: 2, Disabled: true,
		UID: []byte{1}, Token: []byte{2}, TokenHash: []byte{3},
	})
	golden(t, rows["new_user"], userRow{Username: "ada", Email: "ada@example.com", Password: "p", Joined: 1, UID: []byte{1}})
	golden(t, rows["organization"], organizationRow{
		Name: "Acme", Description: ptr("d"), Created: 1, Updated: 2, UID: []byte{1}, Keys: []dataKey{{ID: 1, Wrapped: []byte{2}}},
	})
	golden(t, rows["membership"], membershipRow{Role: Editor, Joined: 3})
	golden(t, rows["project"], projectRow{Organization: 1, Name: "Web", Description: ptr("d"), Created: 1, Updated: 2, Creator: 3})
	golden(t, rows["environment"], environmentRow{
		Project: 1, Name: "live", Type: "production", Description: ptr("d"), Created: 1, Updated: 2, Creator: 3, UID: []byte{1},
	})
	golden(t, rows["variable_place"], variableRef{Environment: 6, Key: "A"})
	golden(t, rows["head"], headRow{Number: 1, Hash: "ab", Timestamp: "2025-08-30T10:30:00Z", NextID: 2, LastID: 100})
	golden(t, rows["entry"], AuditEntry{
		Chain: "o1", Number: 1, ID: 2, Timestamp: "2025-08-30T10:30:00Z", User: 3, UserName: "Ada", UserEmail: "ada@example.com",
		Action: "project_created", Verb: "create", TargetType: "project", TargetID: 4, Details: json.RawMessage(`{"name":"Web"}`),
		IPAddress: "192.0.2.1", Hash: "ab",
	})
	golden(t, rows["service_entry"], AuditEntry{
		Chain: "o1", Number: 1, ID: 2, Timestamp: "2025-08-30T10:30:00Z", UserName: "service token ci", ServiceToken: 5,
		Action: "variable_deleted", Verb: "delete", TargetType: "variable", TargetID: 4, Details: json.RawMessage(`{}`), IPAddress: "192.0.2.1", Hash: "ab",
	})
	golden(t, rows["service_token"], serviceTokenRow{
		Organization: 1, Project: 2, Environment: 3, Name: "ci", Write: true, Created: 4, Creator: 5, Expires: 6,
		Networks: []string{"10.0.0.0/8"}, Hash: []byte{1}, Revoked: 7,
	})
	golden(t, rows["service_token_read_only"], serviceTokenRow{Organization: 1, Project: 2, Name: "ci", Created: 4, Creator: 5, Hash: []byte{1}})
	golden(t, rows["service_token_uses"], usesRow{Used: 1, Refused: 2})
	v := variableRow{ID: 300, Created: 3, Updated: 4, Creator: 5, Version: 6, Author: 7, Change: changeRenamed, Value: []byte("sealed")}
	goldenVariable(t, rows["variable_2"], v)
	old := past{"KEY", &v}
	if got := hex.EncodeToString(old.encode()); got != rows["version"] {
		t.Errorf("a version is stored as %s, want %s", got, rows["version"])
	}
	read, err := decodePast(old.encode())
	if err != nil || read.key != old.key || cmp.Diff(v, *read.row) != "" {
		t.Errorf("a version reads as %+v, %v", read, err)
	}
}

func goldenVariable(t *testing.T, text string, row variableRow) {
	t.Helper()
	if got := hex.EncodeToString(row.encode()); got != text {
		t.Errorf("a variable is stored as %s, want %s", got, text)
	}
	var read variableRow
	if err := read.decode(row.encode()); err != nil || cmp.Diff(row, read) != "" {
		t.Errorf("a variable reads as %+v, %v", read, err)
	}
}

// What was stored before versions were kept is version 1. Who changed it since
// it was created nobody knows.
func TestVariablesOfTheFirstFormatRead(t *testing.T) {
	for _, c := range []struct {
		stored string
		want   variableRow
	}{
		{"01ac020303057365616c6564", variableRow{
			ID: 300, Created: 3, Updated: 3, Creator: 5, Version: 1, Author: 5, Change: changeCreated, Value: []byte("sealed"),
		}},
		{"01ac020304057365616c6564", variableRow{ // as in testdata/rows1.txt
			ID: 300, Created: 3, Updated: 4, Creator: 5, Version: 1, Change: changeUpdated, Value: []byte("sealed"),
		}},
	} {
		p, err := hex.DecodeString(c.stored)
		if err != nil {
			t.Fatal(err)
		}
		var got variableRow
		if err := got.decode(p); err != nil || cmp.Diff(c.want, got) != "" {
			t.Errorf("%s reads as %+v, %v", c.stored, got, err)
		}
	}
}

// A row that a later release has written reads as far as it is known here.
func TestFieldsOfALaterReleaseArePassedOver(t *testing.T) {
	row, err := decode[membershipRow]([]byte(`{"role":"editor","joined":3,"since":{"a":[1]},"until":null}`))
	if err != nil || *row != (membershipRow{Role: Editor, Joined: 3}) {
		t.Errorf("%+v, %v", row, err)
	}
	p := (&variableRow{ID: 1, Version: 1}).encode()
	p[0]++
	if err := new(variableRow).decode(p); !errs.Is(err, errs.Internal) {
		t.Errorf("a variable of a newer format: %v, want errs.Internal", err)
	}
}

func FuzzVariableRow(f *testing.F) {
	f.Add((&variableRow{ID: 300, Created: 1, Updated: 2, Creator: 3, Version: 4, Author: 5, Value: []byte("sealed")}).encode())
	f.Add([]byte{variableFormat1, 1, 2, 2, 3, 's'})
	f.Add([]byte{variableFormat1, 0xff})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		var row, again variableRow
		if row.decode(p) != nil {
			return
		}
		if err := again.decode(row.encode()); err != nil || cmp.Diff(row, again) != "" {
			t.Errorf("%x reads as %+v, which comes back as %+v, %v", p, row, again, err)
		}
	})
}

func FuzzPast(f *testing.F) {
	f.Add(past{"KEY", &variableRow{ID: 300, Version: 4, Value: []byte("sealed")}}.encode())
	f.Add([]byte{pastFormat1, 200, 1, 'K'})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		old, err := decodePast(p)
		if err != nil {
			return
		}
		again, err := decodePast(old.encode())
		if err != nil || again.key != old.key || cmp.Diff(*old.row, *again.row) != "" {
			t.Errorf("%x reads as %+v, which comes back as %+v, %v", p, old, again, err)
		}
	})
}

// golden compares a row with how it is stored, both ways.
func golden[T any](t *testing.T, text string, row T) {
	t.Helper()
	if diff := cmp.Diff(text, string(encode(row))); diff != "" {
		t.Errorf("%T is stored otherwise (-want +got):\n%s", row, diff)
	}
	read, err := decode[T]([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(row, *read); diff != "" {
		t.Errorf("%T reads otherwise (-want +got):\n%s", row, diff)
	}
}

// What a transaction does to a row that it read, and does not commit, is
// nothing to others.
func TestRememberedRowsAreNotChanged(t *testing.T) {
	o := newOffice(t)
	before := func() (shown []any) {
		o.must(o.admin, func(s *Session) error {
			org, err := s.Organization(o.organization)
			p, err2 := s.Project(o.project)
			e, err3 := s.Environment(o.environment)
			shown = []any{org, p, e, s.User()}
			return errors.Join(err, err2, err3)
		})
		return shown
	}
	want, undone, d := before(), errors.New("undone"), Description{Given: true, Text: ptr("other")}
	for name, change := range map[string]func(s *Session) error{
		"organization": func(s *Session) error {
			_, err := s.UpdateOrganization(o.organization, OrganizationFields{Name: ptr("Other"), Description: d})
			return err
		},
		"project": func(s *Session) error {
			_, err := s.UpdateProject(o.project, ProjectFields{Name: ptr("Other"), Description: d})
			return err
		},
		"environment": func(s *Session) error {
			_, err := s.UpdateEnvironment(o.environment, EnvironmentFields{Name: ptr("other"), Type: ptr("testing"), Description: d})
			return err
		},
		"role": func(s *Session) error {
			_, _, err := s.ChangeRole(o.organization, idText(o.editor), "viewer")
			return err
		},
		"profile": func(s *Session) error { _, err := s.UpdateProfile(ptr("X"), ptr("Y")); return err },
		"logout":  func(s *Session) error { return s.Logout() },
	} {
		if err := o.as(o.admin, func(s *Session) error { return errors.Join(change(s), undone) }); !errors.Is(err, undone) || errors.As(err, new(*errs.Error)) {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, before()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
