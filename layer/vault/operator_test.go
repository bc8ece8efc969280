package vault

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// byOperator runs fn in an Update as the operator's API does.
func (w *world) byOperator(fn func(tx *kv.Tx, who Client) error) error {
	w.t.Helper()
	who := Client{IP: "192.0.2.9", Draw: NewDraw()}
	_, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) error { return fn(tx, who) })
	return err
}

func (w *world) createAccount(name string) (u User, err error) {
	w.t.Helper()
	n, err := w.s.Prepare(w.t.Context(), Registration{Username: name, Email: name + "@example.com", Password: goodPassword})
	if err != nil {
		w.t.Fatal(err)
	}
	return u, w.byOperator(func(tx *kv.Tx, who Client) (err error) {
		u, err = w.s.CreateAccount(tx, n, who)
		return err
	})
}

func (w *world) account(email string) (a Account, err error) {
	w.t.Helper()
	_, err = w.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		a, err = w.s.Account(tx, email)
		return err
	})
	return a, err
}

func (w *world) exportAll(x AuditExport) (text string, err error) {
	w.t.Helper()
	var b bytes.Buffer
	_, err = w.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) error { return w.s.ExportAudit(tx, &b, x) })
	return b.String(), err
}

func TestTheOperatorMakesAccountsWhereRegistrationIsClosed(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ClosedRegistration = true })
	if _, _, err := w.tryRegister("eve", "eve@example.com"); !errs.Is(err, errs.Forbidden) {
		t.Fatalf("registration is open: %v", err)
	}
	w.ConflictNext(1)
	made, err := w.createAccount("ann")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.login("ann@example.com", goodPassword); err != nil {
		t.Errorf("login: %v", err)
	}
	got, err := w.account(" Ann@Example.com")
	if err != nil {
		t.Fatal(err)
	}
	made.LastLogin = w.Now() / 1000
	want := Account{User: made, Memberships: []Membership{{1, "ann's Organization", Admin, w.Now() / 1000}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	for _, taken := range []string{"ann", "ANN"} {
		if _, err := w.createAccount(taken); !errs.Is(err, errs.Exists) {
			t.Errorf("%s once more: %v", taken, err)
		}
	}
	for _, email := range []string{"bob@example.com", "", strings.Repeat("x", 5000)} {
		if _, err := w.account(email); !errs.Is(err, errs.NotFound) {
			t.Errorf("account %.20q: %v", email, err)
		}
	}
}

// What the operator does is recorded as hers, not as the user's.
func TestWhatTheOperatorDoesIsRecorded(t *testing.T) {
	w := newWorld(t)
	if _, err := w.createAccount("ann"); err != nil {
		t.Fatal(err)
	}
	p, err := w.s.PrepareReset(t.Context(), "another "+goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(tx *kv.Tx, who Client) error{
		func(tx *kv.Tx, who Client) error { return w.s.ResetPassword(tx, "ann@example.com", p, who) },
		func(tx *kv.Tx, who Client) error {
			_, err := w.s.SetActive(tx, "ann@example.com", false, who)
			return err
		},
	} {
		w.ConflictNext(1)
		if err := w.byOperator(do); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.exportAll(AuditExport{Format: AuditCSV})
	if err != nil {
		t.Fatal(err)
	}
	at := "2023-11-14T22:13:20Z,0,operator,,"
	var said []string
	for _, line := range strings.Split(strings.TrimSpace(got), "\n")[3:] {
		said = append(said, line[:strings.LastIndex(line, ",")])
	}
	if diff := cmp.Diff([]string{
		"o1,1,1," + at + `organization_created,create,organization,1,"{""name"":""ann's Organization""}",192.0.2.9`,
		"u1,1,101," + at + `user_created,create,user,1,"{""organization_created"":1,""registration"":false}",192.0.2.9`,
		"u1,2,102," + at + `user_updated,update,user,1,"{""password_changed"":true}",192.0.2.9`,
		"u1,3,103," + at + `user_updated,update,user,1,"{""is_active"":false}",192.0.2.9`,
	}, said); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestAPasswordThatIsResetRevokesTheToken(t *testing.T) {
	w := newWorld(t)
	_, token := w.register("ann")
	const next = "hedges fox 43 trots"
	reset := func(email, password string) error {
		p, err := w.s.PrepareReset(t.Context(), password)
		if err != nil {
			return err
		}
		return w.byOperator(func(tx *kv.Tx, who Client) error { return w.s.ResetPassword(tx, email, p, who) })
	}
	if err := reset("bob@example.com", next); !errs.Is(err, errs.NotFound) {
		t.Errorf("nobody's password: %v", err)
	}
	wantFields(t, reset("ann@example.com", "12345678"), FieldErrors{
		"password": {"This password is too common.", "This password is entirely numeric."},
	})
	if err := w.byOperator(func(tx *kv.Tx, who Client) error {
		return w.s.ResetPassword(tx, "ann@example.com", NewPassword{}, who)
	}); !errs.Is(err, errs.Internal) {
		t.Errorf("no password: %v", err)
	}
	if err := w.with(token, none); err != nil {
		t.Fatalf("before the reset: %v", err)
	}
	if err := reset("ANN@example.com ", next); err != nil {
		t.Fatal(err)
	}
	if err := w.with(token, none); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old token: %v", err)
	}
	if _, err := w.login("ann@example.com", goodPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := w.login("ann@example.com", next); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

func TestTheOperatorExportsAllChainsOrOne(t *testing.T) {
	w := newWorld(t)
	ann, _ := w.register("ann")
	w.register("bob")
	w.organization(ann.ID, "Acme")
	whole := func(f AuditFormat) string {
		text, err := w.exportAll(AuditExport{Format: f})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, f := range auditFormats {
		r, faults := verify(t, whole(f))
		var chains []string
		for _, h := range r.Heads {
			chains = append(chains, fmt.Sprint(h.Chain, " ", h.Number))
		}
		if diff := cmp.Diff([]string{"o1 1", "o2 1", "o3 1", "u1 1", "u2 1"}, chains); diff != "" || len(faults) > 0 {
			t.Errorf("%s: faults %q, chains (-want +got):\n%s", f, faults, diff)
		}
	}
	for _, tt := range []struct {
		x      AuditExport
		chain  string
		number uint64
	}{
		{AuditExport{Organization: 3}, "o3", 1}, {AuditExport{Account: "Bob@example.com"}, "u2", 1},
	} {
		tt.x.Format = AuditJSONL
		text, err := w.exportAll(tt.x)
		if err != nil {
			t.Fatal(err)
		}
		r, faults := verify(t, text)
		if len(faults) > 0 || len(r.Heads) != 1 || r.Heads[0].Chain != tt.chain || r.Heads[0].Number != tt.number {
			t.Errorf("%+v: heads %v, faults %q", tt.x, r.Heads, faults)
		}
		tt.x.HeadsOnly = true
		if heads, err := w.exportAll(tt.x); err != nil || !strings.HasPrefix(text, heads) || strings.Count(heads, "\n") != 1 {
			t.Errorf("heads %q, %v, of %q", heads, err, text)
		}
	}
	for _, tt := range []struct {
		x    AuditExport
		want errs.Kind
	}{
		{AuditExport{Format: AuditJSONL, Organization: 9}, errs.NotFound}, {AuditExport{Format: AuditJSONL, Account: "eve@example.com"}, errs.NotFound},
		{AuditExport{Format: "xml"}, errs.Invalid}, {AuditExport{Format: AuditCSV, Organization: 1, Account: "ann@example.com"}, errs.Invalid},
	} {
		if text, err := w.exportAll(tt.x); !errs.Is(err, tt.want) || text != "" {
			t.Errorf("%+v: %q, %v, want %v", tt.x, text, err, tt.want)
		}
	}
	if text, err := newWorld(t).exportAll(AuditExport{Format: AuditJSONL}); err != nil || text != "{\"audit_heads\":[]}\n" {
		t.Errorf("no chain at all: %q, %v", text, err)
	}
}

// The operator's export of a log that somebody has damaged in the store shows
// where.
func TestADamagedLogIsExportedAndFound(t *testing.T) {
	w := newWorld(t)
	ann, _ := w.register("ann")
	for range 3 {
		w.project(ann.ID, 1, "Web")
	}
	if err := w.byOperator(func(tx *kv.Tx, _ Client) error {
		tx.Delete(chain{organizationChain, 1}.entryKey(2))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	text, err := w.exportAll(AuditExport{Format: AuditJSONL})
	if err != nil {
		t.Fatal(err)
	}
	if _, faults := verify(t, text); len(faults) != 1 || !strings.Contains(faults[0], `chain "o1": entry 2: removed`) {
		t.Errorf("faults %q", faults)
	}
}
