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

// textUnknown is the text for an id in a body that is not there, or not for
// the caller.
func textUnknown(id uint64) string {
	return fmt.Sprintf("Invalid pk %q - object does not exist.", fmt.Sprint(id))
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

// checkOrganizationName returns a name as it is stored.
func checkOrganizationName(f FieldErrors, name string) string {
	name = strings.TrimSpace(name)
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		f.Add("name", textBlank)
	case n < minName:
		f.Add("name", "Organization name must be at least 2 characters long.")
	case n > maxName:
		f.Add("name", textTooLong(maxName))
	case strings.ContainsFunc(name, unprintable):
		f.Add("name", textControl)
	}
	return name
}

// checkProjectName returns a name as it is stored.
func checkProjectName(f FieldErrors, name string) string {
	name = strings.TrimSpace(name)
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		f.Add("name", textBlank)
	case n < minName:
		f.Add("name", "Project name must be at least 2 characters long.")
	case n > maxName:
		f.Add("name", textTooLong(maxName))
	case !projectNames.MatchString(name):
		f.Add("name", "Project name can only contain letters, numbers, spaces, hyphens, underscores, and dots.")
	}
	return name
}

// checkEnvironmentName returns a name as it is stored: in lower case.
func checkEnvironmentName(f FieldErrors, name string) string {
	name = strings.TrimSpace(name)
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		f.Add("name", textBlank)
	case n < minName:
		f.Add("name", "Environment name must be at least 2 characters long.")
	case n > maxEnvironmentName:
		f.Add("name", textTooLong(maxEnvironmentName))
	case !environmentNames.MatchString(name):
		f.Add("name", "Environment name can only contain letters, numbers, hyphens, and underscores.")
	}
	return strings.ToLower(name)
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
	case utf8.RuneCountInString(*d) > maxDescription:
		f.Add("description", textTooLong(maxDescription))
	case strings.ContainsRune(*d, 0):
		f.Add("description", textNUL)
	}
}

// unprintable reports whether r could break a line or steer a terminal. Also
// what is no UTF-8 is: it would be stored as something else.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}
