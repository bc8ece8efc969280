package dotenv

import (
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Style is how values are quoted.
type Style string

// The styles.
const (
	Default Style = "default" // as little as readers of .env files need
	Shell   Style = "shell"   // single quotes; safe to source in a POSIX shell
	Docker  Style = "docker"  // no quotes at all, as env files of containers want it
)

// ParseStyle returns the style of a name; an empty one is Default.
func ParseStyle(name string) (Style, error) {
	switch s := Style(name); s {
	case "":
		return Default, nil
	case Default, Shell, Docker:
		return s, nil
	}
	return "", errs.E(errs.Invalid, "Invalid style. Supported styles: default, shell, docker")
}

// Append appends KEY=value and a line feed to dst. The key is valid by
// ValidKey, the value is UTF-8 without NUL. A value that the style cannot
// express, which is one with a line break in Docker's, is errs.Invalid.
func Append(dst []byte, s Style, key, value string) ([]byte, error) {
	broken := strings.ContainsAny(value, "\n\r")
	if s == Docker && broken {
		return dst, errs.E(errs.Invalid, "The value of %s has a line break, which the docker style cannot express.", key)
	}
	dst = append(append(dst, key...), '=')
	switch {
	case s == Docker, s == Default && plain(value):
		dst = append(dst, value...)
	case s == Shell:
		dst = append(dst, '\'')
		dst = append(dst, strings.ReplaceAll(value, `'`, shellQuote)...)
		dst = append(dst, '\'')
	case !broken && !strings.ContainsAny(value, "\"$\\`"):
		dst = append(append(append(dst, '"'), value...), '"')
	case !broken && !strings.Contains(value, `'`):
		dst = append(append(append(dst, '\''), value...), '\'')
	default:
		dst = appendEscaped(dst, value)
	}
	return append(dst, '\n'), nil
}

// plain reports whether a value needs no quotes anywhere.
func plain(value string) bool {
	for i := range len(value) {
		if c := value[i]; !alphanumeric(c) && strings.IndexByte("_./:@%+,=-", c) < 0 {
			return false
		}
	}
	return true
}

// appendEscaped appends value in double quotes with escapes that unescape undoes.
func appendEscaped(dst []byte, value string) []byte {
	dst = append(dst, '"')
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\', '"', '$', '`':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
