package nest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Variables are keys with their values.
type Variables map[string]string

// ParseVariables reads an export in JSON.
func ParseVariables(text []byte) (Variables, error) {
	var v Variables
	if json.Unmarshal(text, &v) != nil {
		return nil, errors.New("the export is not what was asked for") // the decoder's own words may hold a value
	}
	return v, nil
}

// Injection says how variables get into the environment of a command.
type Injection struct {
	Only      []string // keys; none = all
	Prefix    string   // put before each name
	Keep      bool     // what the caller's own environment has wins
	KeepToken bool     // the command gets the caller's KeyNest token too
}

// nameInEnvironment is what shells and programs take for a variable's name.
var nameInEnvironment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Environ returns environ with the variables in it, each name once, those of v
// behind the others in the order of their names. Names that a shell would not
// take, values that no environment can hold, and keys of Only that are not there
// are errors that name them all.
func (i Injection) Environ(environ []string, v Variables) ([]string, error) {
	keys, err := i.keys(v)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		own[name] = true
	}
	set := map[string]string{}
	var illegal, nul []string
	for _, key := range keys {
		name := i.Prefix + key
		switch {
		case !nameInEnvironment.MatchString(name):
			illegal = append(illegal, fmt.Sprintf("%q", name))
		case strings.ContainsRune(v[key], 0):
			nul = append(nul, name)
		case i.Keep && own[name]:
		default:
			set[name] = v[key]
		}
	}
	switch {
	case len(illegal) > 0:
		return nil, fmt.Errorf("no variable of an environment can be called %s", strings.Join(illegal, ", "))
	case len(nul) > 0:
		return nil, fmt.Errorf("no environment can hold the values of %s, which have a NUL", strings.Join(nul, ", "))
	}
	out := make([]string, 0, len(environ)+len(set))
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if _, ok := set[name]; !ok && (i.KeepToken || name != EnvToken) {
			out = append(out, kv)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		out = append(out, name+"="+set[name])
	}
	return out, nil
}

func (i Injection) keys(v Variables) ([]string, error) {
	if len(i.Only) == 0 {
		return slices.Sorted(maps.Keys(v)), nil
	}
	var missing []string
	for _, key := range i.Only {
		if _, ok := v[key]; !ok {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("the environment has no variable %s", strings.Join(missing, ", "))
	}
	return slices.Compact(slices.Sorted(slices.Values(i.Only))), nil
}
