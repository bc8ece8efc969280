package config

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Setting is a flag with the value that it has, and where that comes from.
type Setting struct {
	Name  string `json:"name"`  // as in a file: data_dir
	Value string `json:"value"` // a password in a URL is left out
	From  string `json:"from"`  // the flag, the variable, the file with its line, or "default"
}

// FromDefault is where a value comes from that nobody has set.
const FromDefault = "default"

// Explain returns the settings of fs in order of their names. It is called
// after Apply, with the same src; given reports whether a flag was on the
// command line. The error is that of reading src's file.
func Explain(fs *pflag.FlagSet, given func(flag string) bool, src Sources) ([]Setting, error) {
	file, err := readFile(src.File)
	if err != nil {
		return nil, err
	}
	var out []Setting
	fs.VisitAll(func(f *pflag.Flag) {
		if !IsSetting(f) {
			return
		}
		s := Setting{Name: FileName(f.Name), Value: Text(f), From: FromDefault}
		_, inFile := file.values[s.Name]
		switch {
		case given(f.Name):
			s.From = "--" + f.Name
		case Lookup(src.Environ, EnvName(f.Name)) != "":
			s.From = EnvName(f.Name)
		case inFile:
			s.From = src.File + ":" + strconv.Itoa(file.lines[s.Name])
		}
		out = append(out, s)
	})
	return out, nil
}

// Text returns the value of a flag as one would write it: a list as a,b,c. The
// password of a URL is left out.
func Text(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return joined(list.GetSlice())
	}
	text := f.Value.String()
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}

// A Problem is one thing that is wrong with the settings.
type Problem struct {
	From string `json:"from,omitempty"` // the flag, the variable, the file with its line if it has one
	Line int    `json:"line,omitempty"` // of the file; 0 = none, or the file as a whole
	Name string `json:"name,omitempty"` // of the setting
	Text string `json:"text"`           // what is wrong and what is right
}

// Check returns everything that Apply would refuse, where Apply stops at the
// first: of the file in order of the lines, then of the environment. Like Apply
// it sets what is right, and leaves what the command line has set.
func Check(fs *pflag.FlagSet, known []string, src Sources) (out []Problem) {
	file, err := readFile(src.File)
	if err != nil {
		out = append(out, Problem{From: src.File, Text: err.Error()})
	}
	out = append(out, file.bad...)
	for _, name := range file.unknown(known) {
		out = append(out, Problem{Line: file.lines[name], Name: name, Text: unknownText(name, known)})
	}
	open := settable(fs)
	out = append(out, file.values.give(fs, open, file.lines)...)
	slices.SortStableFunc(out, func(a, b Problem) int { return a.Line - b.Line })
	for i := range out {
		if out[i].Line > 0 {
			out[i].From = src.File + ":" + strconv.Itoa(out[i].Line)
		}
	}
	for _, p := range readEnviron(fs, src.Environ).give(fs, open, nil) {
		p.From = EnvName(strings.ReplaceAll(p.Name, "_", "-"))
		out = append(out, p)
	}
	return out
}

// settable returns the settings of fs that the command line left alone.
func settable(fs *pflag.FlagSet) (open []*pflag.Flag) {
	fs.VisitAll(func(f *pflag.Flag) {
		if IsSetting(f) && !f.Changed {
			open = append(open, f)
		}
	})
	return open
}

// give sets those flags of fs that are in l, and returns which values are wrong;
// such a flag gets its default.
func (l layer) give(fs *pflag.FlagSet, flags []*pflag.Flag, lines map[string]int) (wrong []Problem) {
	for _, f := range flags {
		name := FileName(f.Name)
		value, ok := l[name]
		if !ok {
			continue
		}
		Reset(f) // a list that is set again would grow
		if err := fs.Set(f.Name, value.(string)); err != nil {
			wrong = append(wrong, Problem{Line: lines[name], Name: name, Text: invalid(f, err).Error()})
			Reset(f)
		}
	}
	return wrong
}

// Reset gives a flag its default value.
func Reset(f *pflag.Flag) {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		_ = list.Replace(nil)
		if plain := strings.Trim(f.DefValue, "[]"); plain != "" {
			_ = list.Replace(strings.Split(plain, ","))
		}
		return
	}
	_ = f.Value.Set(f.DefValue) // it is what the flag was made with
}

// document is a file as it was read.
type document struct {
	values layer
	lines  map[string]int // of the names
	bad    []Problem      // values that no setting can have
}

// lineNumbers returns the line of each name in a YAML mapping that parse took.
func lineNumbers(text []byte) map[string]int {
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
		return nil
	}
	lines := map[string]int{}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		lines[pairs[i].Value] = pairs[i].Line
	}
	return lines
}
