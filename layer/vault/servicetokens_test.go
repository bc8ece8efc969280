package vault

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// issue makes a service token of the environment, to read and to write, unless
// change says otherwise.
func (r *rig) issue(user uint64, change ...func(*ServiceTokenFields)) (t ServiceToken, text string) {
	r.t.Helper()
	fields := ServiceTokenFields{Name: ptr("ci"), Environment: &r.env, Write: true}
	for _, c := range change {
		c(&fields)
	}
	r.must(user, func(s *Session) (err error) {
		t, text, err = s.CreateServiceToken(fields)
		return err
	})
	return t, text
}

// ofProject changes the scope of a new token.
func ofProject(id uint64) func(*ServiceTokenFields) {
	return func(f *ServiceTokenFields) { f.Environment, f.Project = nil, &id }
}

// by runs fn in an Update as whoever a token lets in, from an address.
func (w *world) by(token, ip string, fn func(*Session) error) error {
	w.t.Helper()
	draw := NewDraw()
	_, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		s, err := w.s.As(tx, auth.Credential{Value: token}, Client{IP: ip, Draw: draw})
		if err != nil {
			return err
		}
		return fn(s)
	})
	return err
}

// enters returns the error of the door.
func (w *world) enters(token, ip string) error {
	return w.by(token, ip, func(*Session) error { return nil })
}

// listed are the names of the service tokens that a user sees.
func (r *rig) listed(user uint64, f ServiceTokenFilter) (names []string) {
	r.t.Helper()
	r.must(user, func(s *Session) error {
		page, err := s.ServiceTokens(f, Paging{})
		names = nil
		for _, t := range page.Items {
			names = append(names, t.Name)
		}
		return err
	})
	return names
}

func TestServiceTokenIsMadeListedRenamedAndRevoked(t *testing.T) {
	r := newRig(t)
	made, text := r.issue(r.editor)
	if len(text) != len(ServicePrefix)+2*tokenSize || !strings.HasPrefix(text, ServicePrefix) {
		t.Errorf("the text has %d characters", len(text))
	}
	want := ServiceToken{ID: 1, Name: "ci", Organization: r.organization, Environment: r.env, Created: made.Created, Creator: r.editor, Active: true}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	if err := r.enters(text, "192.0.2.1"); err != nil {
		t.Errorf("a fresh token: %v", err)
	}
	r.must(r.editor, func(s *Session) error {
		got, err := s.RenameServiceToken(1, ptr(" deploy "))
		if got.Name != "deploy" {
			t.Errorf("renamed to %q", got.Name)
		}
		return err
	})
	r.must(r.editor, func(s *Session) error { return s.RevokeServiceToken(1) })
	wantError(t, bare(r.enters(text, "192.0.2.1")), errs.Unauthenticated, textInvalidToken)
	if names := r.listed(r.admin, ServiceTokenFilter{}); names != nil {
		t.Errorf("a revoked token is listed: %q", names)
	}
	wantKind(t, r.as(r.admin, func(s *Session) error { return s.RevokeServiceToken(1) }), errs.NotFound)
	if diff := cmp.Diff([]string{"service_token_created", "service_token_updated", "service_token_deleted"}, r.told("service_token")); diff != "" {
		t.Errorf("the audit log (-want +got):\n%s", diff)
	}
}

// bare returns the error that a Refused is.
func bare(err error) error {
	var refused *Refused
	if errors.As(err, &refused) {
		return refused.err
	}
	return err
}

// told are the actions on a type of target in the organization's chain.
func (r *rig) told(target string) (actions []string) {
	r.t.Helper()
	for _, e := range r.entries() {
		if e.TargetType == target {
			actions = append(actions, e.Action)
		}
	}
	return actions
}

// entries are those of the organization's chain.
func (r *rig) entries() (all []AuditEntry) {
	r.t.Helper()
	_, err := r.DB.View(r.t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		c := chain{organizationChain, r.organization}
		head, err := c.head(tx)
		all = nil
		for n := uint64(1); err == nil && n <= head.Number; n++ {
			var e *AuditEntry
			if e, err = c.entry(tx, n); err == nil {
				all = append(all, *e)
			}
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func TestServiceTokensAreManagedByRole(t *testing.T) {
	r := newRig(t)
	r.issue(r.admin, func(f *ServiceTokenFields) { f.Name = ptr("of ada") })
	r.issue(r.editor, func(f *ServiceTokenFields) { f.Name = ptr("of ed") })
	for user, want := range map[uint64][]string{r.admin: {"of ada", "of ed"}, r.editor: {"of ed"}, r.viewer: nil, r.stranger: nil} {
		if diff := cmp.Diff(want, r.listed(user, ServiceTokenFilter{})); diff != "" {
			t.Errorf("user %d lists (-want +got):\n%s", user, diff)
		}
	}
	calls := map[string]func(*Session, uint64) error{
		"show":   func(s *Session, id uint64) error { _, err := s.ServiceToken(id); return err },
		"rename": func(s *Session, id uint64) error { _, err := s.RenameServiceToken(id, ptr("mine")); return err },
		"revoke": func(s *Session, id uint64) error { return s.RevokeServiceToken(id) },
	}
	for name, call := range calls {
		for user, kind := range map[uint64]errs.Kind{r.editor: errs.NotFound, r.viewer: errs.Forbidden, r.stranger: errs.NotFound} {
			if err := r.as(user, func(s *Session) error { return call(s, 1) }); !errs.Is(err, kind) {
				t.Errorf("%s of the admin's token by user %d: %v, want %v", name, user, err, kind)
			}
		}
	}
	create := func(s *Session) error {
		_, _, err := s.CreateServiceToken(ServiceTokenFields{Name: ptr("ci"), Environment: &r.env})
		return err
	}
	wantKind(t, r.as(r.viewer, create), errs.Forbidden)
	wantFields(t, r.as(r.stranger, create), FieldErrors{"environment": {`Invalid pk "1" - object does not exist.`}})
	// Who becomes a viewer manages none any more, its own included; they go on.
	r.must(r.admin, func(s *Session) error { _, _, err := s.ChangeRole(r.organization, "3", "viewer"); return err })
	if names := r.listed(r.editor, ServiceTokenFilter{}); names != nil {
		t.Errorf("a viewer lists %q", names)
	}
}

func TestServiceTokenFilters(t *testing.T) {
	r := newRig(t)
	other := r.project(r.admin, r.organization, "Other")
	r.issue(r.admin)
	r.issue(r.admin, func(f *ServiceTokenFields) { f.Name = ptr("whole") }, ofProject(1))
	r.issue(r.admin, func(f *ServiceTokenFields) { f.Name = ptr("other") }, ofProject(other))
	second := r.world.organization(r.admin, "Second")
	r.issue(r.admin, func(f *ServiceTokenFields) { f.Name = ptr("second") }, ofProject(r.project(r.admin, second, "PP")))
	for name, tt := range map[string]struct {
		filter ServiceTokenFilter
		want   []string
	}{
		"none":            {ServiceTokenFilter{}, []string{"ci", "whole", "other", "second"}},
		"organization":    {ServiceTokenFilter{Organization: second}, []string{"second"}},
		"no organization": {ServiceTokenFilter{Organization: 99}, nil},
		"project":         {ServiceTokenFilter{Project: 1}, []string{"ci", "whole"}},
		"environment":     {ServiceTokenFilter{Environment: r.env}, []string{"ci"}},
		"both":            {ServiceTokenFilter{Project: other, Environment: r.env}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, r.listed(r.admin, tt.filter)); diff != "" {
				t.Errorf("listed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceTokenFields(t *testing.T) {
	r := newRig(t)
	env, project, missing := r.env, uint64(1), uint64(99)
	const one = "Exactly one of project and environment must be given."
	for name, tt := range map[string]struct {
		change func(*ServiceTokenFields)
		want   FieldErrors
	}{
		"no name":      {func(f *ServiceTokenFields) { f.Name = nil }, FieldErrors{"name": {textRequired}}},
		"blank name":   {func(f *ServiceTokenFields) { f.Name = ptr("  ") }, FieldErrors{"name": {textBlank}}},
		"long name":    {func(f *ServiceTokenFields) { f.Name = ptr(strings.Repeat("x", 101)) }, FieldErrors{"name": {textTooLong(100)}}},
		"control name": {func(f *ServiceTokenFields) { f.Name = ptr("a\nb") }, FieldErrors{"name": {textControl}}},
		"no scope":     {func(f *ServiceTokenFields) { f.Environment = nil }, FieldErrors{"non_field_errors": {one}}},
		"two scopes":   {func(f *ServiceTokenFields) { f.Project = &project }, FieldErrors{"non_field_errors": {one}}},
		"no such one":  {func(f *ServiceTokenFields) { f.Environment = &missing }, FieldErrors{"environment": {`Invalid pk "99" - object does not exist.`}}},
		"two ends":     {func(f *ServiceTokenFields) { f.Expires, f.ExpiresIn = ptr("2030-01-01T00:00:00Z"), ptr("1d") }, FieldErrors{"expires_in": {textOneEnd}}},
		"bad time":     {func(f *ServiceTokenFields) { f.Expires = ptr("tomorrow") }, FieldErrors{"expires_at": {textBadTime}}},
		"empty time":   {func(f *ServiceTokenFields) { f.Expires = ptr("") }, FieldErrors{"expires_at": {textBadTime}}},
		"past":         {func(f *ServiceTokenFields) { f.Expires = ptr("2023-11-14T22:13:20Z") }, FieldErrors{"expires_at": {textPast}}},
		"too far":      {func(f *ServiceTokenFields) { f.Expires = ptr("2200-01-01T00:00:00Z") }, FieldErrors{"expires_at": {textFar}}},
		"bad lifetime": {func(f *ServiceTokenFields) { f.ExpiresIn = ptr("soon") }, FieldErrors{"expires_in": {textBadLifetime}}},
		"no lifetime":  {func(f *ServiceTokenFields) { f.ExpiresIn = ptr("0d") }, FieldErrors{"expires_in": {textBadLifetime}}},
		"long life":    {func(f *ServiceTokenFields) { f.ExpiresIn = ptr("101y") }, FieldErrors{"expires_in": {textFar}}},
		"bad network":  {func(f *ServiceTokenFields) { f.Networks = []string{"10.0.0.0/8", "here"} }, FieldErrors{"allowed_networks": {`"here" is no address, and no network such as 10.0.0.0/8.`}}},
		"networks":     {func(f *ServiceTokenFields) { f.Networks = make([]string, 51) }, FieldErrors{"allowed_networks": {"Ensure this field has no more than 50 entries."}}},
	} {
		t.Run(name, func(t *testing.T) {
			fields := ServiceTokenFields{Name: ptr("ci"), Environment: &env}
			tt.change(&fields)
			wantFields(t, r.as(r.admin, func(s *Session) error { _, _, err := s.CreateServiceToken(fields); return err }), tt.want)
		})
	}
	if n := r.keys(serviceTokenByte) + r.keys(serviceHashByte); n != 0 {
		t.Errorf("%d keys are left of what was refused", n)
	}
}

func TestServiceTokensAreBounded(t *testing.T) {
	r := newRig(t)
	_, err := r.DB.Update(t.Context(), func(tx *kv.Tx) error {
		addCount(tx, countServiceTokens, r.organization, MaxServiceTokens-1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.issue(r.admin)
	wantFields(t, r.as(r.admin, func(s *Session) error {
		_, _, err := s.CreateServiceToken(ServiceTokenFields{Name: ptr("ci"), Environment: &r.env})
		return err
	}), FieldErrors{"non_field_errors": {limits[countServiceTokens].text}})
	r.must(r.admin, func(s *Session) error { return s.RevokeServiceToken(1) })
	r.issue(r.admin)
}

// Creation and revocation run again after a conflict and take effect once.
func TestServiceTokenOnceDespiteConflicts(t *testing.T) {
	r := newRig(t)
	r.ConflictNext(1)
	made, text := r.issue(r.admin)
	if made.ID != 1 || r.keys(serviceHashByte) != 1 || r.keys(serviceTokensByte) != 1 {
		t.Errorf("id %d, %d hashes, %d in lists", made.ID, r.keys(serviceHashByte), r.keys(serviceTokensByte))
	}
	if err := r.enters(text, ""); err != nil {
		t.Errorf("the token that was shown: %v", err)
	}
	r.ConflictNext(1)
	r.must(r.admin, func(s *Session) error { return s.RevokeServiceToken(1) })
	r.must(r.admin, func(s *Session) error {
		n, err := readCount(s.tx, countServiceTokens, r.organization)
		if n != 0 {
			t.Errorf("%d are counted", n)
		}
		return err
	})
	if got := r.told("service_token"); len(got) != 2 {
		t.Errorf("the audit log tells %q", got)
	}
}

// A token that is revoked while it writes: the write is not committed.
func TestRevokedWhileItWrites(t *testing.T) {
	r := newRig(t)
	_, text := r.issue(r.admin)
	runs := 0
	err := r.by(text, "", func(s *Session) error {
		if runs++; runs == 1 {
			r.must(r.admin, func(s *Session) error { return s.RevokeServiceToken(1) })
		}
		_, err := s.CreateVariable(VariableFields{Key: ptr("A"), Environment: &r.env})
		return err
	})
	wantKind(t, err, errs.Unauthenticated)
	if runs != 1 || r.count() != 0 {
		t.Errorf("%d runs behind the door, %d variables", runs, r.count())
	}
}
