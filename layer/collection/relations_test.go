package collection

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection/query"
)

const (
	idLoc1 = "aaaaaaaaaaaaaaaaaaaaaaa1"
	idLoc2 = "aaaaaaaaaaaaaaaaaaaaaaa2"
	idItem = "bbbbbbbbbbbbbbbbbbbbbbb1"
	idPart = "ccccccccccccccccccccccc1"
)

// related is a world with items that are at locations and have parts.
func relatedWorld(t *testing.T, cfg Config) *world {
	w := newWorld(t, cfg)
	w.schema("item", fieldsOf(t, `{"fields":[{"name":"location","fieldtype":"collection","collection":"location","relation":"many"},
		{"name":"parts","fieldtype":"collection","collection":"part","relation":"child"},{"name":"photo","fieldtype":"image"}]}`))
	w.schema("part", fieldsOf(t, `{"fields":[{"name":"made","fieldtype":"collection","collection":"location","relation":"one"}]}`))
	w.insert("location", `[{"_id":"`+idLoc1+`","name":"attic"},{"_id":"`+idLoc2+`","name":"cellar"}]`)
	w.insert("item", `{"_id":"`+idItem+`","name":"chair","location":["`+idLoc2+`","`+id1+`",{"_id":"`+idLoc1+`"}],"parts":[{"name":"ignored"}],"photo":"`+id2+`","deep":{"a":{"b":1},"l":[{"c":2}]}}`)
	w.insert("part", `[{"_id":"`+idPart+`","name":"leg","made":"`+idLoc1+`","_parent_id":"`+idItem+`","_parent_def":"item","_parent_field":"parts"},
		{"name":"of another","_parent_id":"`+id1+`","_parent_def":"item","_parent_field":"parts"},
		{"name":"of another field","_parent_id":"`+idItem+`","_parent_def":"item","_parent_field":"spares"}]`)
	return w
}

// shown returns a document as an answer shows it.
func (w *world) shown(name, id string, o ExpandOptions) (text string, err error) {
	w.t.Helper()
	_, err = w.DB.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Read)
		if err != nil {
			return err
		}
		d, ok, err := c.Get(oid(w.t, id))
		if err != nil || !ok {
			return err
		}
		p, err := c.Expander(context.Background(), o).Append([]byte("x"), d)
		text = strings.TrimPrefix(string(p), "x")
		return err
	})
	return text, err
}

func TestExpansion(t *testing.T) {
	w := relatedWorld(t, Config{})
	const (
		head      = `{"_id":"` + idItem + `","name":"chair",`
		locations = `"location":[{"_id":"` + idLoc2 + `","name":"cellar"},{"_id":"` + idLoc1 + `","name":"attic"}],`
		photo     = `"photo":["` + id2 + `"],`
		deep      = `"deep":{"a":{"b":1},"l":[{"c":2}]}`
		parent    = `"_parent_id":"` + idItem + `","_parent_def":"item","_parent_field":"parts"`
		meta      = `"_created":"2016-03-16T21:31:31.627Z","_changed":"2016-03-16T21:31:31.627Z","_createdby":"api","_changedby":"api",`
	)
	for _, tt := range []struct {
		what, coll, id string
		o              ExpandOptions
		want           string
	}{
		{"lookups", "item", idItem, ExpandOptions{}, head + locations + photo + deep + `}`},
		{
			"children", "item", idItem, ExpandOptions{Children: true},
			head + locations + photo + deep + `,"parts":[{"_id":"` + idPart + `","name":"leg","made":[{"_id":"` + idLoc1 + `","name":"attic"}],` + parent + `}]}`,
		},
		{
			"links", "item", idItem, ExpandOptions{IDToLink: true, Base: "http://h:1"},
			head + `"location":["http://h:1/rest/location/` + idLoc2 + `","http://h:1/rest/location/` + id1 + `","http://h:1/rest/location/` + idLoc1 + `"],` +
				`"photo":["http://h:1/media/` + id2 + `"],` + deep + `}`,
		},
		{"flat", "item", idItem, ExpandOptions{Flatten: true}, head + locations + photo + `"deep.a.b":1,"deep.l":[{"c":2}]}`},
		{
			"metafields of lookups too", "part", idPart, ExpandOptions{Metafields: true},
			`{"_id":"` + idPart + `","name":"leg","made":[{"_id":"` + idLoc1 + `","name":"attic",` + meta +
				`"_keywords":["attic","api"],"_tags":"attic api","_version":0}],` + parent + `,` + meta +
				`"_keywords":["leg","aaaaaaaaaaaaaaaaaaaaaaa1","api"],"_tags":"leg aaaaaaaaaaaaaaaaaaaaaaa1 api","_version":0}`,
		},
		{
			"references", "location", idLoc1, ExpandOptions{ReferencedBy: true},
			`{"_id":"` + idLoc1 + `","name":"attic","_referencedby":[{"collection":"item","_id":"` + idItem + `","field":"location"},` +
				`{"collection":"part","_id":"` + idPart + `","field":"made"}]}`,
		},
		{"no schema", "location", idLoc1, ExpandOptions{Children: true, IDToLink: true}, `{"_id":"` + idLoc1 + `","name":"attic"}`},
	} {
		t.Run(tt.what, func(t *testing.T) {
			got, err := w.shown(tt.coll, tt.id, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestQueriesThroughLookups(t *testing.T) {
	w := relatedWorld(t, Config{})
	for q, want := range map[string]int{
		`{"location._id":"` + idLoc1 + `"}`: 1, `{"location.name":"cellar"}`: 1, `{"location.name":"roof"}`: 0, `{"location":"` + idLoc1 + `"}`: 1,
	} {
		w.look(func(tx *kv.Tx) error {
			c, err := w.open(tx, "item", Read)
			if err != nil {
				return err
			}
			parsed, err := query.Parse([]byte(q), at)
			if err != nil {
				return err
			}
			found, err := c.Select(context.Background(), &query.Spec{Query: parsed, Max: -1})
			if err != nil {
				return err
			}
			n := 0
			for _, err := range found.Documents() {
				if err != nil {
					return err
				}
				n++
			}
			if n != want {
				t.Errorf("%s: %d documents, want %d", q, n, want)
			}
			return nil
		})
	}
}

// Flattening names no member twice.
func TestFlattenedNamesDiffer(t *testing.T) {
	fields := flatten(split([]byte(`{"a":{"b":1},"a.b":2,"c":{},"d":{"e":{}}}`)))
	if got, want := string(joinObject(fields)), `{"a.b":1,"c":{},"d.e":{}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExpansionIsBounded(t *testing.T) {
	w := relatedWorld(t, Config{MaxResult: 5_000})
	w.insert("location", `{"_id":"`+id3+`","text":"`+strings.Repeat("x", 3_000)+`"}`)
	w.insert("item", `{"_id":"`+id3+`","location":["`+id3+`","`+id3+`"]}`)
	if _, err := w.shown("item", id3, ExpandOptions{}); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "max") {
		t.Errorf("got %v", err)
	}
}

// Users see of other collections what they could read there.
func TestExpansionKeepsToRoles(t *testing.T) {
	w := relatedWorld(t, Config{})
	show := func(o ExpandOptions) (text string) {
		w.look(func(tx *kv.Tx) error {
			c, err := w.open(tx, "item", Read)
			if err != nil {
				return err
			}
			c.user, c.full, c.by = &member{email: "eve@x.org", roles: []string{"staff"}}, false, "eve@x.org"
			d, _, err := c.Get(oid(t, idItem))
			if err != nil {
				return err
			}
			p, err := c.Expander(context.Background(), o).Append(nil, d)
			text = string(p)
			return err
		})
		return text
	}
	roles := func(r *Roles) {
		w.must(func(tx *kv.Tx) error { return w.s.SetRoles(tx, DefaultDatabase, "location", r) })
	}
	want := func(what, part string) {
		t.Helper()
		if got := show(ExpandOptions{Children: true}); !strings.Contains(got, part) || !strings.Contains(got, `"parts":[]`) {
			t.Errorf("%s: got %s, want %s", what, got, part)
		}
	}
	want("closed", `"location":[]`)
	roles(&Roles{Read: []string{"admin"}})
	want("another role", `"location":[]`)
	roles(&Roles{Read: []string{"staff"}})
	want("open", `"cellar"`)
	roles(&Roles{Read: []string{"staff"}, Private: true})
	want("private", `"location":[]`)
}

func TestChildrenNeedASchema(t *testing.T) {
	w := relatedWorld(t, Config{})
	w.look(func(tx *kv.Tx) error {
		c, err := w.open(tx, "item", Read)
		if err != nil {
			return err
		}
		s := &Session{store: w.s, tx: tx, db: DefaultDatabase, by: byKey, full: true}
		for field, want := range map[string]string{"parts": "part", "location": "", "name": "", "": ""} {
			child, err := s.Child(c, field, Read)
			switch {
			case want == "" && !errs.Is(err, errs.NotFound):
				t.Errorf("%q: got %v, want not found", field, err)
			case want != "" && (err != nil || child.Name() != want):
				t.Errorf("%q: %v, want %s", field, err, want)
			}
		}
		return nil
	})
}

// A web key sees of lookups that lead out of its scope nothing but ids, and its
// queries neither.
func TestLookupsOutOfAKeysScope(t *testing.T) {
	g := newGate(t)
	w := &world{t: t, Store: g.Store, s: g.s}
	w.schema("pub", fieldsOf(t, `{"fields":[{"name":"sec","fieldtype":"collection","collection":"sec","relation":"many"},
		{"name":"parts","fieldtype":"collection","collection":"part","relation":"child"}]}`))
	w.schema("part", fieldsOf(t, `{"fields":[{"name":"sec","fieldtype":"collection","collection":"sec","relation":"one"}]}`))
	w.schema("sec", fieldsOf(t, `{"fields":[{"name":"pub","fieldtype":"collection","collection":"pub","relation":"one"}]}`))
	w.insert("sec", `{"_id":"`+idLoc1+`","name":"hidden","pub":"`+idItem+`"}`)
	w.insert("pub", `{"_id":"`+idItem+`","sec":["`+idLoc1+`","`+idLoc2+`"]}`) // the second is not there
	w.insert("part", `{"_id":"`+idPart+`","sec":"`+idLoc1+`","_parent_id":"`+idItem+`","_parent_def":"pub","_parent_field":"parts"}`)
	const (
		head = `{"_id":"` + idItem + `","sec":[`
		part = `],"parts":[{"_id":"` + idPart + `","sec":[`
		tail = `],"_parent_id":"` + idItem + `","_parent_def":"pub","_parent_field":"parts"}]`
		id   = `{"_id":"` + idLoc1 + `"}`
		full = `{"_id":"` + idLoc1 + `","name":"hidden","pub":["` + idItem + `"]}`
		none = head + id + `,{"_id":"` + idLoc2 + `"}` + part + id + tail + `,"_referencedby":[]}`
		all  = head + full + part + full + tail + `,"_referencedby":[{"collection":"sec","_id":"` + idLoc1 + `","field":"pub"}]}`
	)
	for name, tt := range map[string]struct {
		spec          KeySpec
		method        string
		want          string
		named, hasIDs int // found by the name, and by the id, behind the lookup
	}{
		"in scope":             {web("pub sec", "GET", "*"), "GET", all, 1, 1},
		"any path":             {web("**", "GET", "*"), "GET", all, 1, 1},
		"a full key":           {KeySpec{}, "GET", all, 1, 1},
		"out of scope":         {web("pub", "GET", "*"), "GET", none, 0, 1},
		"below the collection": {web("pub sec/x/*", "GET", "*"), "GET", none, 0, 1},
		"a method but GET":     {web("pub sec", "DELETE", "*"), "DELETE", none, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			key, _ := g.key(DefaultDatabase, tt.spec)
			w.look(func(tx *kv.Tx) error {
				e, err := g.s.Enter(t.Context(), tx, Caller{Key: credential(key), Method: tt.method, Path: "pub"})
				if err != nil {
					return err
				}
				c, err := e.Collection("pub", Read)
				if err != nil {
					return err
				}
				d, _, err := c.Get(oid(t, idItem))
				if err != nil {
					return err
				}
				p, err := c.Expander(t.Context(), ExpandOptions{Children: true, ReferencedBy: true}).Append(nil, d)
				if err != nil || string(p) != tt.want {
					t.Errorf("got %s, %v\nwant %s", p, err, tt.want)
				}
				for text, want := range map[string]int{`{"sec.name":"hidden"}`: tt.named, `{"sec._id":"` + idLoc1 + `"}`: tt.hasIDs} {
					q, err := query.Parse([]byte(text), at)
					if err != nil {
						return err
					}
					sel, err := c.Select(t.Context(), &query.Spec{Query: q, Max: -1})
					if err != nil {
						return err
					}
					if n, err := sel.Total(); n != want || err != nil {
						t.Errorf("%s: %d found, %v, want %d", text, n, err, want)
					}
				}
				return nil
			})
		})
	}
}
