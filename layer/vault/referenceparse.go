package vault

import (
	"strings"

	"github.com/coveydb/covey/layer/vault/dotenv"
)

// part is a part of a value: a text, or a reference if it has a key.
type part struct{ text, environment, key string }

// parseReferences returns the parts of a value, and no more than most of them.
func parseReferences(value string, most int) (parts []part) {
	from := 0 // where the text begins that is not in parts yet
	for i := 0; i < len(value) && len(parts) < most; {
		next := strings.IndexByte(value[i:], '$')
		if next < 0 {
			break
		}
		i += next
		environment, key, size := parseReference(value[i:])
		switch {
		case size > 0:
			if from < i {
				parts = append(parts, part{text: value[from:i]})
			}
			parts = append(parts, part{environment: environment, key: key})
			i += size
			from = i
		case strings.HasPrefix(value[i:], "$${"):
			if from < i {
				parts = append(parts, part{text: value[from:i]})
			}
			from = i + 1
			i += len("$${")
		default:
			i++
		}
	}
	if from < len(value) {
		parts = append(parts, part{text: value[from:]})
	}
	return parts
}

// parseReference reads the reference that a text begins with, and how long it
// is: 0 if there is none.
func parseReference(text string) (environment, key string, size int) {
	inside, ok := strings.CutPrefix(text, "${")
	if !ok {
		return "", "", 0
	}
	end, most := 0, min(len(inside), maxEnvironmentName+len(".")+maxKey+len("}"))
	for end < most && inNames(inside[end]) {
		end++
	}
	if end == most || inside[end] != '}' {
		return "", "", 0
	}
	key = inside[:end]
	if environment, key, ok = strings.Cut(key, "."); !ok {
		environment, key = "", environment
	} else if len(environment) > maxEnvironmentName || !environmentNames.MatchString(environment) {
		return "", "", 0
	}
	if len(key) > maxKey || !dotenv.ValidKey(key) {
		return "", "", 0
	}
	return environment, key, len("${") + end + len("}")
}

// inNames reports whether a byte may be in a reference. Looking for the end alone
// would go over the same text again and again where many begin and none ends.
func inNames(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		return true
	}
	return false
}
