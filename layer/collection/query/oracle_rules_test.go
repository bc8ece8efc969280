package query

import "regexp"

// differenceRule is a class of queries and documents that an oracle may judge
// otherwise, and why we do not judge as it does. "both" stands for both.
type differenceRule struct {
	oracle string
	why    string
	query  *regexp.Regexp // in the oracle's words; nil is any
	doc    func(shape) bool
}

// shape is what a document has that the oracles stumble over.
type shape struct {
	array  bool // an array
	nested bool // an array in an array
	loose  bool // an array that is empty or has a member that is no object
	number bool
}

func anyDoc(shape) bool { return true }

var differenceRules = []differenceRule{
	{"both", `"comparisons only within one JSON type": $mod takes numbers; theirs takes what JavaScript makes one of`,
		regexp.MustCompile(`\$mod`), anyDoc},
	{"both", `"a scalar against an array field means contains", and not "contains an array that contains"; paths go through one array at a time`,
		nil, func(s shape) bool { return s.nested }},
	{"both", `"$elemMatch": {"x":"y"} is about members that are objects; theirs looks for x in numbers and texts too`,
		regexp.MustCompile(`\$elemMatch`), func(s shape) bool { return s.loose }},
	{"both", `"$bt": one value is between the bounds; theirs is $gte and $lte, which two members of an array may meet`,
		regexp.MustCompile(`"\$gte":[^,]*,"\$lte"`), func(s shape) bool { return s.array }},
	{"mingo", `"null matches a missing field": so does $gte and $lte of null, and behind an array; of theirs not all do`,
		regexp.MustCompile(`null`), anyDoc},
	{"mingo", `a path through the members of an array reaches each value there; with mingo it reaches an array of them, which may be empty`,
		regexp.MustCompile(`:\[|\$size|\$type|\$exists|\$elemMatch`), func(s shape) bool { return s.array }},
	{"mingo", `$type "usual document-store meaning": of an array, its members count too`,
		regexp.MustCompile(`\$type`), func(s shape) bool { return s.array }},
	{"mingo", `$all "usual document-store meaning": a scalar that equals all values is enough`,
		regexp.MustCompile(`\$all":\[[^\]]`), anyDoc},
	{"mingo", `$in, $nin: an array in the list may be the field's whole value`,
		regexp.MustCompile(`\$n?in":\[[^\]]*\[`), func(s shape) bool { return s.array }},
	{"sift", `$all "usual document-store meaning": nothing matches an empty list`,
		regexp.MustCompile(`\$all":\[\]`), anyDoc},
	{"sift", `$type: theirs takes JavaScript's constructors and no names`,
		regexp.MustCompile(`\$type`), anyDoc},
	{"sift", `a number in a path is a position in an array, and what is behind its end is missing; theirs counts letters too, and calls the end no null`,
		regexp.MustCompile(`\.\d`), anyDoc},
	{"sift", `a path into the members of an array reaches nothing where they are no objects; with sift it reaches what is missing`,
		regexp.MustCompile(`null`), func(s shape) bool { return s.loose }},
	{"sift", `an object with a null equals one with a null; with sift also one without that member`,
		regexp.MustCompile(`:null`), anyDoc},
	{"sift", `"comparisons only within one JSON type": theirs compares dates with numbers`,
		regexp.MustCompile(`\d\d\d\d-\d\d`), func(s shape) bool { return s.number }},
}

// ruleOf returns the rule that allows an oracle to differ, or -1.
func ruleOf(oracle string, q *matchQuestion, doc []byte) int {
	s := shapeOf(Of(doc))
	for i, r := range differenceRules {
		if (r.oracle == oracle || r.oracle == "both") && (r.query == nil || r.query.Match(q.Query)) && r.doc(s) {
			return i
		}
	}
	return -1
}

func shapeOf(v Value) shape {
	s := shape{number: v.Kind() == Number, array: v.Kind() == Array, loose: v.Kind() == Array}
	add := func(e Value) {
		in := shapeOf(e)
		s.array, s.nested = s.array || in.array, s.nested || in.nested
		s.loose, s.number = s.loose || in.loose, s.number || in.number
	}
	for _, e := range v.Members() {
		add(e)
	}
	n := 0
	for e := range v.Elements() {
		if n++; n == 1 {
			s.loose = false
		}
		s.loose = s.loose || e.Kind() != Object
		s.nested = s.nested || e.Kind() == Array
		add(e)
	}
	return s
}
