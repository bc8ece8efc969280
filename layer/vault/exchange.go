package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault/dotenv"
)

// Format is a form in which the variables of an environment come and go.
type Format string

// The formats. Auto is for imports only: the content decides.
const (
	FormatEnv  Format = "env"
	FormatJSON Format = "json"
	FormatYAML Format = "yaml"
	FormatAuto Format = "auto"
)

const textFormat = "Invalid format. Supported formats: env, json, yaml"

// FormatOf returns the format of a file by its name.
func FormatOf(filename string) Format {
	switch name := strings.ToLower(filename); {
	case strings.HasSuffix(name, ".json"):
		return FormatJSON
	case strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".yml"):
		return FormatYAML
	}
	return FormatEnv
}

// detect returns the format of a text: JSON begins with a brace, YAML with its
// document marker. Such a marker further down may be part of a PEM key.
func detect(text string) Format {
	text = strings.TrimSpace(text)
	line, _, _ := strings.Cut(text, "\n")
	switch {
	case strings.HasPrefix(text, "{"):
		return FormatJSON
	case strings.TrimSpace(line) == "---":
		return FormatYAML
	}
	return FormatEnv
}

// Bounds of an import.
const (
	MaxImport   = 10 << 20 // bytes of the file
	MaxImported = 1000     // variables
	maxFailed   = 1000     // rejected lines that are reported one by one
)

// FailedLine is a line of a .env file that is not imported, and why. It holds
// no value.
type FailedLine struct {
	Line  int    `json:"line"`
	Key   string `json:"key"`
	Error string `json:"error"`
}

// pair is a variable outside of the store.
type pair struct{ key, value string }

// imported is what was read: the pairs in the order in which their keys first
// came, and the lines that were not.
type imported struct {
	pairs  []pair
	failed []FailedLine
	more   int // failures beyond maxFailed
}

// DataErrors is what is wrong with the content of an import as a whole, as the
// client reads it: errs.Invalid. It holds keys and no values.
type DataErrors []string

func (d DataErrors) Error() string { return strings.Join(d, "; ") }

// Unwrap gives the error its kind and the text of the envelope.
func (d DataErrors) Unwrap() error {
	return &errs.Error{Kind: errs.Invalid, Msg: "Invalid environment data"}
}

// unreadable is the error for content that is not of its format. The reason
// quotes none of it.
func unreadable(format string, args ...any) error {
	return errs.E(errs.Invalid, "Failed to parse file content: "+format, args...)
}

// readImport reads the content of an import and checks all of it.
func readImport(f Format, text string) (*imported, error) {
	if len(text) > MaxImport {
		return nil, errs.E(errs.Invalid, "File too large. Maximum size is 10MB.")
	}
	if !utf8.ValidString(text) {
		return nil, unreadable("it is not UTF-8")
	}
	text = strings.TrimPrefix(text, "\ufeff")
	if f == FormatAuto {
		f = detect(text)
	}
	g := gathering{at: map[string]int{}, folded: map[string]string{}}
	var err error
	switch f {
	case FormatEnv, "":
		g.readEnv(text)
	case FormatJSON:
		err = g.readJSON(text)
	case FormatYAML:
		err = g.readYAML(text)
	default:
		err = errs.E(errs.Invalid, textFormat)
	}
	if err != nil {
		return nil, err
	}
	if len(g.problems) > 0 {
		return nil, g.problems
	}
	return &g.imported, nil
}

// gathering collects pairs; of one key the last value counts.
type gathering struct {
	imported
	at       map[string]int    // index in pairs
	folded   map[string]string // lower case -> the key that came first
	problems DataErrors
}

// maxProblems bounds the problems that one answer lists.
const maxProblems = 100

func (g *gathering) wrong(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); len(g.problems) < maxProblems && !slices.Contains(g.problems, text) {
		g.problems = append(g.problems, text)
	}
}

// add takes a pair whose key is valid. It returns false if reading on is of no
// use.
func (g *gathering) add(key, value string) bool {
	switch {
	case len(value) > MaxValue:
		g.wrong("Value for '%s' is too long (max %d bytes)", key, MaxValue)
	case strings.IndexByte(value, 0) >= 0:
		g.wrong("Value for '%s' contains a null character", key)
	}
	if i, ok := g.at[key]; ok {
		g.pairs[i].value = value
		return true
	}
	lower := strings.ToLower(key)
	if _, ok := g.folded[lower]; ok {
		g.wrong("Duplicate keys found (case-insensitive)")
	}
	if len(g.pairs) == MaxImported {
		g.wrong("Too many variables (max %d per environment)", MaxImported)
		return false
	}
	g.folded[lower], g.at[key] = key, len(g.pairs)
	g.pairs = append(g.pairs, pair{key, value})
	return true
}

// addChecked is add for formats where a bad key is a fault of the whole.
func (g *gathering) addChecked(key, value string) bool {
	switch {
	case strings.TrimSpace(key) == "":
		g.wrong("Key cannot be empty or whitespace only")
	case len(key) > dotenv.MaxKey:
		g.wrong("Key '%s…' is too long (max %d characters)", strings.ToValidUTF8(key[:20], ""), dotenv.MaxKey)
	case !dotenv.ValidKey(key):
		g.wrong("Invalid key format '%s': must start with letter/underscore, contain only letters/numbers/underscores", key)
	default:
		return g.add(key, value)
	}
	return true
}

func (g *gathering) readEnv(text string) {
	for l := range dotenv.Scan(text) {
		switch {
		case l.Problem == "":
			if !g.add(l.Key, l.Value) {
				return
			}
		case len(g.failed) == maxFailed:
			g.more++
		default:
			g.failed = append(g.failed, FailedLine{l.Number, l.Key, string(l.Problem)})
		}
	}
}

func (g *gathering) readJSON(text string) error {
	var whole json.RawMessage
	if err := json.Unmarshal([]byte(text), &whole); err != nil {
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) {
			return unreadable("it is not valid JSON")
		}
		before := text[:min(int(syntax.Offset), len(text))]
		return unreadable("it is not valid JSON: line %d", 1+strings.Count(before, "\n"))
	}
	d := json.NewDecoder(bytes.NewReader(whole))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		g.wrong("Environment data must be a dictionary/object")
		return nil
	}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return unreadable("it is not valid JSON")
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return unreadable("it is not valid JSON")
		}
		value, err := textOfJSON(raw)
		if err != nil {
			return unreadable("it is not valid JSON")
		}
		if halved(raw, value) {
			g.wrong("Value for '%s' contains half of a surrogate pair", strings.ToValidUTF8(key[:min(len(key), 20)], ""))
		}
		if !g.addChecked(key, value) {
			return nil
		}
	}
	return nil
}

// halved reports whether a replacement character came into the value that its
// JSON does not have: the decoder puts it where an escape means no character,
// and the secret would be another one.
func halved(raw json.RawMessage, value string) bool {
	const replacement = "\ufffd"
	return strings.Contains(value, replacement) && !bytes.Contains(raw, []byte(replacement)) &&
		!bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`))
}

// textOfJSON returns the value of a variable: a string is itself, null is
// empty, anything else its compact JSON.
func textOfJSON(raw json.RawMessage) (string, error) {
	var s string
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '"':
		err := json.Unmarshal(raw, &s)
		return s, err
	case 'n':
		return "", nil
	}
	var b bytes.Buffer
	err := json.Compact(&b, raw)
	return b.String(), err
}
