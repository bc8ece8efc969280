package monitoring

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// selector is a series that an expression asks for.
type selector struct {
	name   string
	equal  map[string]string // labels that must have one value
	labels []string          // labels that are otherwise matched
}

// expression is what an expression of PromQL names. It is read strictly: what
// this reader does not know is an error, so that nothing passes unseen.
type expression struct {
	selectors []selector
	grouped   []string // labels in by, on and their like
}

var (
	token = regexp.MustCompile(`^(?:[a-zA-Z_:][a-zA-Z0-9_:]*|"(?:[^"\\]|\\.)*"|\[[0-9]+[smhd]\]|[0-9]+(?:\.[0-9]+)?|=~|!~|!=|==|>=|<=|[-+*/<>=(){},])`)
	word  = regexp.MustCompile(`^[a-zA-Z_:]`)

	aggregators = []string{"sum", "max", "min", "count"}
	functions   = []string{"rate", "increase", "delta", "changes", "abs", "floor", "time", "vector", "predict_linear", "histogram_quantile"}
	groupers    = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	operators   = []string{"and", "or", "unless"}
)

// reader goes over the tokens of one expression.
type reader struct {
	tokens []string
	found  expression
}

func parse(text string) (expression, error) {
	r := &reader{}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		t := token.FindString(rest)
		if t == "" {
			return expression{}, fmt.Errorf("cannot be read from %q on", rest)
		}
		r.tokens, rest = append(r.tokens, t), rest[len(t):]
	}
	for len(r.tokens) > 0 {
		if err := r.step(); err != nil {
			return expression{}, err
		}
	}
	return r.found, nil
}

func (r *reader) next() string {
	if len(r.tokens) == 0 {
		return ""
	}
	t := r.tokens[0]
	r.tokens = r.tokens[1:]
	return t
}

func (r *reader) peek() string {
	if len(r.tokens) == 0 {
		return ""
	}
	return r.tokens[0]
}

func (r *reader) step() error {
	t := r.next()
	switch {
	case !word.MatchString(t), slices.Contains(operators, t):
		return nil
	case slices.Contains(groupers, t):
		return r.group(t)
	case slices.Contains(aggregators, t):
		if p := r.peek(); p != "(" && !slices.Contains(groupers, p) {
			return fmt.Errorf("%s is not applied to anything", t)
		}
		return nil
	case r.peek() == "(":
		if !slices.Contains(functions, t) {
			return fmt.Errorf("the function %s is not known", t)
		}
		return nil
	}
	return r.selector(t)
}

func (r *reader) group(t string) error {
	if r.next() != "(" {
		return fmt.Errorf("%s has no list of labels", t)
	}
	for {
		switch l := r.next(); {
		case l == ")":
			return nil
		case l == "":
			return fmt.Errorf("the list of labels after %s does not end", t)
		case word.MatchString(l):
			r.found.grouped = append(r.found.grouped, l)
		case l != ",":
			return fmt.Errorf("%s in the list of labels after %s", l, t)
		}
	}
}

func (r *reader) selector(name string) error {
	s := selector{name: name, equal: make(map[string]string)}
	if r.peek() == "{" {
		r.next()
		for r.peek() != "}" {
			label, op, value := r.next(), r.next(), r.next()
			if !word.MatchString(label) || !strings.Contains("= != =~ !~", op) || !strings.HasPrefix(value, `"`) {
				return fmt.Errorf("%s%s%s is no matcher of %s", label, op, value, name)
			}
			if value = strings.Trim(value, `"`); op == "=" && !strings.HasPrefix(value, "$") {
				s.equal[label] = value
			} else {
				s.labels = append(s.labels, label)
			}
			if r.peek() == "," {
				r.next()
			}
		}
		r.next()
	}
	r.found.selectors = append(r.found.selectors, s)
	return nil
}

func TestExpressionsAreRead(t *testing.T) {
	for text, want := range map[string]expression{
		`up{job="covey"} == 0`: {selectors: []selector{{name: "up", equal: map[string]string{"job": "covey"}}}},
		`histogram_quantile(0.99, sum by (a, le) (rate(x_bucket{c=~"5..", d="$d"}[5m]))) > 1`: {
			selectors: []selector{{name: "x_bucket", equal: map[string]string{}, labels: []string{"c", "d"}}}, grouped: []string{"a", "le"}},
		`x < on (cluster) group_left () (2 * max by (cluster) (y))`: {
			selectors: []selector{{name: "x", equal: map[string]string{}}, {name: "y", equal: map[string]string{}}}, grouped: []string{"cluster", "cluster"}},
		`time() - covey:a:b`: {selectors: []selector{{name: "covey:a:b", equal: map[string]string{}}}},
	} {
		got, err := parse(text)
		if err != nil || !cmp.Equal(got, want, cmp.AllowUnexported(expression{}, selector{})) {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{`x{a=b}`, `x{`, `x{a="b"`, `sum by x`, `sum by (a`, `median(x)`, `x @ 5`, `sum x`} {
		if got, err := parse(text); err == nil {
			t.Errorf("%s was taken: %+v", text, got)
		}
	}
}

func FuzzParseNeverPanics(f *testing.F) {
	f.Add(`sum by (a) (rate(x{b="c"}[5m])) / 2`)
	f.Add(`x{a="b"`)
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := parse(text); err != nil && (e.selectors != nil || e.grouped != nil) {
			t.Error("an error and a result")
		}
	})
}
