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
	v := variableRow{ID: 300, Created: 3, Updated: 4, Creator: 5, Value: []byte("sealed")}
	if got := hex.EncodeToString(v.encode()); got != rows["variable"] {
		t.Errorf("a variable is stored as %s, want %s", got, rows["variable"])
	}
	var read variableRow
	if err := read.decode(v.encode()); err != nil || cmp.Diff(v, read) != "" {
		t.Errorf("a variable reads as %+v, %v", read, err)
	}
}

// A row that a later release has written reads as far as it is known here.
func TestFieldsOfALaterReleaseArePassedOver(t *testing.T) {
	row, err := decode[membershipRow]([]byte(`{"role":"editor","joined":3,"since":{"a":[1]},"until":null}`))
	if err != nil || *row != (membershipRow{Role: Editor, Joined: 3}) {
		t.Errorf("%+v, %v", row, err)
	}
	p := (&variableRow{ID: 1}).encode()
	p[0]++
	if err := new(variableRow).decode(p); !errs.Is(err, errs.Internal) {
		t.Errorf("a variable of a newer format: %v, want errs.Internal", err)
	}
}

func FuzzVariableRow(f *testing.F) {
	f.Add((&variableRow{ID: 300, Created: 1, Updated: 2, Creator: 3, Value: []byte("sealed")}).encode())
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
