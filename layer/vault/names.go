package vault

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
)

// FieldErrors is what is wrong with the fields of a request: texts by field, as
// the client reads them. As an error it is errs.Invalid, unless it is the cause
// of another one: a duplicate is errs.Exists with FieldErrors inside.
type FieldErrors map[string][]string

// Error names the fields, in order, with their texts. The texts never quote a
// secret.
func (f FieldErrors) Error() string {
	parts := make([]string, 0, len(f))
	for _, field := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, field+": "+strings.Join(f[field], " "))
	}
	return strings.Join(parts, "; ")
}

// Unwrap gives the error its kind and the text of the envelope.
func (f FieldErrors) Unwrap() error { return &errs.Error{Kind: errs.Invalid, Msg: "Validation failed"} }

// Add appends a text to a field.
func (f FieldErrors) Add(field, text string) { f[field] = append(f[field], text) }

// Err returns f, or nil if nothing is wrong.
func (f FieldErrors) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// duplicate is the error for a field whose value is taken.
func duplicate(field, text string) error {
	return &errs.Error{Kind: errs.Exists, Msg: text, Err: FieldErrors{field: {text}}}
}

// Texts of validation that several fields share.
const (
	textRequired = "This field is required."
	textBlank    = "This field may not be blank."
	textControl  = "Control characters are not allowed."
	textNUL      = "Null characters are not allowed."
	textNotText  = "Not a valid string."
)

// textTooLong is the text for a field of more than n characters.
func textTooLong(n int) string {
	return fmt.Sprintf("Ensure this field has no more than %d characters.", n)
}

// textTooShort is the text for a field of fewer than n characters.
func textTooShort(n int) string {
	return fmt.Sprintf("Ensure this field has at least %d characters.", n)
}

// textChoice is the text for a value that is none of the choices.
func textChoice(value string) string { return fmt.Sprintf("%q is not a valid choice.", value) }

// unknown takes the error of opening what a body names by its id. That it is
// not there, or not for the caller, is what is wrong with the field.
func (f FieldErrors) unknown(field string, id uint64, err error) error {
	if errs.Is(err, errs.NotFound) {
		f.Add(field, fmt.Sprintf("Invalid pk %q - object does not exist.", fmt.Sprint(id)))
		return nil
	}
	return err
}

// immovable says what is wrong with a body that names another owner than
// something has; err is that of opening it. It tells nothing about owners that
// are not for the caller.
func (f FieldErrors) immovable(field string, id uint64, err error, text string) error {
	if err == nil {
		f.Add(field, text)
	}
	return f.unknown(field, id, err)
}

// Bounds of texts, in characters.
const (
	minName            = 2
	maxName            = 255
	maxEnvironmentName = 100
	maxDescription     = 10_000
)

var (
	projectNames     = regexp.MustCompile(`^[a-zA-Z0-9 \-_.]+$`)
	environmentNames = regexp.MustCompile(`^[a-zA-Z0-9\-_]+$`)
)

// checkName returns a name as it is stored, of something that what names: at
// least minName and at most most characters. Otherwise text tells what passes.
func checkName(f FieldErrors, what, name string, most int, passes func(string) bool, text string) string {
	name = strings.TrimSpace(name)
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		f.Add("name", textBlank)
	case n < minName:
		f.Add("name", what+" name must be at least 2 characters long.")
	case n > most:
		f.Add("name", textTooLong(most))
	case !passes(name):
		f.Add("name", text)
	}
	return name
}

func checkOrganizationName(f FieldErrors, name string) string {
	return checkName(f, "Organization", name, maxName, func(s string) bool { return !strings.ContainsFunc(s, unprintable) }, textControl)
}

func checkProjectName(f FieldErrors, name string) string {
	return checkName(f, "Project", name, maxName, projectNames.MatchString,
		"Project name can only contain letters, numbers, spaces, hyphens, underscores, and dots.")
}

func checkEnvironmentName(f FieldErrors, name string) string {
	return strings.ToLower(checkName(f, "Environment", name, maxEnvironmentName, environmentNames.MatchString,
		"Environment name can only contain letters, numbers, hyphens, and underscores."))
}

// checkGiven is check for a name that a request may have; whole tells that it
// must have it.
func checkGiven(f FieldErrors, name *string, whole bool, stored *string, check func(FieldErrors, string) string) {
	switch {
	case name != nil:
		*stored = check(f, *name)
	case whole:
		f.Add("name", textRequired)
	}
}

// EnvironmentTypes are the types that an environment can have; the first one is
// the default.
func EnvironmentTypes() []string {
	return []string{"development", "staging", "production", "testing"}
}

// ValidEnvironmentType reports whether an environment can have a type.
func ValidEnvironmentType(t string) bool { return slices.Contains(EnvironmentTypes(), t) }

func checkEnvironmentType(f FieldErrors, t string) {
	switch {
	case utf8.RuneCountInString(t) > maxEnvironmentName: // not to be repeated in the answer
		f.Add("environment_type", textTooLong(maxEnvironmentName))
	case !ValidEnvironmentType(t):
		f.Add("environment_type", textChoice(t))
	}
}

func checkDescription(f FieldErrors, d *string) {
	switch {
	case d == nil:
	case !utf8.ValidString(*d):
		f.Add("description", textNotText)
	case utf8.RuneCountInString(*d) > maxDescription:
		f.Add("description", textTooLong(maxDescription))
	case strings.ContainsRune(*d, 0):
		f.Add("description", textNUL)
	}
}

// unprintable reports whether r could break a line, steer a terminal, show what
// follows in another order, or make two names that look the same. Also what is
// no UTF-8 is: it would be stored as something else. The two joiners are letters
// of some scripts.
func unprintable(r rune) bool {
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Zl, unicode.Zp) || r == utf8.RuneError
}
