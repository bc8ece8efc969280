package vault

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// uses are what is stored of the uses of the first token.
func (r *rig) uses() (row usesRow) {
	r.t.Helper()
	_, err := r.DB.View(r.t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		row, err = readUses(tx, 1)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return row
}

// use lets a token in, and tells the Recorder, which has stored that when it
// returns.
func (r *rig) use(recorder *Recorder, text string) {
	r.t.Helper()
	var u Use
	if err := r.by(text, "", func(s *Session) error { u = s.Use(); return nil }); err != nil {
		r.t.Fatal(err)
	}
	recorder.Used(u)
	if _, err := recorder.Update(r.t.Context(), func(*kv.Tx) error { return nil }); err != nil { // behind it
		r.t.Fatal(err)
	}
}

func TestUsesAreStoredOnceAMinute(t *testing.T) {
	r := newRig(t)
	_, text := r.issue(r.admin)
	first, second := NewRecorder(r.DB), NewRecorder(r.DB) // of two nodes
	defer first.Close()
	defer second.Close()
	r.use(first, text)
	began := r.uses().Used
	if began != r.Now()/1000 {
		t.Fatalf("used at %d, stored is %d", r.Now()/1000, began)
	}
	r.Advance(59 * time.Second)
	r.use(first, text)
	r.use(second, text)
	if got := r.uses().Used; got != began {
		t.Errorf("within a minute: %d, want %d", got, began)
	}
	r.Advance(time.Second)
	r.use(first, text)
	if got := r.uses().Used; got != began+60 {
		t.Errorf("after a minute: %d, want %d", got, began+60)
	}
	r.must(r.admin, func(s *Session) error {
		shown, err := s.ServiceToken(1)
		if shown.LastUsed != began+60 {
			t.Errorf("shown as used at %d", shown.LastUsed)
		}
		return err
	})
	// Who is no service token has no uses, and a revoked one none that are kept.
	first.Used(Use{})
	r.must(r.admin, func(s *Session) error { return s.RevokeServiceToken(1) })
	r.Advance(time.Minute)
	second.Used(Use{1, r.Now() / 1000})
	if _, err := second.Update(t.Context(), func(*kv.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := r.uses(); got != (usesRow{}) {
		t.Errorf("a revoked token has %+v", got)
	}
}

func TestRefusalsAreRecordedOnceAMinute(t *testing.T) {
	r := newRig(t)
	_, text := r.issue(r.admin, func(f *ServiceTokenFields) { f.ExpiresIn, f.Networks = ptr("1h"), []string{"10.0.0.0/8"} })
	first, second := NewRecorder(r.DB), NewRecorder(r.DB)
	defer first.Close()
	defer second.Close()
	refuse := func(recorder *Recorder) {
		t.Helper()
		var refused *Refused
		if err := r.enters(text, "192.0.2.1"); !errors.As(err, &refused) {
			t.Fatalf("let in, or unknown: %v", err)
		}
		if err := recorder.Refused(t.Context(), refused); err != nil {
			t.Fatal(err)
		}
	}
	reasons := func() (all []string) {
		for _, e := range r.entries() {
			if e.Action == "service_token_refused" {
				all = append(all, string(e.Details))
				if e.ServiceToken != 1 || e.TargetID != 1 || e.IPAddress != "192.0.2.1" || e.UserName != "service token ci" {
					t.Errorf("entry %+v", e)
				}
			}
		}
		return all
	}
	want := []string{`{"name":"ci","reason":"address"}`}
	refuse(first)
	refuse(first)
	r.Advance(59 * time.Second)
	refuse(second)
	if diff := cmp.Diff(want, reasons()); diff != "" {
		t.Errorf("within a minute (-want +got):\n%s", diff)
	}
	r.Advance(time.Hour)
	refuse(second)
	want = append(want, `{"name":"ci","reason":"expired"}`)
	r.must(r.admin, func(s *Session) error { return s.RevokeServiceToken(1) })
	r.Advance(time.Minute)
	refuse(first)
	want = append(want, `{"name":"ci","reason":"revoked"}`)
	if diff := cmp.Diff(want, reasons()); diff != "" {
		t.Errorf("in all (-want +got):\n%s", diff)
	}
	// One that could not be recorded is recorded by the next one.
	r.Advance(time.Minute)
	second.Close()
	var refused *Refused
	if err := r.enters(text, "192.0.2.1"); !errors.As(err, &refused) {
		t.Fatal(err)
	}
	wantKind(t, second.Refused(t.Context(), refused), errs.Unavailable)
	if !second.refusals.take(1, refused.at) {
		t.Error("a refusal that was not recorded counts as recorded")
	}
}
