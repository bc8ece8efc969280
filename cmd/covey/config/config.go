// Package config fills the flags of a command from the environment and a YAML
// file.
//
// A flag --data-dir is also COVEY_DATA_DIR and, in the file, data_dir. The flag
// on the command line wins over the environment, which wins over the file,
// which wins over the default; that several are set is never an error. A name
// in the file that no command knows is an error that suggests the nearest one.
//
// It never reads the environment or a file by itself beyond what Sources names,
// and never shows a value in an error when the name is that of a secret.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Prefix begins the name of every environment variable that Covey reads.
const Prefix = "COVEY_"

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// callOnly marks a flag that belongs to one call: it has no twin in the
// environment or the file.
const callOnly = "covey_call_only"

// Sources is where settings come from besides the command line.
type Sources struct {
	Environ []string // as os.Environ returns it; an empty value counts as unset
	File    string   // a YAML file; "" = none
}

// CallOnly takes the named flags of fs out of the environment and the file.
// It panics when a name is no flag of fs.
func CallOnly(fs *pflag.FlagSet, names ...string) {
	for _, name := range names {
		if err := fs.SetAnnotation(name, callOnly, []string{"true"}); err != nil {
			panic(err)
		}
	}
}

// IsSetting reports whether f can also be set by the environment and the file.
func IsSetting(f *pflag.Flag) bool {
	return f.Annotations[callOnly] == nil && f.Name != "help" && f.Name != "version" && f.Name != "config"
}

// EnvName returns the environment variable of a flag: COVEY_DATA_DIR.
func EnvName(flag string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// FileName returns the name of a flag in the file: data_dir.
func FileName(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// Lookup returns the value of a variable in environ, "" when it is unset.
func Lookup(environ []string, name string) string {
	for _, kv := range slices.Backward(environ) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// Apply sets every flag of fs that the command line left alone from src. known
// holds the names of the settings of all commands, so that one file can serve
// them all; a name in the file that is not among them is an error.
func Apply(fs *pflag.FlagSet, known []string, src Sources) error {
	file, err := readFile(src.File)
	if err != nil {
		return err
	}
	if len(file.bad) > 0 {
		return fmt.Errorf("configuration file %s: line %d: %s %s", src.File, file.bad[0].Line, file.bad[0].Name, file.bad[0].Text)
	}
	if unknown := file.unknown(known); len(unknown) > 0 {
		return fmt.Errorf("configuration file %s: %s", src.File, unknownText(unknown[0], known))
	}
	env := readEnviron(fs, src.Environ)
	k := koanf.New("\x00") // names are flat; no delimiter may split them
	for _, layer := range []layer{file.values, env} {
		if err := k.Load(layer, nil); err != nil {
			return err
		}
	}
	var failed error
	fs.VisitAll(func(f *pflag.Flag) {
		name := FileName(f.Name)
		if failed != nil || f.Changed || !IsSetting(f) || !k.Exists(name) {
			return
		}
		if err := fs.Set(f.Name, k.String(name)); err != nil {
			where := name + " in " + src.File
			if _, ok := env[name]; ok {
				where = EnvName(f.Name) + " in the environment"
			}
			failed = fmt.Errorf("%s: %w", where, invalid(f, err))
		}
	})
	return failed
}

// UnknownVariables returns the COVEY_ variables of environ that belong to no
// setting, each with the nearest known name in brackets if one is near. also
// names variables that are not flags.
func UnknownVariables(environ, known, also []string) []string {
	names := slices.Clone(also)
	for _, k := range known {
		names = append(names, EnvName(k))
	}
	var out []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, Prefix) || slices.Contains(names, name) {
			continue
		}
		if near := Nearest(name, names); near != "" {
			name += " (did you mean " + near + "?)"
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// layer is one source as koanf reads it.
type layer map[string]any

// ReadBytes is part of koanf.Provider and not used: a layer is parsed already.
func (l layer) ReadBytes() ([]byte, error) { return nil, errors.ErrUnsupported }

// Read returns the layer.
func (l layer) Read() (map[string]any, error) { return l, nil }

func readEnviron(fs *pflag.FlagSet, environ []string) layer {
	l := layer{}
	fs.VisitAll(func(f *pflag.Flag) {
		if v := Lookup(environ, EnvName(f.Name)); v != "" {
			l[FileName(f.Name)] = v
		}
	})
	return l
}

// readFile returns an empty document for no path.
func readFile(path string) (doc document, err error) {
	if path == "" {
		return doc, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return doc, fmt.Errorf("configuration file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return doc, fmt.Errorf("configuration file: %w", err)
	}
	if len(text) > maxFile {
		return doc, fmt.Errorf("configuration file %s is larger than %d bytes", path, maxFile)
	}
	if doc.values, doc.bad, err = parse(text); err != nil {
		return doc, fmt.Errorf("configuration file %s: %w", path, err)
	}
	doc.lines = lineNumbers(text)
	return doc, nil
}

// parse reads a flat YAML mapping of names to values or lists of values. bad are
// the names whose values are neither, in order of the lines.
func parse(text []byte) (l layer, bad []Problem, err error) {
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&root); errors.Is(err, io.EOF) {
		return layer{}, nil, nil
	} else if err != nil {
		return nil, nil, plainError(err)
	}
	if root.Content[0].Kind == yaml.ScalarNode && root.Content[0].Tag == "!!null" {
		return layer{}, nil, nil // nothing but "---"
	}
	if root.Content[0].Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("line %d: settings are needed, one a line, such as \"data_dir: /var/lib/covey\"", root.Content[0].Line)
	}
	var doc map[string]yaml.Node
	if err := root.Decode(&doc); err != nil {
		return nil, nil, plainError(err)
	}
	if err := dec.Decode(&root); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("it holds more than one document: take out what is behind the second \"---\"")
	}
	l = layer{}
	for name, node := range doc {
		value, err := scalar(&node)
		if err != nil {
			bad = append(bad, Problem{Line: node.Line, Name: name, Text: err.Error()})
			continue
		}
		l[name] = value
	}
	slices.SortFunc(bad, func(a, b Problem) int { return cmp.Or(a.Line-b.Line, cmp.Compare(a.Name, b.Name)) })
	return l, bad, nil
}

// plainError puts what the parser says on one line, without the parser's name.
func plainError(err error) error {
	var several *yaml.TypeError
	if errors.As(err, &several) {
		return errors.New(strings.Join(several.Errors, "; "))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}

// scalar returns the text of a value as it was written, so that a flag parses
// it exactly as it parses the command line; a list becomes a,b,c.
func scalar(n *yaml.Node) (string, error) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return "", errors.New("has no value")
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind != yaml.SequenceNode:
		return "", errors.New("must be one value or a list of values")
	}
	var items []string
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode {
			return "", errors.New("must be one value or a list of values")
		}
		items = append(items, item.Value)
	}
	return joined(items), nil
}

// unknown returns the names in the file that no setting has, in order.
func (d document) unknown(known []string) []string {
	names := fileNames(known)
	var unknown []string
	for name := range d.values {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

func unknownText(name string, known []string) string {
	if near := Nearest(name, fileNames(known)); near != "" {
		return fmt.Sprintf("unknown setting %q, did you mean %q?", name, near)
	}
	return fmt.Sprintf("unknown setting %q", name)
}

func fileNames(known []string) []string {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = FileName(k)
	}
	return names
}

func joined(items []string) string { return strings.Join(items, ",") }

// invalid drops pflag's own text where it would show a value that may be a
// secret, and keeps it elsewhere.
func invalid(f *pflag.Flag, err error) error {
	for _, word := range []string{"key", "secret", "password", "token"} {
		if strings.Contains(f.Name, word) {
			return fmt.Errorf("the value is not a valid %s", f.Value.Type())
		}
	}
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	if form := forms[f.Value.Type()]; form != "" {
		return fmt.Errorf("%q is not a valid %s: it is %s", bad.GetValue(), f.Value.Type(), form)
	}
	return fmt.Errorf("%q is not a valid %s: %w", bad.GetValue(), f.Value.Type(), errors.Unwrap(bad))
}

// forms say of the types of flags what a value looks like.
var forms = map[string]string{
	"bool": "true or false", "duration": "a time with its unit, such as 500ms, 5s or 1h30m", "int": "a whole number",
}
