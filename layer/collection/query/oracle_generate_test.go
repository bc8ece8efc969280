package query

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// pickOf returns one of several.
func pickOf[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// generator makes documents and queries over the same few fields and values, so
// that they meet.
type generator struct {
	r *rand.Rand
}

func (g *generator) question(dates bool) matchQuestion {
	q := matchQuestion{Kind: "match", Dates: dates}
	c := g.condition(2)
	if dates {
		c = g.dateCondition()
	}
	q.ours, q.Query = c.ours, json.RawMessage(c.theirs)
	for range oracleDocs {
		doc := g.document()
		if dates {
			doc = g.dateDocument()
		}
		q.Docs = append(q.Docs, json.RawMessage(doc))
	}
	return q
}

func (g *generator) scalar() string {
	return pickOf(g.r, "0", "1", "2", "3", "-1", "1.5", "2.0", "1e1", `""`, `"a"`, `"ab"`, `"b"`, `"B"`, `"ä"`, `"日本"`, `"a b"`, `"1"`,
		"true", "false", "null")
}

// groupable returns a value whose key as a group no other value has.
func (g *generator) groupable() string {
	return pickOf(g.r, "1", "1.0", "2", "-0.5", "0.1", "1e21", `"a"`, `"ä"`, `""`, "true", "null")
}

func (g *generator) array(member func() string) string {
	var members []string
	for range g.r.IntN(4) {
		members = append(members, member())
	}
	return "[" + strings.Join(members, ",") + "]"
}

// object returns an object with some of the members, in some order.
func (g *generator) object(members map[string]func() string, names ...string) string {
	g.r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var parts []string
	for _, name := range names {
		if g.r.IntN(4) > 0 {
			parts = append(parts, fmt.Sprintf("%q:%s", name, members[name]()))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (g *generator) small() string {
	return g.object(map[string]func() string{"x": g.scalar, "y": g.scalar}, "x", "y")
}

func (g *generator) value() string {
	switch g.r.IntN(8) {
	case 0:
		return g.array(g.scalar)
	case 1:
		return g.small()
	case 2:
		return g.array(g.small)
	}
	return g.scalar()
}

func (g *generator) document() string {
	list := func() string {
		switch g.r.IntN(8) {
		case 0:
			return g.scalar()
		case 1:
			return g.array(func() string { return g.array(g.scalar) })
		case 2, 3, 4:
			return g.array(g.small)
		case 5:
			return g.array(g.value)
		}
		return g.array(g.scalar)
	}
	nested := func() string {
		if g.r.IntN(6) == 0 {
			return g.scalar()
		}
		return g.object(map[string]func() string{"x": g.value, "y": g.scalar, "l": list}, "x", "y", "l")
	}
	return g.object(map[string]func() string{"a": g.scalar, "b": g.value, "n": nested, "l": list}, "a", "b", "n", "l")
}

// words is a condition in our words and in those of the oracles.
type words struct{ ours, theirs string }

func both(text string) words { return words{text, text} }

func named(name string, w words) words {
	return words{fmt.Sprintf("{%q:%s}", name, w.ours), fmt.Sprintf("{%q:%s}", name, w.theirs)}
}

func listOf(ws []words) words {
	var ours, theirs []string
	for _, w := range ws {
		ours, theirs = append(ours, w.ours), append(theirs, w.theirs)
	}
	return words{"[" + strings.Join(ours, ",") + "]", "[" + strings.Join(theirs, ",") + "]"}
}

// merged joins objects into one.
func merged(ws []words) words {
	var ours, theirs []string
	for _, w := range ws {
		ours, theirs = append(ours, w.ours[1:len(w.ours)-1]), append(theirs, w.theirs[1:len(w.theirs)-1])
	}
	return words{"{" + strings.Join(ours, ",") + "}", "{" + strings.Join(theirs, ",") + "}"}
}

func (g *generator) path() string {
	return pickOf(g.r, "a", "a", "b", "b", "n.x", "n.y", "n", "l", "l", "l.x", "l.0", "l.1", "l.0.x", "n.l", "n.l.y", "n.l.1", "b.x", "none", "n.none.x")
}

// condition returns a query: conditions on fields, or combinations of queries.
func (g *generator) condition(depth int) words {
	if depth > 0 && g.r.IntN(4) == 0 {
		op := pickOf(g.r, "$and", "$or", "$nor")
		var ws []words
		for range 1 + g.r.IntN(3) {
			ws = append(ws, g.condition(depth-1))
		}
		return named(op, listOf(ws))
	}
	var ws []words
	seen := map[string]bool{}
	for range 1 + g.r.IntN(2) {
		if path := g.path(); !seen[path] {
			seen[path] = true
			ws = append(ws, named(path, g.test()))
		}
	}
	return merged(ws)
}

// test returns what a query says of one field.
func (g *generator) test() words {
	if g.r.IntN(3) == 0 {
		return both(g.value())
	}
	if g.r.IntN(5) == 0 {
		return g.negated()
	}
	ws := []words{g.operator()}
	if g.r.IntN(5) == 0 {
		if more := g.operator(); name(more.ours) != name(ws[0].ours) && name(more.theirs) != name(ws[0].theirs) && name(more.ours) != "$bt" && name(ws[0].ours) != "$bt" {
			ws = append(ws, more)
		}
	}
	return merged(ws)
}

// name returns the first member's name.
func name(object string) string { return strings.Split(object, `"`)[1] }

// negated returns a $not. The contract lets it take a plain value, which the
// others call $ne.
func (g *generator) negated() words {
	if g.r.IntN(2) == 0 {
		w := g.operator()
		return named("$not", w)
	}
	v := g.value()
	return words{`{"$not":` + v + `}`, `{"$ne":` + v + `}`}
}

func (g *generator) operator() words {
	op := pickOf(g.r, "$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$gt", "$lt", "$bt", "$regex", "$exists", "$elemMatch", "$all", "$size", "$mod", "$type")
	switch op {
	case "$eq", "$ne":
		return named(op, both(g.value()))
	case "$in", "$nin":
		return named(op, both(g.array(g.value)))
	case "$all":
		return named(op, both(g.array(g.scalar)))
	case "$gt", "$gte", "$lt", "$lte":
		return named(op, both(g.scalar()))
	case "$bt": // inclusive, of one type; the others have no such operator
		lo, hi := pickOf(g.r, "0", "1", "1.5"), pickOf(g.r, "1", "2", "10")
		if g.r.IntN(2) == 0 {
			lo, hi = pickOf(g.r, `"a"`, `"A"`), pickOf(g.r, `"b"`, `"ab"`, `"日本"`)
		}
		return words{`{"$bt":[` + lo + `,` + hi + `]}`, `{"$gte":` + lo + `,"$lte":` + hi + `}`}
	case "$regex":
		w := both(fmt.Sprintf(`{"$regex":%q}`, pickOf(g.r, "a", "^a", "b$", "^.b*$", "日", "[ab]", "a|B", "")))
		if g.r.IntN(3) == 0 {
			w = merged([]words{w, both(`{"$options":"i"}`)})
		}
		return w
	case "$exists":
		return named(op, both(pickOf(g.r, "true", "false")))
	case "$elemMatch":
		if g.r.IntN(2) == 0 {
			return named(op, both(fmt.Sprintf(`{"$gt":%s,"$lt":%s}`, pickOf(g.r, "0", `"a"`), pickOf(g.r, "2", "3", `"b"`))))
		}
		return named(op, merged([]words{named("x", g.plainTest()), named("y", g.plainTest())}[:1+g.r.IntN(2)]))
	case "$size":
		return named(op, both(pickOf(g.r, "0", "1", "2")))
	case "$mod":
		return named(op, both(pickOf(g.r, "[2,0]", "[2,1]", "[3,0]")))
	}
	return named("$type", both(pickOf(g.r, `"number"`, `"string"`, `"object"`, `"array"`, `"bool"`, `"null"`)))
}

// plainTest is a test that is nothing but a value or an order.
func (g *generator) plainTest() words {
	if g.r.IntN(2) == 0 {
		return both(g.scalar())
	}
	return named(pickOf(g.r, "$gt", "$lte", "$ne"), both(g.scalar()))
}

// dateDocument returns a document whose fields hold dates, mostly.
func (g *generator) dateDocument() string {
	when := func() string {
		if g.r.IntN(8) == 0 {
			return g.scalar()
		}
		return fmt.Sprintf("%q", pickOf(g.r, "2016-03-16T21:31:31.627Z", "2016-03-16T21:31:31.627000Z", "2016-03-16T22:31:31.627+01:00",
			"2020-01-31", "2020-01-31T00:00:00Z", "2020-01-31T00:00:00.000", "2020-01-30T19:00-05:00", "2020-01-31 00:00:00Z", "2020-02", "soon"))
	}
	whens := func() string { return g.array(when) }
	nested := func() string { return g.object(map[string]func() string{"w": when}, "w") }
	return g.object(map[string]func() string{"w": when, "v": when, "l": whens, "n": nested}, "w", "v", "l", "n")
}

func (g *generator) date() words {
	at := pickOf(g.r, "2016-03-16T21:31:31.627Z", "2016-03-16", "2020-01-31", "2020-01-31T01:00:00+01:00", "2020-02-01", "2020-01-31T00:00:00.001Z")
	return words{fmt.Sprintf(`{"$date":%q}`, at), fmt.Sprintf("%q", at)}
}

// dateCondition returns a query about dates: ours compares times with texts,
// that of the others dates with dates.
func (g *generator) dateCondition() words {
	var ws []words
	seen := map[string]bool{}
	for range 1 + g.r.IntN(2) {
		path := pickOf(g.r, "w", "v", "l", "n.w", "l.0")
		if seen[path] {
			continue
		}
		seen[path] = true
		op := pickOf(g.r, "=", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$bt", "$in", "$nin", "$not")
		w := g.date()
		switch op {
		case "=":
		case "$bt":
			hi := g.date()
			w = words{`{"$bt":[` + w.ours + `,` + hi.ours + `]}`, `{"$gte":` + w.theirs + `,"$lte":` + hi.theirs + `}`}
		case "$in", "$nin":
			w = named(op, listOf([]words{w, g.date()}))
		case "$not":
			w = words{`{"$not":` + w.ours + `}`, `{"$ne":` + w.theirs + `}`}
		default:
			w = named(op, w)
		}
		ws = append(ws, named(path, w))
	}
	return merged(ws)
}
