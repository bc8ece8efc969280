package query

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

var full = flag.Bool("full", false, "ask the other implementations many more questions")

// oracled is how many questions are asked: a fifth of so many without -full.
func oracled(questions int) int {
	if *full {
		return questions
	}
	return questions / 5
}

// oracleFiles are in test/oracle: the other implementations, pinned, and the
// program that asks them.
var oracleFiles = []string{"package.json", "package-lock.json", "oracle.mjs"}

// oracle is a node process that answers a line of JSON with another.
type oracle struct {
	in  *bufio.Writer
	out *bufio.Reader
}

// openOracle starts it, and skips the test where there is no node. The packages
// are installed once, into the user's cache, so that the tree stays clean.
func openOracle(t *testing.T) *oracle {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("this test compares with npm packages and needs %s: %v", program, err)
		}
	}
	cmd := exec.Command("node", "oracle.mjs")
	cmd.Dir = installOracle(t)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Errorf("the oracle ended with %v\n%s", err, &stderr)
		}
	})
	return &oracle{bufio.NewWriter(in), bufio.NewReader(out)}
}

func installOracle(t *testing.T) (dir string) {
	t.Helper()
	sum := sha256.New()
	for _, name := range oracleFiles {
		p, err := os.ReadFile(filepath.Join("../../../test/oracle", name))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(p)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "covey-oracle")
	dir = filepath.Join(cache, hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	made, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(made)
	for _, name := range oracleFiles {
		p, err := os.ReadFile(filepath.Join("../../../test/oracle", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(made, name), p, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = made
	if text, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("npm ci: %v\n%s", err, text)
		}
		t.Skipf("this test compares with npm packages, and they cannot be installed: npm ci: %v\n%s", err, text)
	}
	// Another process may have been faster: then its folder is as good.
	if err := os.Rename(made, dir); err != nil {
		if _, gone := os.Stat(dir); gone != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ask writes all questions and hands each answer to got.
func ask[Q, A any](t *testing.T, o *oracle, questions []Q, got func(Q, A)) {
	t.Helper()
	written := make(chan error, 1)
	go func() {
		enc := json.NewEncoder(o.in)
		enc.SetEscapeHTML(false)
		var err error
		for i := 0; i < len(questions) && err == nil; i++ {
			err = enc.Encode(questions[i])
		}
		written <- errors.Join(err, o.in.Flush())
	}()
	for _, q := range questions {
		line, err := o.out.ReadBytes('\n')
		if err != nil {
			t.Fatalf("answer: %v", err)
		}
		var a A
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatalf("answer %s: %v", line, err)
		}
		got(q, a)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

// oracleRandom returns the randomness of a test and prints its seed.
func oracleRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv("COVEY_ORACLE_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("COVEY_ORACLE_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("seed %d (COVEY_ORACLE_SEED chooses another)", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// matchQuestion is a query in the words of the oracles, and documents.
type matchQuestion struct {
	Kind  string            `json:"kind"`
	Query json.RawMessage   `json:"query"`
	Docs  []json.RawMessage `json:"docs"`
	Dates bool              `json:"dates"`

	ours string // the query in our words
}

type matchAnswer struct{ Mingo, Sift string }

const (
	oracleQueries = 3000
	oracleDocs    = 8 // for each query
)

func TestMatchAgreesWithMingoAndSift(t *testing.T) {
	o := openOracle(t)
	g := &generator{r: oracleRandom(t)}
	var questions []matchQuestion
	for n := range oracled(oracleQueries) {
		questions = append(questions, g.question(n%5 == 0))
	}
	pairs, agreed, matched := 0, 0, 0
	allowed := make([]int, len(differenceRules))
	ask(t, o, questions, func(q matchQuestion, a matchAnswer) {
		parsed, err := Parse([]byte(q.ours), time.Time{})
		if err != nil {
			t.Fatalf("%s: %v", q.ours, err)
		}
		for i, doc := range q.Docs {
			pairs++
			got := "0"
			if parsed.Match(doc) {
				got = "1"
				matched++
			}
			same := true
			for _, o := range []struct{ name, verdict string }{{"mingo", a.Mingo[i : i+1]}, {"sift", a.Sift[i : i+1]}} {
				if o.verdict == got {
					continue
				}
				same = false
				rule := ruleOf(o.name, &q, doc)
				if rule < 0 {
					t.Errorf("%s says %s, we say %s\n   query %s\n  theirs %s\ndocument %s", o.name, o.verdict, got, q.ours, q.Query, doc)
					continue
				}
				allowed[rule]++
			}
			if same {
				agreed++
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	})
	if agreed < pairs*5/6 || matched < pairs/10 || matched > pairs*9/10 {
		t.Errorf("of %d pairs %d match and %d are judged alike: the test proves too little", pairs, matched, agreed)
	}
	t.Logf("of %d pairs %d match; all three judge %d alike", pairs, matched, agreed)
	for i, n := range allowed {
		t.Logf("%5d %s: %s", n, differenceRules[i].oracle, differenceRules[i].why)
		if n > pairs/50 {
			t.Errorf("%d of %d judgements differ by this rule: it hides too much", n, pairs)
		}
	}
}

type momentQuestion struct {
	Kind   string      `json:"kind"`
	Format string      `json:"format"`
	Times  []time.Time `json:"times"`
}

type momentAnswer struct{ Texts []string }

func TestDateFormatsAgreeWithMoment(t *testing.T) {
	o := openOracle(t)
	r := oracleRandom(t)
	var questions []momentQuestion
	for range oracled(3000) {
		q := momentQuestion{Kind: "moment"}
		for range 1 + r.IntN(5) {
			q.Format += pickOf(r, pickOf(r, momentTokens...), pickOf(r, momentTokens...), pickOf(r, momentLocals...).token,
				pickOf(r, "-", ":", " ", "[", "]", `\`, "[at]", "é", "o"))
		}
		for range 4 {
			at := time.UnixMilli(r.Int64N(4e12)).UTC()
			if r.IntN(2) == 0 { // about New Year, where weeks and years part
				at = time.Date(1970+r.IntN(130), 12, 24+r.IntN(15), r.IntN(24), 0, 0, 0, time.UTC)
			}
			q.Times = append(q.Times, at)
		}
		questions = append(questions, q)
	}
	ask(t, o, questions, func(q momentQuestion, a momentAnswer) {
		for i, want := range a.Texts {
			if got := string(parseMoment(q.Format).append(nil, q.Times[i])); got != want {
				t.Errorf("%q of %v: got %q, want %q", q.Format, q.Times[i], got, want)
			}
		}
	})
}

type groupQuestion struct {
	Kind  string            `json:"kind"`
	By    string            `json:"by"`
	Field string            `json:"field"`
	Docs  []json.RawMessage `json:"docs"`
}

type groupAnswer struct {
	Groups []struct {
		ID    json.RawMessage `json:"_id"`
		Sum   float64         `json:"sum"`
		Avg   *float64        `json:"avg"`
		Count float64         `json:"count"`
	}
}

// Sums, averages and counts by group, in mingo's order of groups, which is that
// of first appearance as well.
func TestAggregatesAgreeWithMingo(t *testing.T) {
	o := openOracle(t)
	g := &generator{r: oracleRandom(t)}
	var questions []groupQuestion
	for range oracled(500) {
		q := groupQuestion{Kind: "group", By: pickOf(g.r, "a", "n.y"), Field: pickOf(g.r, "a", "n.y")}
		for range 1 + g.r.IntN(30) {
			q.Docs = append(q.Docs, json.RawMessage(`{"a":`+g.groupable()+`,"n":{"y":`+g.groupable()+`}}`))
		}
		questions = append(questions, q)
	}
	ask(t, o, questions, func(q groupQuestion, a groupAnswer) {
		hints := `{"$groupby":["` + q.By + `"],"$aggregate":["SUM:` + q.Field + `","AVG:` + q.Field + `","COUNT:"]}`
		var docs []string
		for _, d := range q.Docs {
			docs = append(docs, string(d))
		}
		want := []byte("{")
		for i, group := range a.Groups {
			id := Of(group.ID)
			key := id.Raw()
			if id.Kind() == Text {
				key = id.Text()
			}
			want = append(appendName(want, key, i > 0), `{"SUM `+q.Field+`":`...)
			want = append(appendNumber(want, group.Sum), `,"AVG `+q.Field+`":`...)
			if group.Avg == nil {
				want = append(want, "null"...)
			} else {
				want = appendNumber(want, *group.Avg)
			}
			want = append(appendNumber(append(want, `,"COUNT ":`...), group.Count), '}')
		}
		want = append(want, '}')
		if got := accumulated(t, specOf(t, "{}", hints), docs...); got != string(want) {
			t.Errorf("%s of %s\n got %s\nwant %s", hints, docs, got, want)
		}
	})
}
