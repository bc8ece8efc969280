package restdb

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/coveydb/covey/layer/collection"
)

func esc(text string) string { return url.QueryEscape(text) }

func TestListParameters(t *testing.T) {
	w := newWorld(t)
	w.people()
	for query, want := range map[string]string{
		"":                                    "ann bob cid dee",
		`q={"town":"oslo"}`:                   "ann cid",
		`q=` + esc(`{"town":"oslo"}`):         "ann cid",
		`&q={"town":"oslo"}&`:                 "ann cid",
		`q=`:                                  "ann bob cid dee",
		`q=null`:                              "ann bob cid dee",
		`q=undefined&h=undefined`:             "ann bob cid dee",
		`q={}&h={}`:                           "ann bob cid dee",
		`h=&sort=`:                            "ann bob cid dee",
		`unknown=1&_=170000`:                  "ann bob cid dee",
		"sort=age":                            "bob dee ann cid",
		"sort=age&dir=1":                      "bob dee ann cid",
		"sort=age&dir=-1":                     "cid ann bob dee",
		"sort=age&dir=+1":                     "bob dee ann cid",
		"&sort=name&dir=-1":                   "dee cid bob ann",
		"sort=age&dir=1&sort=name&dir=-1":     "dee bob ann cid",
		"sort=age&sort=name&dir=1&dir=-1":     "dee bob ann cid",
		"sort=_id&dir=-1":                     "dee cid bob ann",
		"sort=score":                          "cid dee bob ann",
		"max=2":                               "ann bob",
		"max=2&skip=1":                        "bob cid",
		"max=0":                               "",
		"max=99999999999999999999":            "ann bob cid dee",
		"skip=3":                              "dee",
		"skip=10":                             "",
		"filter=OSLO":                         "ann cid",
		"filter=os+31":                        "ann",
		"filter=nobody":                       "",
		`h={"$orderby":{"age":-1,"name":-1}}`: "cid ann dee bob",
		`h={"$orderby":{"age":+1}}`:           "bob dee ann cid", // + is a blank
		`h={"$max":1}&max=3`:                  "ann",
		`h={"$skip":2}&skip=0`:                "cid dee",
		`h={"$orderby":{"age":1}}&sort=name&dir=-1`: "bob dee ann cid",
		`q={"age":{"$gt":17}}&sort=age&max=1`:       "ann",
		`q={"age":{"$bt":[17,31]}}`:                 "ann bob dee",
		"consistency=stale":                         "ann bob cid dee",
	} {
		if got := w.names(w.get("/rest/people?" + query)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{
		"q=x", `q={"a":1`, `q=[]`, `q=7`, `q={"a":"x`, `q={"a":{"$frob":1}}`, `q={"a":1}&q={"b":1}`, `q={"a":1,"a":2}`,
		`h=x`, `h=[]`, `h={"$max":"x"}`, `h={"$fields":{"a":1,"b":0}}`, `h={"$orderby":{"a":2}}`,
		"max=x", "max=-1", "max=1.5", "skip=x", "skip=-1", "sort=age&dir=2", "sort=age&dir=desc",
		"groupby=$FROB:x", "aggregate=SUM", "aggregate=FROB:x", "consistency=maybe", "filter=" + strings.Repeat("x", 5000),
	} {
		w.fails(400, "BadRequest", w.get("/rest/people?"+query))
	}
}

// A q with ; or a bare % must not be dropped, as net/url would.
func TestNothingOfAQueryIsLost(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/rest/people", `[{"name":"x;y"},{"name":"50%"},{"name":"a+b"},{"name":"a b"},{"name":"{\"ü\"}"}]`)
	for query, want := range map[string]string{
		`q={"name":"x;y"}`:     "x;y",
		`q={"name":"50%"}`:     "50%",
		`q={"name":"a+b"}`:     "a b",
		`q={"name":"a%2Bb"}`:   "a+b",
		`q={"name":"x%3by"}`:   "x;y",
		`q={"name":"{\"ü\"}"}`: `{"ü"}`,
	} {
		if got := w.names(w.get("/rest/people?" + query)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestTotals(t *testing.T) {
	w := newWorld(t)
	w.people()
	for query, want := range map[string]string{
		"":                            `{"total":4,"count":4,"skip":0,"max":1000}`,
		"max=2&skip=1":                `{"total":4,"count":2,"skip":1,"max":2}`,
		"max=0":                       `{"total":4,"count":0,"skip":0,"max":0}`,
		"skip=7":                      `{"total":4,"count":0,"skip":7,"max":1000}`,
		`q={"town":"oslo"}`:           `{"total":2,"count":2,"skip":0,"max":1000}`,
		`q={"town":"oslo"}&max=1`:     `{"total":2,"count":1,"skip":0,"max":1}`,
		`q={"town":"oslo"}&skip=2`:    `{"total":2,"count":0,"skip":2,"max":1000}`,
		`q={"town":"x"}`:              `{"total":0,"count":0,"skip":0,"max":1000}`,
		`sort=age&max=1&filter=rome`:  `{"total":2,"count":1,"skip":0,"max":1}`,
		`h={"$max":1,"$skip":1}`:      `{"total":4,"count":1,"skip":1,"max":1}`,
		`totals=true&count=true`:      `{"total":4,"count":4,"skip":0,"max":1000}`,
		`aggregate=COUNT:x`:           `{"total":4,"count":4,"skip":0,"max":4}`,
		`aggregate=COUNT:x&max=3`:     `{"total":4,"count":3,"skip":0,"max":3}`,
		`q={"$distinct":"town"}`:      `{"total":4,"count":4,"skip":0,"max":4}`,
		`groupby=town&skip=1&format=`: `{"total":4,"count":3,"skip":1,"max":3}`,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := w.do(method, "/rest/people?"+query, "", withKey)
			if got := a.header.Get("X-Pagination"); got != want {
				t.Errorf("%s %s: %s, want %s", method, query, got, want)
			}
			if method == "HEAD" && (a.body != "" || a.code != 200) {
				t.Errorf("HEAD %s: %d %q", query, a.code, a.body)
			}
		}
	}
	w.is(200, `{"data":[{"_id":"000000000000000000000002","name":"bob"}],"totals":{"total":2,"count":1,"skip":0,"max":1}}`,
		w.get(`/rest/people?totals=true&max=1&q={"town":"rome"}&h={"$fields":{"name":1}}`))
	w.is(200, `{"data":[],"totals":{"total":2,"count":2,"skip":0,"max":1000}}`, w.get(`/rest/people?totals=true&count=true&max=1&q={"town":"rome"}`))
	w.is(200, `{"data":{"COUNT x":2},"totals":{"total":2,"count":2,"skip":0,"max":2}}`, w.get(`/rest/people?totals=true&aggregate=COUNT:x&q={"town":"rome"}`))
}

func TestGroupsAndAggregates(t *testing.T) {
	w := newWorld(t)
	w.people()
	ann, cid := `{"_id":"000000000000000000000001","name":"ann","age":31,"town":"oslo","score":10.5}`, `{"_id":"000000000000000000000003","name":"cid","age":45,"town":"oslo"}`
	for query, want := range map[string]string{
		`q={"$distinct":"town"}`:                                                         `["oslo","rome"]`,
		`q={"$distinct":"town"}&sort=town&dir=-1`:                                        `["rome","oslo"]`,
		`q={"$distinct":"age","town":"rome"}`:                                            `[17]`,
		`h={"$aggregate":["SUM:score","AVG:age","COUNT:","COUNT:n"]}`:                    `{"SUM score":21.5,"AVG age":27.5,"COUNT ":4,"COUNT n":4}`,
		`aggregate=MAX:score`:                                                            `{"MAX score":` + ann + `}`,
		`q={"town":"oslo"}&groupby=town`:                                                 `{"oslo":[` + ann + `,` + cid + `]}`,
		`groupby=town&aggregate=COUNT:n`:                                                 `{"oslo":{"COUNT n":2},"rome":{"COUNT n":2}}`,
		`groupby=town&aggregate=COUNT:n&aggregate=SUM:age`:                               `{"oslo":{"COUNT n":2,"SUM age":76},"rome":{"COUNT n":2,"SUM age":34}}`,
		`h={"$groupby":["town","age"],"$aggregate":["COUNT:n"]}`:                         `{"oslo":{"31":{"COUNT n":1},"45":{"COUNT n":1}},"rome":{"17":{"COUNT n":2}}}`,
		`h={"$groupby":["town"],"$aggregate":["COUNT:n"],"$aggregate-grand-total":true}`: `{"oslo":{"COUNT n":2},"rome":{"COUNT n":2},"COUNT n":4}`,
		`q={"town":"x"}&aggregate=SUM:age&aggregate=AVG:age`:                             `{"SUM age":0,"AVG age":null}`,
		`groupby=score&aggregate=COUNT:&max=3&q={"town":"oslo"}`:                         `{"10.5":{"COUNT ":1},"null":{"COUNT ":1}}`,
		`aggregate=COUNT:&max=3`:                                                         `{"COUNT ":3}`,
	} {
		w.is(200, want, w.get("/rest/people?"+query))
	}
}

func TestWhatADocumentShows(t *testing.T) {
	w := newWorld(t)
	w.people()
	path := "/rest/people/000000000000000000000001"
	plain := `{"_id":"000000000000000000000001","name":"ann","age":31,"town":"oslo","score":10.5}`
	for _, query := range []string{"", "metafields=false", "metafields=0", "metafields=", "consistency=linearizable"} {
		w.is(200, plain, w.get(path+"?"+query))
	}
	w.is(200, plain, w.get(path+"/"))
	w.is(200, plain, w.get("/rest/%70eople/000000000000000000000001"))
	for _, query := range []string{"metafields=true", "metafields=1", "metafields=yes", `h={"metafields":true}`, "metafields=true?q={}"} {
		if a := w.get(path + "?" + query); !strings.HasSuffix(a.body, `"_keywords":["ann","31","oslo","10","5","api"],"_tags":"ann 31 oslo 10 5 api","_version":0}`) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	w.is(200, plain, w.get(path+`?metafields=true&h={"metafields":false}`))
	w.is(200, `{"_id":"000000000000000000000001","age":31}`, w.get(path+`?h={"$fields":{"age":1}}`))
	w.is(200, `{"name":"ann"}`, w.get(path+`?h={"$fields":{"name":1,"_id":0}}`))
	w.is(200, `{"_id":"000000000000000000000001","_version":0}`, w.get(path+`?h={"$fields":{"_version":1}}`))
	a := w.get(path)
	if a.header.Get("Covey-Consistency") != "linearizable" || a.header.Get("Covey-Version") == "" {
		t.Errorf("headers %v", a.header)
	}
	if a := w.get(path + "?consistency=stale"); a.header.Get("Covey-Consistency") != "stale" {
		t.Errorf("a stale read says %q", a.header.Get("Covey-Consistency"))
	}
	if a := w.do("HEAD", path, "", withKey); a.code != 200 || a.body != "" || a.header.Get("Content-Length") != fmt.Sprint(len(plain)) {
		t.Errorf("HEAD: %d %q %v", a.code, a.body, a.header)
	}
	for _, gone := range []string{"/rest/people/ffffffffffffffffffffffff", "/rest/people/nope", "/rest/people/00000000000000000000000A", "/rest/nobody", "/rest/nobody/000000000000000000000001"} {
		w.fails(404, "NotFound", w.get(gone))
	}
	w.fails(400, "BadRequest", w.get(path+"?h=x"))
}

func TestFormats(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/rest/my-list", `[{"_id":"000000000000000000000001","a":"<script>x</script>"},{"_id":"000000000000000000000002","b":[1]}]`)
	list := `[{"_id":"000000000000000000000001","a":"<script>x</script>"},{"_id":"000000000000000000000002","b":[1]}]`
	w.is(200, list, w.get("/rest/my-list?format=json"))
	for _, path := range []string{"/rest/my-list.js", "/rest/my-list?format=js", "/rest/my-list.js/"} {
		a := w.get(path)
		if a.code != 200 || a.body != `globalThis["my-list"]=`+list+";\n" || a.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%s: %d %s %v", path, a.code, a.body, a.header)
		}
	}
	if a := w.get("/rest/my-list.js?totals=true&count=true"); a.body != `globalThis["my-list"]={"data":[],"totals":{"total":2,"count":2,"skip":0,"max":1000}};`+"\n" {
		t.Errorf("totals as a script: %s", a.body)
	}
	if a := w.get("/rest/my-list.js?max=1&aggregate=COUNT:"); a.body != `globalThis["my-list"]={"COUNT ":1};`+"\n" {
		t.Errorf("an aggregate as a script: %s", a.body)
	}
	for _, path := range []string{"/rest/my-list.html", "/rest/my-list?format=html"} {
		a := w.get(path, "Accept: text/html,*/*;q=0.8")
		want := "<!doctype html>\n<meta charset=utf-8>\n<title>my-list</title>\n<table border=1>\n<tr><th>_id<th>a<th>b" +
			"\n<tr><td>000000000000000000000001<td>&lt;script&gt;x&lt;/script&gt;<td>\n<tr><td>000000000000000000000002<td><td>[1]\n</table>\n"
		if a.code != 200 || a.body != want || a.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s: %d %s %v", path, a.code, a.body, a.header)
		}
	}
	for _, path := range []string{"/rest/my-list.xml", "/rest/my-list?format=xml", "/rest/my-list.tar.gz", "/rest/my-list/000000000000000000000001?format=csv"} {
		w.fails(406, "NotAcceptable", w.get(path))
	}
	w.fails(406, "NotAcceptable", w.get("/rest/my-list", "Accept: text/html"))
	w.fails(406, "NotAcceptable", w.send("POST", "/rest/my-list", "{}", "Accept: application/json;q=0, */*"))
	w.fails(404, "NotFound", w.get("/rest/none.html"))
	for _, accept := range []string{"*/*", "application/*", "application/json", "text/html, */*;q=0.1", "application/json, text/javascript, */*; q=0.01", "application/vnd.api+json"} {
		w.is(200, list, w.get("/rest/my-list", "Accept: "+accept))
	}
}

func TestLongListsComeInPieces(t *testing.T) {
	w := newWorld(t)
	var body strings.Builder
	body.WriteString("[")
	for i := range 3000 {
		if i > 0 {
			body.WriteString(",")
		}
		fmt.Fprintf(&body, `{"_id":"%024x","n":%d,"fill":"%s"}`, i+1, i, strings.Repeat("x", 1000))
	}
	body.WriteString("]")
	if a := w.send("POST", "/rest/items", body.String()); a.code != 201 {
		t.Fatalf("%d %.200s", a.code, a.body)
	}
	a := w.is(200, body.String(), w.get("/rest/items?max=5000"))
	if got, want := a.header.Get("X-Pagination"), `{"total":3000,"count":3000,"skip":0,"max":5000}`; got != want || a.header.Get("Content-Length") != "" {
		t.Errorf("X-Pagination %s, Content-Length %q", got, a.header.Get("Content-Length"))
	}
	a = w.get(`/rest/items?max=2000&skip=500&totals=true&q={"n":{"$lt":2900}}&sort=n&dir=-1`)
	want := `],"totals":{"total":2900,"count":2000,"skip":500,"max":2000}}`
	if got := a.header.Get("X-Pagination"); !strings.HasSuffix(a.body, want) || !strings.HasPrefix(a.body, `{"data":[{"_id":"`+fmt.Sprintf("%024x", 2400)) || got != `{"total":2900,"count":2000,"skip":500,"max":2000}` {
		t.Errorf("%d %.100s ... %s, %s", a.code, a.body, a.body[len(a.body)-100:], got)
	}
	if a := w.get("/rest/items.js?max=3000"); a.body != `globalThis["items"]=`+body.String()+";\n" {
		t.Errorf("a long script: %.100s ... %s", a.body, a.body[len(a.body)-100:])
	}
	if a := w.do("HEAD", "/rest/items?max=3000", "", withKey); a.code != 200 || a.header.Get("X-Pagination") != `{"total":3000,"count":3000,"skip":0,"max":3000}` {
		t.Errorf("HEAD: %d %v", a.code, a.header)
	}
	if a := w.get("/rest/items"); a.header.Get("X-Pagination") != `{"total":3000,"count":1000,"skip":0,"max":1000}` || strings.Count(a.body, "_id") != 1000 {
		t.Errorf("the default list: %s", a.header.Get("X-Pagination"))
	}
}

func TestExplain(t *testing.T) {
	w := newWorld(t)
	w.people()
	a := w.get(`/rest/people?explain=true&q={"town":"oslo"}`)
	if a.code != 200 || !strings.Contains(a.body, `"plan":"documents"`) || !strings.Contains(a.body, `"matched":2`) || a.header.Get("X-Pagination") != "" {
		t.Errorf("%d %s %v", a.code, a.body, a.header)
	}
	key := "x-apikey: " + w.key(collection.KeySpec{Web: true, Paths: []string{"**"}, Methods: []string{"GET"}, Origins: []string{"*"}})
	if text := w.fails(403, "Forbidden", w.do("GET", "/rest/people?explain=true", "", key)); !strings.Contains(text, "full-access") {
		t.Errorf("to a web key: %s", text)
	}
}
