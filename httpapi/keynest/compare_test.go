package keynest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"

	"github.com/coveydb/covey/internal/errs"
)

// newTwo is newShared with a second environment, 2 or stage, and variables in
// dev, some of which stage has too.
func newTwo(t *testing.T, change ...func(*settings)) *shared {
	t.Helper()
	w := newShared(t, change...)
	w.environment(w.ann, 1, "stage")
	w.imports(1, `{"ONE":"1-s3cret","SAME":"s","TWO":"2-s3cret"}`)
	w.imports(2, `{"ONE":"one","SAME":"s","OLD":"old-s3cret"}`)
	return w
}

// imports stores variables from JSON.
func (w *shared) imports(environment uint64, data string) {
	w.t.Helper()
	body := string(encode(map[string]string{"data": data, "format": "json"}))
	if a := w.send(w.ann, "POST", at("environments", environment, "import"), body); a.code != 200 {
		w.t.Fatalf("import: %d %.300s", a.code, a.body)
	}
}

// values are those of an environment, by key.
func (w *shared) values(environment uint64, query string) map[string]string {
	w.t.Helper()
	var v struct {
		Results []struct {
			Key   string
			Value string `json:"decrypted_value"`
		}
	}
	w.read(200, w.get(w.ann, at("environments", environment, "variables")+query), &v)
	got := map[string]string{}
	for _, r := range v.Results {
		got[r.Key] = r.Value
	}
	return got
}

func (w *shared) has(environment uint64, want map[string]string) {
	w.t.Helper()
	if got := w.values(environment, ""); !maps.Equal(got, want) {
		w.t.Errorf("environment %d has %v, want %v", environment, got, want)
	}
}

var (
	before   = map[string]string{"ONE": "one", "SAME": "s", "OLD": "old-s3cret"}
	promoted = map[string]string{"ONE": "1-s3cret", "SAME": "s", "TWO": "2-s3cret"}
)

const (
	promoteBody   = `{"to":2,"remove_missing":true}`
	promoteAnswer = `{"message":"Variables promoted successfully","created":["TWO"],"updated":["ONE"],"deleted":["OLD"],
		"created_count":1,"updated_count":1,"deleted_count":1,"unchanged_count":1,"dry_run":false}`
	sameKey = "Idempotency-Key: 0123456789abcdef"
)

// A promotion that comes twice, or whose answer is lost, takes effect once.
func TestAPromotionTakesEffectOnce(t *testing.T) {
	for name, disturb := range map[string]func(*shared){
		"nothing happens":     func(*shared) {},
		"there are conflicts": func(w *shared) { w.store.ConflictNext(3) },
		"it comes twice":      func(w *shared) { w.store.RepeatNext(1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTwo(t)
			disturb(w)
			w.is(200, promoteAnswer, w.send(w.eve, "POST", "/api/environments/1/promote/", promoteBody))
			w.has(2, promoted)
			w.lists("2", "version", w.get(w.ann, "/api/variables/?environment=2&key=ONE"))
		})
	}
	t.Run("the answer is lost", func(t *testing.T) {
		w := newTwo(t)
		w.store.LoseNext(1)
		if a := w.send(w.eve, "POST", "/api/environments/1/promote/", promoteBody, sameKey); a.code != 504 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		w.has(2, promoted)
		w.imports(1, `{"ONE":"changed since"}`)
		a := w.is(200, promoteAnswer, w.send(w.eve, "POST", "/api/environments/1/promote/", promoteBody, sameKey))
		if a.header.Get("Covey-Replayed") != "true" {
			t.Error("it is not known as a repeat")
		}
		w.has(2, promoted)
		w.lists("2", "version", w.get(w.ann, "/api/variables/?environment=2&key=ONE"))
	})
	t.Run("it cannot be committed", func(t *testing.T) {
		w := newTwo(t)
		w.store.FailNext(errs.E(errs.Unavailable, "no quorum (injected)"))
		if a := w.send(w.eve, "POST", "/api/environments/1/promote/", promoteBody); a.code != 503 {
			t.Errorf("%d %s", a.code, a.body)
		}
		w.has(2, before)
	})
}

// An answer that is too long to be kept is repeated without the keys.
func TestALongCopyIsRepeatedBriefly(t *testing.T) {
	w := newShared(t)
	w.environment(w.ann, 1, "stage")
	many := map[string]string{}
	for i := range 200 {
		many[fmt.Sprint("A_KEY_", i)] = "v"
	}
	w.imports(1, string(encode(many)))
	var first, again copied
	w.read(200, w.send(w.ann, "POST", "/api/environments/1/copy/", `{"to":2}`, sameKey), &first)
	w.read(200, w.send(w.ann, "POST", "/api/environments/1/copy/", `{"to":2}`, sameKey), &again)
	if len(first.Created) != 200 || !slices.IsSorted(first.Created) || first.KeysOmitted || first.CreatedCount != 200 {
		t.Errorf("first %d keys, %+v", len(first.Created), first.CreatedCount)
	}
	if len(again.Created) != 0 || !again.KeysOmitted || again.CreatedCount != 200 || again.Message != first.Message {
		t.Errorf("again %+v", again)
	}
}

// Neither the refusals of copies and comparisons nor what the audit log tells
// of them holds a value.
func TestCopiesTellNoValues(t *testing.T) {
	w := newTwo(t)
	answers := []response{
		w.send(w.ann, "POST", "/api/environments/1/copy/", `{"to":2}`),
		w.send(w.ann, "POST", "/api/environments/1/copy/", `{"to":2,"keys":["NONE"]}`),
		w.send(w.ann, "POST", "/api/environments/1/promote/", promoteBody),
		w.get(w.ann, "/api/environments/1/diff/?with=2"),
		w.send(w.vic, "POST", "/api/environments/1/promote/", promoteBody),
		w.get(w.vic, "/api/environments/1/diff/?with=2&values=true"),
		w.get(w.bob, "/api/environments/1/diff/?with=2&values=true"),
	}
	w.damage("SAME")
	answers = append(answers,
		w.fails(500, "SERVER_ERROR", "Failed to decrypt: SAME", w.send(w.ann, "POST", "/api/environments/1/promote/", promoteBody)),
		w.get(w.ann, "/api/audit-logs/?page_size=100"))
	for i, a := range answers {
		if strings.Contains(a.body, "s3cret") || strings.Contains(fmt.Sprint(a.header), "s3cret") {
			t.Errorf("answer %d holds a value: %.300s", i, a.body)
		}
	}
}

// Whoever lacks a right in one environment changes nothing in any.
func TestWhoMayPromote(t *testing.T) {
	w := newTwo(t)
	w.codes([5]int{200, 200, 403, 404, 401}, "GET", "/api/environments/1/diff/?with=2", nil)
	dry := func() string { return `{"to":2,"remove_missing":true,"dry_run":true}` }
	w.codes([5]int{200, 200, 403, 404, 401}, "POST", "/api/environments/1/promote/", dry)
	w.codes([5]int{409, 409, 403, 404, 401}, "POST", "/api/environments/1/copy/", func() string { return `{"to":2}` })
	w.has(2, before)
	bobs := w.environment(w.bob, w.project(w.bob, 4, "Bobs"), "bobs")
	for _, who := range []string{w.ann, w.eve, w.vic} {
		a := w.send(who, "POST", "/api/environments/1/promote/", fmt.Sprintf(`{"to":%d}`, bobs))
		if want := map[string]int{w.vic: 403}[who]; a.code != max(want, 400) {
			t.Errorf("into what is not theirs: %d %s", a.code, a.body)
		}
	}
	w.counts(0, 0, w.get(w.bob, at("environments", bobs, "variables")))
}

// A service token goes no further by references, comparisons and copies than it
// does without them.
func TestServiceTokensAndReferences(t *testing.T) {
	w := newTwo(t)
	w.imports(1, `{"REF":"${stage.OLD}","NONE":"${none.OLD}","OWN":"<${dev.SAME}>","GONE":"${GOING}"}`)
	narrow, _ := w.service(w.ann, `{"name":"narrow","environment":1,"read_only":false}`)
	wide, _ := w.service(w.ann, `{"name":"wide","project":1,"read_only":false}`)
	reader, _ := w.service(w.ann, `{"name":"reader","project":1}`)
	for token, want := range map[string]map[string]string{
		narrow: {"REF": "forbidden", "NONE": "forbidden", "OWN": "<s>", "GONE": "unknown"}, // it may not know which there are
		wide:   {"REF": "old-s3cret", "NONE": "unknown", "OWN": "<s>", "GONE": "unknown"},
	} {
		var v struct {
			Results []struct {
				Key, Unresolved string
				Value           string `json:"decrypted_value"`
			}
		}
		w.read(200, w.get(token, "/api/environments/1/variables/?resolve=true"), &v)
		for _, r := range v.Results {
			if text, ok := want[r.Key]; ok && text != r.Value && text != r.Unresolved {
				t.Errorf("%s is %q %q, want %s", r.Key, r.Value, r.Unresolved, text)
			}
		}
	}
	w.notFound(w.get(narrow, "/api/environments/1/diff/?with=2"))
	w.notFound(w.send(narrow, "POST", "/api/environments/2/promote/", `{"to":1}`))
	w.invalid(`{"to":["Invalid pk \"2\" - object does not exist."]}`, w.send(narrow, "POST", "/api/environments/1/promote/", promoteBody))
	w.fails(403, "PERMISSION_DENIED", "This service token is read-only.", w.send(reader, "POST", "/api/environments/1/promote/", promoteBody))
	w.has(2, before)
	if a := w.send(wide, "POST", "/api/environments/1/promote/", `{"to":2,"keys":["TWO"]}`); a.code != 200 {
		t.Errorf("within its project: %d %s", a.code, a.body)
	}
}

// What grows exponentially ends at the bound, with an answer that is small.
func TestReferencesThatGrow(t *testing.T) {
	w := newShared(t)
	bomb := map[string]string{"L0": strings.Repeat("ha!", 100)}
	for i := range 60 {
		bomb[fmt.Sprint("L", i+1)] = strings.Repeat(fmt.Sprintf("${L%d}", i), 10)
	}
	w.imports(1, string(encode(bomb)))
	a := w.get(w.ann, "/api/environments/1/variables/?resolve=true")
	var v struct {
		Results []struct{ Key, Unresolved string }
	}
	w.read(200, a, &v)
	if len(v.Results) != 61 || len(a.body) > 1<<20 {
		t.Errorf("%d variables in %d bytes", len(v.Results), len(a.body))
	}
	for _, r := range v.Results {
		i := 0
		_, _ = fmt.Sscanf(r.Key, "L%d", &i)
		want := map[bool]string{true: "", false: "too large"}[i <= 3]
		if i > 32 {
			want = "too deep"
		}
		if r.Unresolved != want {
			t.Errorf("%s is %q, want %q", r.Key, r.Unresolved, want)
		}
	}
	a = w.get(w.ann, "/api/environments/1/export/?resolve=true")
	var e struct {
		Error, Code string
		References  map[string]string
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.code != 400 || len(e.References) != 57 || e.References["L60"] != "too deep" {
		t.Errorf("%d %.300s", a.code, a.body)
	}
}

// Comparisons with values and resolved lists are large reads like others.
func TestLargeComparisonsTakeTurns(t *testing.T) {
	room := semaphore.NewWeighted(largeReads)
	w := newShared(t, func(s *settings) { s.api.large = room })
	w.fill(w.ann, 1, 40)
	w.environment(w.ann, 1, "stage")
	var v comparison
	w.read(200, w.get(w.ann, "/api/environments/1/diff/?with=2&values=true"), &v)
	if len(v.Removed) != 40 {
		t.Errorf("%d removed", len(v.Removed))
	}
	if !room.TryAcquire(largeReads) {
		t.Fatal("what was answered still counts")
	}
	if a := w.get(w.ann, "/api/environments/1/diff/?with=2"); a.code != 200 {
		t.Errorf("without values: %d %s", a.code, a.body)
	}
	w.fill(w.ann, 2, 40)
	w.fill(w.ann, 1, 100)
	if a := w.send(w.ann, "HEAD", "/api/environments/1/diff/?with=2", ""); a.code != 200 {
		t.Errorf("HEAD: %d", a.code)
	}
	room.Release(largeReads)
	if a := w.get(w.ann, "/api/environments/1/diff/?with=2&values=true"); a.code != 200 {
		t.Errorf("60 values: %d %.200s", a.code, a.body)
	}
}
