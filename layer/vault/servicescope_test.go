package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func TestScopesThatGoTakeTheirTokens(t *testing.T) {
	for name, tt := range map[string]struct {
		gone func(*rig, *Session) error
		want []bool // which of the tokens work then: environment, its project, other environment, other project
	}{
		"environment": {func(r *rig, s *Session) error { return s.DeleteEnvironment(r.env) }, []bool{false, true, true, true}},
		"project":     {func(_ *rig, s *Session) error { return s.DeleteProject(1) }, []bool{false, false, false, true}},
		"a move": {func(_ *rig, s *Session) error {
			_, err := s.UpdateProject(1, ProjectFields{Organization: ptr(uint64(2))})
			return err
		}, []bool{false, false, false, true}},
		"organization": {func(r *rig, s *Session) error { return s.DeleteOrganization(r.organization) }, []bool{false, false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.world.organization(r.admin, "Second")
			scopes := []func(*ServiceTokenFields){
				func(*ServiceTokenFields) {}, ofProject(1),
				func(f *ServiceTokenFields) { f.Environment = ptr(r.environment(r.admin, 1, "staging")) },
				ofProject(r.project(r.admin, r.organization, "Other")),
			}
			var texts []string
			for _, scope := range scopes {
				_, text := r.issue(r.admin, scope)
				texts = append(texts, text)
			}
			r.must(r.admin, func(s *Session) error { return tt.gone(r, s) })
			left := 0
			for i, text := range texts {
				err := r.enters(text, "")
				if works := err == nil; works != tt.want[i] || err != nil && !errs.Is(err, errs.Unauthenticated) {
					t.Errorf("token %d: %v, want it to work %t", i+1, err, tt.want[i])
				}
				if tt.want[i] {
					left++
				}
			}
			if n := r.keys(serviceTokensByte); n != left {
				t.Errorf("%d in lists, want %d", n, left)
			}
			if name == "organization" {
				if n := r.keys(serviceTokenByte) + r.keys(serviceHashByte) + r.keys(serviceUsesByte); n != 0 {
					t.Errorf("%d keys are left", n)
				}
			}
		})
	}
}

// A revoked token is forgotten in the end.
func TestRevokedTokensAreForgotten(t *testing.T) {
	r := newRig(t)
	_, text := r.issue(r.admin)
	r.must(r.admin, func(s *Session) error { return s.RevokeServiceToken(1) })
	var refused *Refused
	if !errors.As(r.enters(text, ""), &refused) {
		t.Error("a revoked token is not known as one")
	}
	r.Advance(keptRevoked + time.Second)
	err := r.enters(text, "")
	if errors.As(err, &refused) || !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("after %v: %v", keptRevoked, err)
	}
}

// Neither the text of a token nor its bytes are anywhere in the state.
func TestServiceTokensAreStoredAsHashesOnly(t *testing.T) {
	r := newRig(t)
	_, text := r.issue(r.admin)
	raw, err := hex.DecodeString(strings.TrimPrefix(text, ServicePrefix))
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	_, err = r.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			records++
			for _, form := range [][]byte{raw, []byte(text[len(ServicePrefix):])} {
				if bytes.Contains(rec.Key, form) || bytes.Contains(rec.Value, form) {
					t.Errorf("the token is in the record %q", rec.Key)
				}
			}
		}
		return nil
	})
	if err != nil || records == 0 {
		t.Fatalf("%d records, %v", records, err)
	}
}

// What is kept for repeats of a creation opens for its token only.
func TestSealedServiceToken(t *testing.T) {
	r := newRig(t)
	first, text := r.issue(r.admin)
	second, _ := r.issue(r.admin)
	r.must(r.admin, func(s *Session) error {
		sealed, err := s.SealServiceToken(first.ID, text)
		if err != nil {
			return err
		}
		if bytes.Contains(sealed, []byte(text[:8])) {
			t.Error("it is in clear")
		}
		if got, err := s.OpenServiceToken(first.ID, sealed); got != text || err != nil {
			t.Errorf("opened as %q, %v", got, err)
		}
		if _, err := s.OpenServiceToken(second.ID, sealed); err == nil {
			t.Error("it opens as that of another token")
		}
		if _, err := s.OpenServiceToken(999, sealed); !errs.Is(err, errs.NotFound) {
			t.Errorf("of a token that is not there: %v", err)
		}
		if _, err := s.OpenServiceToken(first.ID, sealed[:3]); !errs.Is(err, errs.Internal) {
			t.Errorf("cut off: %v", err)
		}
		return nil
	})
	r.s.cfg.Keyring = nil
	wantKind(t, r.as(r.admin, func(s *Session) error { _, err := s.SealServiceToken(first.ID, "x"); return err }), errs.Unavailable)
}
