package vault

import (
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Bounds of references. What would go over one is not resolved; that costs no
// more than finding it out.
const (
	maxReferenceDepth = 32      // how many references one leads to, one behind the other
	maxResolved       = 1 << 20 // bytes of one value
	maxResolvedAll    = 8 << 20 // bytes of all values of a request, with those that were opened for them
	maxReferences     = 20_000  // of all values of a request, with the texts between them
)

// Unresolved is why the references in a value cannot be resolved.
type Unresolved string

// The reasons. If there are several, the first of these is told.
const (
	UnresolvedCycle     Unresolved = "cycle"     // a reference leads back to where it stands, or into such a circle
	UnresolvedForbidden Unresolved = "forbidden" // it leads to where the caller may not read values
	UnresolvedUnknown   Unresolved = "unknown"   // there is no such environment or variable
	UnresolvedDamaged   Unresolved = "damaged"   // it leads to a value that does not open
	UnresolvedDepth     Unresolved = "too deep"
	UnresolvedSize      Unresolved = "too large"
)

// reasons are the reasons in their order.
var reasons = [...]Unresolved{
	UnresolvedCycle, UnresolvedForbidden, UnresolvedUnknown, UnresolvedDamaged, UnresolvedDepth, UnresolvedSize,
}

// MaskUnresolved stands in the place of a value whose references cannot be
// resolved.
const MaskUnresolved = "[UNRESOLVED]"

// Unresolvable are the variables of an export whose references cannot be
// resolved, by key, and why. As an error it is errs.Invalid.
type Unresolvable map[string]Unresolved

func (u Unresolvable) Error() string { return "Some references cannot be resolved" }

// Unwrap gives the error its kind.
func (u Unresolvable) Unwrap() error { return &errs.Error{Kind: errs.Invalid, Msg: u.Error()} }

// ResolveReferences makes the Session show and export values with their
// references resolved:
//
//	${KEY}              the value of another variable of the same environment
//	${environment.KEY}  that of one of another environment of the same project
//	$${                 ${ itself
//
// What has another form stays as it is. Values are stored as they are, so a
// reference gives what there is when it is read. Values that are opened for
// references are among the Readings, and the caller must be allowed to read
// each of them.
func (s *Session) ResolveReferences() {
	s.references = &resolver{
		s: s, action: ReadValue, known: map[variableRef]*resolution{}, places: map[environmentName]*destination{},
		bytes: maxResolvedAll, parts: maxReferences,
	}
}

// resolver resolves the references of one request. It comes to each variable
// once: what it has found there it remembers, with how deep that leads, so the
// answer does not depend on where it began.
type resolver struct {
	s      *Session
	action Action              // what the caller must be allowed where a reference leads
	most   func() (int, error) // see Session.hold
	known  map[variableRef]*resolution
	places map[environmentName]*destination
	opened []opening // for references

	bytes int // that may still be opened and made
	parts int // of values that may still be looked at
}

// environmentName is how a reference names an environment, in lower case.
type environmentName struct {
	project uint64
	name    string
}

// destination is an environment that a reference leads to, or why it leads
// nowhere.
type destination struct {
	at  *place
	why Unresolved
}

// opening is a value that was opened because something refers to it.
type opening struct {
	at  *place
	key string
}

// resolution is what a variable's value is with its references resolved.
type resolution struct {
	text  string
	depth int
	why   Unresolved // "" = text is whole
	busy  bool       // it is being found out
}

// fail takes over a reason.
func (r *resolution) fail(why Unresolved) {
	if why != "" && (r.why == "" || slices.Index(reasons[:], why) < slices.Index(reasons[:], r.why)) {
		r.why = why
	}
}

// value returns the value of a variable, which is plain as it is stored, with
// its references resolved, or why that cannot be done.
func (r *resolver) value(at *place, key, plain string) (string, Unresolved, error) {
	if !strings.Contains(plain, "${") {
		return plain, "", nil
	}
	name := variableRef{at.environmentID, key}
	found := r.known[name]
	if found == nil {
		var err error
		if found, err = r.resolve(at, name, plain); err != nil {
			return "", "", err
		}
	}
	return found.text, found.why, nil
}

// resolve finds out what the references in a value lead to, and only then, if
// the whole is not too long, puts it together.
func (r *resolver) resolve(at *place, name variableRef, plain string) (*resolution, error) {
	found := &resolution{busy: true}
	r.known[name] = found
	parts := parseReferences(plain, r.parts+1)
	r.parts -= len(parts)
	if r.parts < 0 {
		*found = resolution{why: UnresolvedSize}
		return found, nil
	}
	size := 0
	for i := range parts {
		p := &parts[i]
		if p.key != "" {
			to, err := r.follow(at, *p)
			if err != nil {
				return nil, err
			}
			found.fail(to.why)
			found.depth = max(found.depth, to.depth+1)
			p.text = to.text
		}
		size += len(p.text)
	}
	if found.depth > maxReferenceDepth {
		found.fail(UnresolvedDepth)
	}
	if found.why == "" && (size > maxResolved || !r.take(size)) {
		found.why = UnresolvedSize
	}
	found.busy = false
	if found.why != "" {
		return found, nil
	}
	if err := r.s.hold(size, r.most); err != nil {
		return nil, err
	}
	var b strings.Builder
	b.Grow(size)
	for _, p := range parts {
		b.WriteString(p.text)
	}
	found.text = b.String()
	return found, nil
}

// take takes n bytes of those that a request may have, if there are as many.
func (r *resolver) take(n int) bool {
	if n > r.bytes {
		return false
	}
	r.bytes -= n
	return true
}

// follow returns what a reference in a value of an environment stands for.
func (r *resolver) follow(at *place, to part) (*resolution, error) {
	if to.environment != "" {
		d, err := r.environment(at.environment.Project, strings.ToLower(to.environment))
		if err != nil {
			return nil, err
		}
		if d.why != "" {
			return &resolution{why: d.why}, nil
		}
		at = d.at
	}
	name := variableRef{at.environmentID, to.key}
	if found := r.known[name]; found != nil {
		if found.busy {
			return &resolution{why: UnresolvedCycle}, nil
		}
		return found, nil
	}
	plain, why, err := r.open(at, to.key)
	if err != nil {
		return nil, err
	}
	if why == "" && strings.Contains(plain, "${") {
		return r.resolve(at, name, plain)
	}
	found := &resolution{text: plain, why: why}
	r.known[name] = found
	return found, nil
}

// environment opens the environment of a project that a reference names.
func (r *resolver) environment(project uint64, name string) (*destination, error) {
	n := environmentName{project, name}
	if d := r.places[n]; d != nil {
		return d, nil
	}
	id, err := readNumber(r.s.tx, byIDText(nameByte, project, name))
	if err != nil {
		return nil, err
	}
	d := new(destination)
	switch t := r.s.service; {
	case id != 0:
		d.at, err = r.s.environment(id, r.action)
		if kind := errs.KindOf(err); kind == errs.NotFound || kind == errs.Forbidden {
			d.why, err = UnresolvedForbidden, nil
		}
		if err != nil {
			return nil, err
		}
	case t != nil && !t.hasProject(project): // it may not know which names there are
		d.why = UnresolvedForbidden
	default:
		d.why = UnresolvedUnknown
	}
	r.places[n] = d
	return d, nil
}

// open returns the value of a variable that a reference leads to, as it is
// stored.
func (r *resolver) open(at *place, key string) (string, Unresolved, error) {
	row, err := readVariable(r.s.tx, byIDText(variableByte, at.environmentID, key))
	if err != nil {
		return "", "", err
	}
	if row == nil {
		return "", UnresolvedUnknown, nil
	}
	if !r.take(len(row.Value)) {
		return "", UnresolvedSize, nil
	}
	plain, err := r.s.openValue(at.organization, at.environment, key, row.Value)
	if errs.Is(err, errs.Internal) {
		return "", UnresolvedDamaged, nil
	}
	if err != nil {
		return "", "", err
	}
	r.opened = append(r.opened, opening{at, key})
	return string(plain), "", r.s.hold(len(plain), r.most)
}

// openings returns what was opened for references, but for what was shown
// anyway: how many in each environment, and these in the order in which they
// came up.
func (r *resolver) openings(shown func(variableRef) bool) (places []*place, count map[uint64]int) {
	count = map[uint64]int{}
	for _, o := range r.opened {
		if shown(variableRef{o.at.environmentID, o.key}) {
			continue
		}
		if count[o.at.environmentID]++; count[o.at.environmentID] == 1 {
			places = append(places, o.at)
		}
	}
	return places, count
}

// resolve resolves the references of a value that is shown, if the Session does
// that.
func (l *lister) resolve(at *place, v *Variable) (err error) {
	r := l.s.references
	if r == nil {
		return nil
	}
	if l.shown == nil {
		l.shown = map[variableRef]bool{}
	}
	l.shown[variableRef{at.environmentID, v.Key}] = true
	r.most = l.most
	v.Value, v.Unresolved, err = r.value(at, v.Key, v.Value)
	if v.Unresolved != "" {
		v.Value = MaskUnresolved
	}
	return err
}

// opened is what was opened for references and not shown, see openings.
func (l *lister) opened() (places []*place, count map[uint64]int) {
	if l.s.references == nil {
		return nil, nil
	}
	return l.s.references.openings(func(name variableRef) bool { return l.shown[name] })
}

// resolvePairs resolves the references of all variables of an environment, for
// an export, and records what else was opened. The error is Unresolvable if
// some cannot be resolved.
func (s *Session) resolvePairs(at *place, pairs []pair) error {
	r := s.references
	if r == nil {
		return nil
	}
	r.action, r.most = Export, func() (int, error) { return sizeOf(s.tx, at.environmentID) }
	failed := Unresolvable{}
	for i, p := range pairs {
		text, why, err := r.value(at, p.key, p.value)
		if err != nil {
			return err
		}
		if pairs[i].value = text; why != "" {
			failed[p.key] = why
		}
	}
	places, count := r.openings(func(name variableRef) bool { return name.Environment == at.environmentID })
	for _, other := range places {
		s.reads(other.viewed(count[other.environmentID]))
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}
