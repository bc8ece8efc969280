package vault

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

func TestFieldErrors(t *testing.T) {
	f := FieldErrors{}
	if f.Err() != nil {
		t.Errorf("nothing is wrong, but %v", f.Err())
	}
	f.Add("name", "Too short.")
	f.Add("name", "Too plain.")
	f.Add("key", "Missing.")
	wrapped := fmt.Errorf("create: %w", f.Err())
	if got, want := f.Error(), "key: Missing.; name: Too short. Too plain."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	wantError(t, wrapped, errs.Invalid, "Validation failed")
	wantFields(t, wrapped, f)
	taken := duplicate("name", "Taken.")
	wantError(t, taken, errs.Exists, "Taken.")
	wantFields(t, taken, FieldErrors{"name": {"Taken."}})
}

func TestTypeOfEnvironmentIsNotRepeatedWhenLong(t *testing.T) {
	f := FieldErrors{}
	checkEnvironmentType(f, strings.Repeat("x", 101))
	if diff := cmp.Diff(FieldErrors{"environment_type": {"Ensure this field has no more than 100 characters."}}, f); diff != "" {
		t.Error(diff)
	}
}

func TestTextsThatAreNotWhatTheySeem(t *testing.T) {
	for _, name := range []string{"a\nb", "a\x1b[2Jb", "a\u2028b", "a\u202egnp", "\u2066ab", "a\xffb", "a\x00b", "Acme\u200b", "\ufeffAcme", "\u00ad\u00ad", "\u3164\u3164", "\U000e0041x"} {
		f := FieldErrors{}
		checkOrganizationName(f, name)
		if diff := cmp.Diff(FieldErrors{"name": {textControl}}, f); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
	f := FieldErrors{}
	if checkOrganizationName(f, "Café 東京 \u200dמשרד"); len(f) > 0 {
		t.Errorf("letters of other scripts: %v", f)
	}
	f, bad := FieldErrors{}, "a\xff"
	if checkDescription(f, &bad); cmp.Diff(FieldErrors{"description": {textNotText}}, f) != "" {
		t.Errorf("a description that is not UTF-8: %v", f)
	}
}

// A name that passes is short, has nothing that breaks a line, and is stored
// as it would be again.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"", " Acme ", "Ada's Organization", "a\r\nB=c", "PROD", "x\u2028y", "\xff\xfe", "\u00a0ab\u00a0", "K\u212a", "İstanbul"} {
		f.Add(seed)
	}
	checks := map[string]func(FieldErrors, string) string{
		"organization": checkOrganizationName, "project": checkProjectName, "environment": checkEnvironmentName,
	}
	f.Fuzz(func(t *testing.T, name string) {
		for what, check := range checks {
			wrong := FieldErrors{}
			stored := check(wrong, name)
			if len(wrong) > 0 {
				if !errors.As(wrong.Err(), new(*errs.Error)) {
					t.Errorf("%s %q: an error without a kind", what, name)
				}
				continue
			}
			if again := check(wrong, stored); again != stored || len(wrong) > 0 {
				t.Errorf("%s %q is stored as %q, then as %q: %v", what, name, stored, again, wrong)
			}
			if n := utf8.RuneCountInString(stored); n < minName || n > maxName || strings.ContainsFunc(stored, unprintable) {
				t.Errorf("%s %q passed", what, stored)
			}
		}
	})
}
