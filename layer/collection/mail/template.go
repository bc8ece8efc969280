package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"github.com/cbroglie/mustache"

	"github.com/coveydb/covey/internal/errs"
)

// Bounds of a template. Sections that stand in each other and repeat over the
// same array could go on for ever: maxSteps ends them. A value is looked up
// through all sections it stands in, which maxDepth keeps to a few.
const (
	maxDepth   = 32 // sections in each other
	maxSource  = 256 << 10
	maxTags    = 5_000
	maxTagName = 128
	maxSteps   = 100_000
	maxWork    = 5_000_000 // steps of all templates of a request, two seconds of a processor
)

// rendered is what a template came to, and of which version of it.
type rendered struct {
	source        [sha256.Size]byte // of the template's document
	subject, html string
}

// values returns an object as templates read it: numbers as they were written,
// nothing where null is.
func values(object []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil // it was read as an object before
	}
	m, _ := plain(v).(map[string]any)
	return m
}

// plain takes out of a value what the template library would show as Go sees
// it. A number that is 0 becomes one, because sections ask whether it is.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if value == nil {
				delete(v, name)
			} else {
				v[name] = plain(value)
			}
		}
		return v
	case []any:
		for i := range v {
			if v[i] = plain(v[i]); v[i] == nil {
				v[i] = ""
			}
		}
		return v
	case json.Number:
		if f, err := strconv.ParseFloat(v.String(), 64); err == nil && f == 0 && !math.Signbit(f) {
			return 0
		}
		return v.String()
	}
	return v
}

// work is how many steps the templates of one request may still take.
type work int

// render fills a template in. escape is what is done to values, but for those
// in three braces; nil = they are escaped for HTML. The error is for who wrote
// the template.
func (w *work) render(source string, with map[string]any, escape func(string) string, limit int) (string, error) {
	if *w <= 0 {
		return "", errWork
	}
	if len(source) > maxSource {
		return "", errs.E(errs.Invalid, "it has %d bytes, the limit is %d", len(source), maxSource)
	}
	t, err := mustache.ParseStringPartials(source, &mustache.StaticProvider{})
	if err != nil {
		return "", err
	}
	count := 0
	err = checkTags(t.Tags(), &count, 0)
	*w -= work(count)
	if err != nil {
		return "", err
	}
	if escape != nil {
		t.Escape(escape)
	}
	out := bounded{limit: limit}
	err = t.FRender(&out, with)
	*w -= work(out.steps)
	if err != nil {
		return "", err
	}
	// The library passes by the errors of what it writes for values.
	return out.b.String(), out.err
}

// checkTags refuses what has no place in a mail, or would cost too much.
func checkTags(tags []mustache.Tag, count *int, depth int) error {
	if depth > maxDepth {
		return errs.E(errs.Invalid, "it has more than %d sections in each other", maxDepth)
	}
	for _, tag := range tags {
		if *count++; *count > maxTags {
			return errs.E(errs.Invalid, "it has more than %d tags", maxTags)
		}
		if tag.Type() == mustache.Partial {
			return errs.E(errs.Invalid, "it includes another template (%.50q), which is not possible", tag.Name())
		}
		if len(tag.Name()) > maxTagName {
			return errs.E(errs.Invalid, "it has a tag of %d bytes, the limit is %d", len(tag.Name()), maxTagName)
		}
		if tag.Type() == mustache.Section || tag.Type() == mustache.InvertedSection {
			if err := checkTags(tag.Tags(), count, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// bounded takes so many bytes in so many pieces. The library writes the text in
// front of each tag, empty or not, so that pieces count its steps.
type bounded struct {
	b     bytes.Buffer
	limit int
	steps int
	err   error
}

var (
	errLong  = errors.New("what it comes to is too long")
	errSteps = errors.New("its sections repeat too often")
	errWork  = errors.New("the sections of the mails before repeat too often: send fewer at once")
)

func (w *bounded) Write(p []byte) (int, error) {
	w.steps++
	switch {
	case w.err != nil:
	case w.steps > maxSteps:
		w.err = errSteps
	case len(p) > w.limit-w.b.Len():
		w.err = errLong
	}
	if w.err != nil {
		return 0, w.err
	}
	return w.b.Write(p)
}
