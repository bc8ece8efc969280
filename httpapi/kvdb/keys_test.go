package kvdb

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Sections 3, 4, 6 and 7 of the contract: keys, values, counters, expiry.

func TestValuesAreStoredRaw(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	key := "/" + id + "/k"
	for _, tt := range []struct{ name, method, contentType, value, want string }{
		{"curl -d", "POST", "application/x-www-form-urlencoded", "a=b&c=%20+", "text/plain; charset=utf-8"},
		{"JSON", "PUT", "application/json", `{"a": 1}`, "text/plain; charset=utf-8"},
		{"null", "PUT", "application/json", "null", "text/plain; charset=utf-8"},
		{"empty", "PUT", "application/json", "", "text/plain; charset=utf-8"},
		{"no type", "POST", "", "plain", "text/plain; charset=utf-8"},
		{"multipart", "POST", "multipart/form-data; boundary=x", "--x\r\n\r\n--x--", "text/plain; charset=utf-8"},
		{"HTML is no page", "PUT", "text/html", "<script>alert(1)</script>", "text/plain; charset=utf-8"},
		{"unicode", "PUT", "text/plain", "grün 🌱", "text/plain; charset=utf-8"},
		{"binary", "PUT", "image/png", "\x89PNG\x00\xff", "application/octet-stream"},
		{"newlines", "PUT", "text/plain", "a\r\nb\n", "text/plain; charset=utf-8"},
		{"number", "PUT", "text/plain", "007", "text/plain; charset=utf-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var headers []string
			if tt.contentType != "" {
				headers = append(headers, "Content-Type: "+tt.contentType)
			}
			set := w.want(200, "", tt.method, key, tt.value, headers...)
			if set.header.Get("Content-Length") != "0" {
				t.Errorf("set: Content-Length %q", set.header.Get("Content-Length"))
			}
			get := w.want(200, tt.value, "GET", key, "", "Accept: application/json")
			head := w.want(200, "", "HEAD", key, "")
			for _, h := range []string{"Content-Type", "Content-Length", "Etag", "X-Content-Type-Options", "Cache-Control"} {
				if g, h2 := get.header.Get(h), head.header.Get(h); g != h2 || g == "" {
					t.Errorf("%s: GET says %q, HEAD %q", h, g, h2)
				}
			}
			if got := get.header.Get("Content-Type"); got != tt.want {
				t.Errorf("Content-Type %q, want %q", got, tt.want)
			}
			if get.header.Get("Content-Length") != fmt.Sprint(len(tt.value)) {
				t.Errorf("Content-Length %q of %d bytes", get.header.Get("Content-Length"), len(tt.value))
			}
		})
	}
}

func TestValueSize(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	w.want(200, "", "PUT", "/"+id+"/k", strings.Repeat("v", 16384))
	a := w.refused(400, "PUT", "/"+id+"/k", strings.Repeat("w", 16385))
	if !strings.Contains(a.header.Get("Covey-Reason"), "16384") {
		t.Errorf("the reason %q does not name the limit", a.header.Get("Covey-Reason"))
	}
	w.want(200, strings.Repeat("v", 16384), "GET", "/"+id+"/k", "")

	w = newWorld(t, func(s *settings) { s.layer.MaxValue = 40000 })
	id = w.bucket()
	w.want(200, "", "PUT", "/"+id+"/k", strings.Repeat("v", 40000))
	w.refused(400, "PUT", "/"+id+"/k", strings.Repeat("v", 40001))
}

func TestMissingKeys(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	w.refused(404, "GET", "/"+id+"/missing", "", "Accept: application/json")
	w.refused(404, "HEAD", "/"+id+"/missing", "")
	w.want(200, "", "DELETE", "/"+id+"/missing", "")
	w.want(200, "", "PUT", "/"+id+"/k", "v")
	w.want(200, "", "DELETE", "/"+id+"/k", "")
	w.refused(404, "GET", "/"+id+"/k", "")
}

func TestCounters(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	n := 0
	for _, tt := range []struct{ stored, patch, want string }{
		{"", "+1", "1"}, {"", "1", "1"}, {"", "-1", "-1"}, {"", "0", "0"}, {"", "+1.01", "1.01"},
		{"41", "+1", "42"}, {"41", "-41", "0"}, {"1", "+0.5", "1.5"}, {"1.5", "+1", "2.5"}, {"7", "0", "7"},
		{"9223372036854775806", "+1", "9223372036854775807"}, {"1e20", "+0.0", "1e+20"}, {"-5", "+10", "5"},
	} {
		n++
		key := fmt.Sprintf("/%s/c%d", id, n)
		if tt.stored != "" {
			w.want(200, "", "PUT", key, tt.stored)
		}
		a := w.want(200, tt.want, "PATCH", key, tt.patch, "Content-Type: application/x-www-form-urlencoded")
		if a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("Content-Type %q", a.header.Get("Content-Type"))
		}
		w.want(200, tt.want, "GET", key, "")
	}
	for _, bad := range []string{"", "+", "-", "x", "+x", "1 ", " 1", "++1", "+-1", "1e999", "0x1", "01", strings.Repeat("1", 600), "NaN"} {
		w.refused(400, "PATCH", "/"+id+"/bad", bad)
	}
	w.refused(404, "GET", "/"+id+"/bad", "")
	for _, stored := range []string{"007", "+1", "1e", "text", "", "9223372036854775808", "1e999", " 1", "1\n", "0x10"} {
		w.want(200, "", "PUT", "/"+id+"/s", stored)
		w.refused(400, "PATCH", "/"+id+"/s", "+1")
		w.want(200, stored, "GET", "/"+id+"/s", "")
	}
	w.want(200, "", "PUT", "/"+id+"/max", "9223372036854775807")
	w.refused(400, "PATCH", "/"+id+"/max", "+1")
	w.want(200, "9223372036854775807", "GET", "/"+id+"/max", "")
	w.want(200, "", "PUT", "/"+id+"/max", "1.7e308")
	w.refused(400, "PATCH", "/"+id+"/max", "+1.7e308")
	w.want(200, "", "PUT", "/"+id+"/max", "overwritten with another type")
}

func TestConcurrentCountersEachSeeTheirOwnSum(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	const n = 32
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			a := w.do("PATCH", "/"+id+"/lock", "+1")
			mu.Lock()
			defer mu.Unlock()
			seen[a.body] = a.code == 200
		})
	}
	all.Wait()
	for i := 1; i <= n; i++ {
		if !seen[fmt.Sprint(i)] {
			t.Errorf("nobody was answered %d", i)
		}
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("default_ttl", "100")
	key := func(k string) string { return "/" + id + "/" + k }
	w.want(200, "", "PUT", key("default"), "v")
	w.want(200, "", "PUT", key("short?ttl=6"), "v")
	w.want(200, "", "PUT", key("forever?ttl=0"), "v")
	w.want(200, "1", "PATCH", key("count?ttl=10"), "+1")
	w.want(200, "", "POST", "/"+id, `{"txn":[{"set":"txn","value":"v","ttl":6},{"set":"txn2","value":"v"}]}`)
	w.store.Advance(5 * time.Second)
	w.want(200, "v", "GET", key("short"), "")
	w.store.Advance(time.Second)
	for _, gone := range []string{"short", "txn"} {
		w.refused(404, "GET", key(gone), "")
	}
	w.want(200, "count\ndefault\nforever\ntxn2\n", "GET", "/"+id, "")
	w.want(200, "2", "PATCH", key("count?ttl=10"), "+1")
	w.store.Advance(9 * time.Second)
	w.want(200, "3", "PATCH", key("count"), "+1") // every PATCH restarts the clock
	w.store.Advance(11 * time.Second)
	w.want(200, "4", "PATCH", key("count?ttl=1"), "+1") // which was the default's 100 s
	w.store.Advance(time.Second)
	w.want(200, "1", "PATCH", key("count"), "+1") // an expired counter counts as 0
	w.want(200, "", "PUT", key("default"), "again")
	w.store.Advance(99 * time.Second)
	w.want(200, "again", "GET", key("default"), "")
	w.store.Advance(time.Second)
	w.want(200, "forever\n", "GET", "/"+id, "")
	for _, bad := range []string{"-1", "1.5", "x", "", "1e3", "%2B1", "99999999999999999999", "9999999999999"} {
		w.refused(400, "PUT", key("k?ttl=")+bad, "v")
		w.refused(400, "PATCH", key("k?ttl=")+bad, "+1")
	}
	w.refused(404, "GET", key("k"), "")
}

func TestTransactions(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	txn := func(ops string) string { return `{"txn":[` + ops + `]}` }
	w.want(200, "", "POST", "/"+id, txn(`{"set":"a","value":"1"},{"set":"b","value":"x"},{"delete":"a"},{"set":"c","value":"y","ttl":60},{"delete":"absent"}`),
		"Content-Type: application/x-www-form-urlencoded")
	w.want(200, "b=x\nc=y\n", "GET", "/"+id+"?values=true", "")
	w.want(200, "", "POST", "/"+id, `{"txn":[]}`)
	w.want(200, "", "POST", "/"+id, ` { "note": 1, "txn" : [ ] } `)

	good := `{"set":"evil","value":"1"},`
	for _, bad := range []string{
		"", "x", "[]", "null", `{}`, `{"txn":null}`, `{"txn":{}}`, `{"txn":"x"}`, `{"txn":[]`, `{"txn":[]}x`, "{\"txn\":[{\"delete\":\"\xff\"}]}",
		txn(good + `1`), txn(good + `null`), txn(good + `{}`), txn(good + `{"get":"a"}`), txn(good + `{"set":"a"}`), txn(good + `{"set":"","value":"x"}`),
		txn(good + `{"delete":""}`), txn(good + `{"delete":1}`), txn(good + `{"set":null,"value":"x"}`), txn(good + `{"set":"a","delete":"a","value":"x"}`),
		txn(good + `{"delete":"a","value":"x"}`), txn(good + `{"set":"a","value":"x","if":1}`), txn(good + `{"SET":"a","value":"x"}`),
		txn(good + `{"set":"a","value":"x","ttl":-1}`), txn(good + `{"set":"a","value":"x","ttl":"5"}`), txn(good + `{"set":"a","value":"x","ttl":1.5}`),
		txn(good + `{"set":"a","value":"x","ttl":null}`), txn(good + `{"delete":"a","ttl":5}`),
		txn(good + `{"set":"` + strings.Repeat("k", 129) + `","value":"x"}`), txn(good + `{"delete":"` + strings.Repeat("k", 129) + `"}`),
		txn(good + `{"set":"a","value":"` + strings.Repeat("v", 16385) + `"}`),
		txn(strings.Repeat(`{"delete":"a"},`, 1000) + `{"delete":"a"}`),
	} {
		w.refused(400, "POST", "/"+id, bad)
	}
	w.refused(404, "GET", "/"+id+"/evil", "")
	w.want(200, "", "POST", "/"+id, txn(strings.TrimSuffix(strings.Repeat(`{"delete":"b"},`, 1000), ",")))
	w.want(200, "c\n", "GET", "/"+id, "")
}

func TestAFullTransactionFits(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.api.Wait = 5 * time.Minute }) // 16 MB take a while under -race
	id := w.bucket()
	type op struct {
		Set   string `json:"set"`
		Value string `json:"value"`
	}
	var body struct {
		Txn []op `json:"txn"`
	}
	for i := range 1000 {
		body.Txn = append(body.Txn, op{fmt.Sprintf("%0128d", i), strings.Repeat("v", 16384)})
	}
	p, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	w.want(200, "", "POST", "/"+id, string(p))
	w.want(200, strings.Repeat("v", 16384), "GET", fmt.Sprintf("/%s/%0128d", id, 999), "")
}

func TestTransactionValues(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	for _, tt := range []struct{ value, get, list string }{
		{`"text"`, `text`, `"text"`},
		{`""`, ``, `""`},
		{`"5"`, `5`, `5`},
		{`5`, `5`, `5`},
		{`1.50`, `1.50`, `1.50`},
		{`null`, `null`, `null`},
		{`true`, `true`, `true`},
		{`{ "a": [1, "<b>"] }`, `{"a":[1,"<b>"]}`, `{"a":[1,"<b>"]}`},
		{`"{\"a\":1}"`, `{"a":1}`, `"{\"a\":1}"`},
		{`"\u00e9\ud83c\udf31"`, "é🌱", `"é🌱"`},
	} {
		w.want(200, "", "POST", "/"+id+"/", `{"txn":[{"set":"k","value":`+tt.value+`}]}`)
		w.want(200, tt.get, "GET", "/"+id+"/k", "")
		w.want(200, `[["k",`+tt.list+`]]`, "GET", "/"+id+"/?values=true&format=json", "")
	}
}
